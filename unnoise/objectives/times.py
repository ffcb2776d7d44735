"""Which noise levels are practised, and how often."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from unnoise.core.noise import Noise
from unnoise.core.ranges import Positive
from unnoise.core.registry import register
from unnoise.processes import GaussianProcess


class Times(ABC):
    """A law of training times on [t_min, 1]."""

    family: ClassVar[str] = "times"

    @abstractmethod
    def times(self, process: GaussianProcess, u: Tensor) -> Tensor:
        """The law's quantiles at ``u`` in [0, 1), shape (B,), float64."""

    @final
    def sample(self, process: GaussianProcess, noise: Noise) -> Tensor:
        """One time for each stream, shape (B,), float64."""
        return self.times(process, noise.uniform(torch.empty(len(noise), dtype=torch.float64)))


@register("times", "uniform")
@final
@dataclass(frozen=True)
class Uniform(Times):
    """All times alike, as in DDPM and score SDE."""

    def times(self, process: GaussianProcess, u: Tensor) -> Tensor:
        return process.t_min + (1 - process.t_min) * u


@register("times", "lognormal")
@final
@dataclass(frozen=True)
class LogNormal(Times):
    """log(sigma / alpha) ~ N(mean, std^2), truncated to the process's own levels.

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
        ends = torch.tensor([process.t_min, 1.0], dtype=torch.float64)
        low, high = torch.special.ndtr((-0.5 * process.log_snr(ends) - self.mean) / self.std)
        quantile = torch.special.ndtri(low + (high - low) * u)
        return process.time(torch.atan(torch.exp(self.mean + self.std * quantile)))
