"""Parameterisation and preconditioning: mean = c_skip x + c_out network(c_in x, clock).

Every head reads only (alpha, sigma), so it works under every Gaussian process. Networks are fed
the log signal-to-noise ratio, so that what they know survives a change of schedule.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, final

import torch
from torch import Tensor

from unnoise.catalogue.ranges import Positive
from unnoise.catalogue.registry import register
from unnoise.core.errors import InputError
from unnoise.processes import GaussianProcess


class Scaling(NamedTuple):
    """Preconditioning coefficients c_skip, c_out, c_in, each of the shape of the times, float64."""

    skip: Tensor
    out: Tensor
    into: Tensor


def clock(alpha: Tensor, sigma: Tensor) -> Tensor:
    """Noise-level input of a network (EDM's c_noise): log SNR clamped to [-20, 20]."""
    return (2 * (alpha.log() - sigma.log())).clamp(-20, 20)


class Head(ABC):
    """Parameterisation: what the network predicts, by c_skip, c_out and c_in."""

    family: ClassVar[str] = "head"

    @abstractmethod
    def scaling(self, alpha: Tensor, sigma: Tensor) -> Scaling:
        """(c_skip, c_out, c_in) at ``alpha``, ``sigma`` of any shape, float64."""

    @final
    def check(self, process: GaussianProcess) -> None:
        """Check that this head's preconditioning is finite under a process.

        Raises:
            InputError: names the process and the heads that do work.
        """
        scaling = self.scaling(*process.scales(1.0))
        if not all(torch.isfinite(c) for c in scaling):
            raise InputError(
                f"process {type(process).__name__} has alpha(1) = 0, where head "
                f'{type(self).__name__} divides by alpha. Use head = "v" or "flow".'
            )


def _length(alpha: Tensor, sigma: Tensor) -> Tensor:
    return (alpha**2 + sigma**2).sqrt()


@register("head", "eps")
@final
@dataclass(frozen=True)
class Eps(Head):
    """eps-prediction: the network predicts the noise, ``x_0 = (x - sigma F) / alpha``.

    References:
        Ho et al., Denoising diffusion probabilistic models, NeurIPS 2020, eq. 11.
    """

    def scaling(self, alpha: Tensor, sigma: Tensor) -> Scaling:
        return Scaling(1 / alpha, -sigma / alpha, 1 / _length(alpha, sigma))


@register("head", "x0")
@final
@dataclass(frozen=True)
class X0(Head):
    """x0-prediction: the network predicts the clean data, ``x_0 = F``."""

    def scaling(self, alpha: Tensor, sigma: Tensor) -> Scaling:
        return Scaling(torch.zeros_like(alpha), torch.ones_like(alpha), 1 / _length(alpha, sigma))


@register("head", "v")
@final
@dataclass(frozen=True)
class V(Head):
    """v-prediction: the network predicts v, the derivative of the state in the angle.

    On the circle, with rho^2 = alpha^2 + sigma^2: ``x_0 = (alpha x - sigma rho F) / rho^2``.

    References:
        Salimans and Ho, Progressive distillation for fast sampling, ICLR 2022, appendix D.
    """

    def scaling(self, alpha: Tensor, sigma: Tensor) -> Scaling:
        rho = _length(alpha, sigma)
        return Scaling(alpha / rho**2, -sigma / rho, 1 / rho)


@register("head", "flow")
@final
@dataclass(frozen=True)
class Flow(Head):
    """Flow prediction: the network predicts eps - x_0, ``x_0 = (x - sigma F) / (alpha + sigma)``.

    Under the rectified process that is the velocity dx/dt.

    References:
        Lipman et al., Flow matching for generative modeling, ICLR 2023, eq. 23.
    """

    def scaling(self, alpha: Tensor, sigma: Tensor) -> Scaling:
        total = alpha + sigma
        return Scaling(1 / total, -sigma / total, 1 / _length(alpha, sigma))


@register("head", "edm")
@final
@dataclass(frozen=True)
class EDMHead(Head):
    """EDM's preconditioning, for any alpha; ``sigma_data = 1`` is the head v with its sign turned.

    With n^2 = sigma^2 + alpha^2 sigma_data^2: ``c_skip = alpha sigma_data^2 / n^2``,
    ``c_out = sigma sigma_data / n``, ``c_in = 1 / n``.

    Arguments:
        sigma_data: standard deviation of the modelled data.

    References:
        Karras et al., Elucidating the design space of diffusion-based generative models,
        NeurIPS 2022, table 1.
    """

    sigma_data: Positive = 0.5

    def scaling(self, alpha: Tensor, sigma: Tensor) -> Scaling:
        n = _length(alpha * self.sigma_data, sigma)
        return Scaling(alpha * self.sigma_data**2 / n**2, sigma * self.sigma_data / n, 1 / n)
