"""Noise schedules alpha(t), sigma(t) by name: VP, sub-VP, VE, EDM, cosine, rectified flow."""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from unnoise.catalogue.ranges import NotNegative, Positive
from unnoise.catalogue.registry import register
from unnoise.core.errors import InputError
from unnoise.processes.gaussian import GaussianProcess


def _rising(name: str, low: float, high: float) -> None:
    if high <= low:
        raise InputError(f"{name}_max = {high:g} is not above {name}_min = {low:g}; it must be.")


@dataclass(frozen=True)
class LinearBeta(GaussianProcess):
    """Linear beta schedule of VP and sub-VP: beta(t) = beta_min + t (beta_max - beta_min)."""

    beta_min: NotNegative = 0.1
    beta_max: Positive = 20.0

    def __post_init__(self) -> None:
        _rising("beta", self.beta_min, self.beta_max)

    @final
    def integral(self, t: Tensor) -> Tensor:
        """B(t) = int_0^t beta = beta_min t + (beta_max - beta_min) t^2 / 2."""
        return self.beta_min * t + 0.5 * (self.beta_max - self.beta_min) * t**2

    @final
    def alpha(self, t: Tensor) -> Tensor:
        return torch.exp(-0.5 * self.integral(t))


@register("process", "vp")
@final
@dataclass(frozen=True)
class VP(LinearBeta):
    """Variance-preserving process, the limit of DDPM.

    ``alpha = exp(-B/2)``, ``sigma = sqrt(1 - exp(-B))``, ``B(t) = int_0^t beta``.

    Arguments:
        beta_min: beta(0) >= 0, per unit of time.
        beta_max: beta(1) > beta_min.

    References:
        Song et al., Score-based generative modeling through SDEs, ICLR 2021, eq. 11, 29;
        the linear beta(t) in eq. 32.
    """

    def sigma(self, t: Tensor) -> Tensor:
        return torch.sqrt(-torch.expm1(-self.integral(t)))


@register("process", "sub-vp")
@final
@dataclass(frozen=True)
class SubVP(LinearBeta):
    """Sub-VP process: VP's drift with less noise.

    ``alpha = exp(-B/2)``, ``sigma = 1 - exp(-B)``, ``B(t) = int_0^t beta``.

    Arguments:
        beta_min: beta(0) >= 0, per unit of time.
        beta_max: beta(1) > beta_min.

    References:
        Song et al., Score-based generative modeling through SDEs, ICLR 2021, eq. 12, 29.
    """

    def sigma(self, t: Tensor) -> Tensor:
        return -torch.expm1(-self.integral(t))


@register("process", "ve")
@final
@dataclass(frozen=True)
class VE(GaussianProcess):
    """Variance-exploding process, the limit of NCSN / SMLD.

    ``alpha = 1``, ``sigma = sigma_min (sigma_max / sigma_min)^t`` for t > 0.

    Arguments:
        sigma_min: smallest noise, in units of the modelled data.
        sigma_max: largest noise; about the largest distance between two data points.

    References:
        Song et al., Score-based generative modeling through SDEs, ICLR 2021, eq. 9, 30.
    """

    sigma_min: Positive = 0.01
    sigma_max: Positive = 50.0

    def __post_init__(self) -> None:
        _rising("sigma", self.sigma_min, self.sigma_max)
        # sigma(t_min) = sigma_min to 1e-8; t = 0 itself is the data.
        object.__setattr__(self, "t_min", 1e-9)

    def alpha(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        return self.sigma_min * torch.exp(t * math.log(self.sigma_max / self.sigma_min))


@register("process", "edm")
@final
@dataclass(frozen=True)
class EDM(GaussianProcess):
    """EDM process, sigma linear in t; tangents of its ODE solution point at the denoised data.

    ``alpha = 1``, ``sigma = sigma_max t``.

    Arguments:
        sigma_min: smallest noise that is trained and sampled, in units of the modelled data.
        sigma_max: largest noise.

    References:
        Karras et al., Elucidating the design space of diffusion-based generative models,
        NeurIPS 2022, section 3 and table 1.
    """

    sigma_min: Positive = 0.002
    sigma_max: Positive = 80.0

    def __post_init__(self) -> None:
        _rising("sigma", self.sigma_min, self.sigma_max)
        object.__setattr__(self, "t_min", self.sigma_min / self.sigma_max)

    def alpha(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        return self.sigma_max * t


@register("process", "cosine")
@final
@dataclass(frozen=True)
class Cosine(GaussianProcess):
    """Cosine noise schedule: the signal falls like a cosine, and no signal is left at t = 1.

    ``alpha = cos(u + v) / cos(v)`` with ``u = t pi / (2 + 2 s)`` and ``v = s pi / (2 + 2 s)``;
    ``sigma = sqrt(1 - alpha^2)``, computed without that difference.

    Arguments:
        s: offset that keeps the first steps from being too small.

    References:
        Nichol and Dhariwal, Improved denoising diffusion probabilistic models, ICML 2021, eq. 17.
    """

    s: NotNegative = 0.008

    t_max = 0.999

    def alpha(self, t: Tensor) -> Tensor:
        quarter = math.pi / (2 + 2 * self.s)
        # cos(u + v) = sin(pi/2 - u - v), exact where the signal vanishes.
        return torch.sin((1 - t) * quarter) / math.cos(self.s * quarter)

    def sigma(self, t: Tensor) -> Tensor:
        quarter = math.pi / (2 + 2 * self.s)
        # cos^2 v - cos^2(u + v) = sin u sin(u + 2 v)
        product = torch.sin(t * quarter) * torch.sin((t + 2 * self.s) * quarter)
        return torch.sqrt(product) / math.cos(self.s * quarter)


@register("process", "rectified")
@final
@dataclass(frozen=True)
class Rectified(GaussianProcess):
    """Rectified flow, also called the conditional optimal-transport path: a straight line.

    ``alpha = 1 - t``, ``sigma = t``.

    References:
        Liu et al., Flow straight and fast, ICLR 2023, eq. 1; Lipman et al., Flow matching for
        generative modeling, ICLR 2023, eq. 22 (with time reversed).
    """

    t_max = 0.999

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t

    def sigma(self, t: Tensor) -> Tensor:
        return t.clone()
