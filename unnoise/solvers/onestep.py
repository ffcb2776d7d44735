"""Solvers that are three scalars: x_s = A x + B x0_hat + C z."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from unnoise.core.ranges import Fraction
from unnoise.core.registry import register
from unnoise.processes import GaussianProcess
from unnoise.solvers.base import OneStep


@register("solver", "ddim")
@final
@dataclass(frozen=True)
class DDIM(OneStep):
    """Denoising diffusion implicit model: the bridge with a share of its randomness.

    Arguments:
        eta: 0 is deterministic (the exponential Euler step of the probability-flow ODE), 1 is
            ancestral sampling.

    References:
        Song et al., Denoising diffusion implicit models, ICLR 2021, eq. 12, 16.
    """

    order: ClassVar[int | None] = 1

    eta: Fraction = 0.0

    def coefficients(
        self, process: GaussianProcess, t: Tensor, s: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        keep, pull, lower = process.bridge_scales(t, s, self.eta)
        # A deterministic walk passes none of the belief's doubt on.
        return keep, pull, lower, self.eta * pull


@register("solver", "euler-maruyama")
@final
@dataclass(frozen=True)
class EulerMaruyama(OneStep):
    """Euler-Maruyama on the reverse SDE: ``x_s = x - (f x - g^2 score) h + g sqrt(h) z``, h = t-s.

    References:
        Song et al., Score-based generative modeling through SDEs, ICLR 2021, eq. 6, appendix D.
    """

    order: ClassVar[int | None] = 1
    divides_by_alpha: ClassVar[bool] = True

    def coefficients(
        self, process: GaussianProcess, t: Tensor, s: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        h = t - s
        alpha, sigma = process.scales(t)
        noise = process.diffusion(t) ** 2 * h
        # score = (alpha x0_hat - x) / sigma^2
        keep = 1 - process.linear_drift(t) * h - noise / sigma**2
        return keep, noise * alpha / sigma**2, noise, torch.zeros_like(h)
