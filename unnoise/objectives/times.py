"""Distributions of the training time t (noise-level sampling)."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from unnoise.catalogue.ranges import NotNegative, Positive
from unnoise.catalogue.registry import register
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.processes import GaussianProcess
from unnoise.processes.bound import snr_fall

# Keeps a density that has reached zero at its end, where the weight is zero too, from 0 / 0.
TINY = torch.finfo(torch.float64).tiny


class Times(ABC):
    """Distribution of the training time t (timestep sampling) on [t_min, 1].

    Attributes:
        importance: whether the law stands in for the uniform one, with less variance: losses are
            then divided by its density, and their expectation is that of uniform times. Else the
            law itself is part of what is asked.
    """

    family: ClassVar[str] = "times"
    importance: bool = False

    @abstractmethod
    def times(self, process: GaussianProcess, u: Tensor) -> Tensor:
        """The law's quantiles at ``u`` in [0, 1), shape (B,), float64."""

    @abstractmethod
    def density(self, process: GaussianProcess, t: Tensor) -> Tensor:
        """The law's density at ``t`` in [t_min, 1], of the shape of ``t``, float64."""

    @final
    def correction(self, process: GaussianProcess, t: Tensor) -> Tensor:
        """Importance weight of the loss at a drawn time, of the shape of ``t``, float64."""
        if not self.importance:
            return torch.ones_like(t)
        return 1 / ((1 - process.t_min) * self.density(process, t).clamp(min=TINY))

    @final
    def sample(self, process: GaussianProcess, noise: Noise) -> Tensor:
        """One time for each stream, shape (B,), float64."""
        return self.times(process, noise.uniform(torch.empty(len(noise), dtype=torch.float64)))


@register("times", "uniform")
@final
@dataclass(frozen=True)
class TimeUniform(Times):
    """Uniform training times, as in DDPM and score SDE."""

    def times(self, process: GaussianProcess, u: Tensor) -> Tensor:
        return process.t_min + (1 - process.t_min) * u

    def density(self, process: GaussianProcess, t: Tensor) -> Tensor:
        return torch.full_like(t, 1 / (1 - process.t_min))


@register("times", "lognormal")
@final
@dataclass(frozen=True)
class LogNormal(Times):
    """Log-normal noise levels: log(sigma / alpha) ~ N(mean, std^2), cut to the process's range.

    Arguments:
        mean: of log(sigma / alpha), sigma in units of the modelled data.
        std: of log(sigma / alpha).

    References:
        Karras et al., Elucidating the design space of diffusion-based generative models,
        NeurIPS 2022, table 1 (mean -1.2, std 1.2 at sigma_data 0.5).
    """

    mean: float = -1.2
    std: Positive = 1.2

    def times(self, process: GaussianProcess, u: Tensor) -> Tensor:
        low, high = self._ends(process)
        quantile = torch.special.ndtri(low + (high - low) * u)
        return process.time(torch.atan(torch.exp(self.mean + self.std * quantile)))

    def density(self, process: GaussianProcess, t: Tensor) -> Tensor:
        low, high = self._ends(process)
        z = (-0.5 * process.log_snr(t) - self.mean) / self.std
        (alpha, sigma), (alpha_rate, sigma_rate) = process.scales(t), process.rates(t)
        rate = sigma_rate / sigma - alpha_rate / alpha
        bell = torch.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
        # The bell falls faster than any rate grows where alpha reaches 0.
        return torch.where(bell > 0, rate * bell / (self.std * (high - low)), 0.0)

    def _ends(self, process: GaussianProcess) -> Tensor:
        """The normal law's share below the process's first and last level."""
        ends = torch.tensor([process.t_min, 1.0], dtype=torch.float64)
        return torch.special.ndtr((-0.5 * process.log_snr(ends) - self.mean) / self.std)


@register("times", "likelihood-importance")
@final
@dataclass(frozen=True)
class LikelihoodImportance(Times):
    """Importance sampling of t for the likelihood weighting, to lower the loss's variance.

    The density is ``(-dSNR/dt) / (SNR + precision)``, normalised: log(SNR + precision) is uniform.
    On Gaussian data of that precision the exact denoiser's loss is then the same at every time.

    Arguments:
        precision: 1 / variance of the modelled data; 0 gives the paper's g^2 / sigma^2, which
            needs alpha(1) > 0.

    Raises:
        InputError: precision = 0 where alpha(1) = 0.

    References:
        Song et al., Maximum likelihood training of score-based diffusion models, NeurIPS 2021,
        section 5.1.
    """

    importance = True
    precision: NotNegative = 1.0

    def times(self, process: GaussianProcess, u: Tensor) -> Tensor:
        early, late = self._ends(process)
        snr = (torch.exp(early + (late - early) * u) - self.precision).clamp(min=0)
        return process.time(torch.atan(snr.rsqrt()))

    def density(self, process: GaussianProcess, t: Tensor) -> Tensor:
        early, late = self._ends(process)
        snr = process.log_snr(t).exp()
        return snr_fall(process, t) / ((snr + self.precision) * (early - late))

    def _ends(self, process: GaussianProcess) -> Tensor:
        ends = torch.tensor([process.t_min, 1.0], dtype=torch.float64)
        found = (process.log_snr(ends).exp() + self.precision).log()
        if not bool(torch.isfinite(found).all()):
            raise InputError(
                f"times of density g^2 / sigma^2 have no end under {type(process).__name__}, where "
                "alpha(1) = 0; give a precision above 0, such as 1."
            )
        return found
