"""Discrete noise schedules (DDPM, SMLD): alpha and sigma given at t = i / N, i = 1 ... N."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar, final

import torch
from torch import Tensor

from unnoise.catalogue.ranges import ChainSteps, NotNegative, Positive, Table
from unnoise.catalogue.registry import register
from unnoise.core.errors import InputError
from unnoise.processes.gaussian import GaussianProcess


class Betas(ABC):
    """Beta schedule: the noise that each step of a chain adds, beta_1 ... beta_N, in (0, 1]."""

    family: ClassVar[str] = "betas"

    @abstractmethod
    def values(self) -> Tensor:
        """beta_1 ... beta_N, shape (N,), float64."""


@register("betas", "linear")
@final
@dataclass(frozen=True)
class LinearBetas(Betas):
    """Linear beta schedule: even steps from ``first`` to ``last``.

    Arguments:
        first, last: beta_1 and beta_N, in (0, 1).
        steps: N, at least 2.

    References:
        Ho et al., Denoising diffusion probabilistic models, NeurIPS 2020, section 4.
    """

    first: Positive = 1e-4
    last: Positive = 0.02
    steps: ChainSteps = 1000

    def values(self) -> Tensor:
        return torch.linspace(self.first, self.last, self.steps, dtype=torch.float64)


@register("betas", "scaled-linear")
@final
@dataclass(frozen=True)
class ScaledLinearBetas(Betas):
    """Scaled-linear beta schedule: even steps of sqrt(beta), as in latent diffusion.

    Arguments:
        first, last: beta_1 and beta_N, in (0, 1).
        steps: N, at least 2.

    References:
        Rombach et al., High-resolution image synthesis with latent diffusion models, CVPR 2022.
    """

    first: Positive = 0.00085
    last: Positive = 0.012
    steps: ChainSteps = 1000

    def values(self) -> Tensor:
        ends = math.sqrt(self.first), math.sqrt(self.last)
        return torch.linspace(*ends, self.steps, dtype=torch.float64) ** 2


@register("betas", "sigmoid")
@final
@dataclass(frozen=True)
class SigmoidBetas(Betas):
    """Sigmoid beta schedule: ``first + (last - first) sigmoid(u)``, u even from -width to width.

    Arguments:
        first, last: limits of beta, in (0, 1).
        width: half the range of u.
        steps: N, at least 2.

    References:
        Xu et al., GeoDiff, ICLR 2022, appendix.
    """

    first: Positive = 1e-4
    last: Positive = 0.02
    width: Positive = 6.0
    steps: ChainSteps = 1000

    def values(self) -> Tensor:
        u = torch.linspace(-self.width, self.width, self.steps, dtype=torch.float64)
        return self.first + (self.last - self.first) * torch.sigmoid(u)


@register("betas", "cosine")
@final
@dataclass(frozen=True)
class CosineBetas(Betas):
    """Cosine beta schedule: alpha-bar falls like a squared cosine; betas are clipped.

    ``beta_i = min(1 - abar(i / N) / abar((i - 1) / N), most)``,
    ``abar(u) = cos^2((u + s) / (1 + s) pi / 2)``.

    Arguments:
        s: offset that keeps the first steps from being too small.
        most: largest beta, in (0, 1).
        steps: N, at least 2.

    References:
        Nichol and Dhariwal, Improved denoising diffusion probabilistic models, ICML 2021, eq. 17.
    """

    s: NotNegative = 0.008
    most: Positive = 0.999
    steps: ChainSteps = 1000

    def values(self) -> Tensor:
        u = torch.arange(self.steps + 1, dtype=torch.float64) / self.steps
        half = (u + self.s) / (1 + self.s) * (math.pi / 2)
        # 1 - cos^2 b / cos^2 a = sin(b - a) sin(b + a) / cos^2 a: no difference of near numbers.
        a, b = half[:-1], half[1:]
        return (torch.sin(b - a) * torch.sin(b + a) / torch.cos(a) ** 2).clamp(max=self.most)


@register("betas", "list")
@final
@dataclass(frozen=True)
class ListedBetas(Betas):
    """Beta schedule given as a list.

    Arguments:
        betas: beta_1 ... beta_N, each in (0, 1].
    """

    betas: Annotated[tuple[float, ...], Table]

    def values(self) -> Tensor:
        return torch.tensor(self.betas, dtype=torch.float64)


@register("betas", "zero-terminal-snr")
@final
@dataclass(frozen=True)
class ZeroTerminalSNR(Betas):
    """Zero terminal SNR: another beta schedule, rescaled so that no signal is left at the end.

    ``sqrt(abar_i) <- (sqrt(abar_i) - sqrt(abar_N)) sqrt(abar_1) / (sqrt(abar_1) - sqrt(abar_N))``

    Arguments:
        betas: the schedule to mend.

    References:
        Lin et al., Common diffusion noise schedules and sample steps are flawed, WACV 2024,
        algorithm 1.
    """

    betas: Betas = ScaledLinearBetas()

    def values(self) -> Tensor:
        root = torch.log1p(-self.betas.values()).cumsum(0).mul(0.5).exp()
        root = (root - root[-1]) * root[0] / (root[0] - root[-1])
        kept = (root[1:] / root[:-1]) ** 2
        return torch.cat([1 - root[:1] ** 2, 1 - kept])


class Chain(GaussianProcess):
    """Base of discrete noise schedules: log alpha and log sigma, interpolated linearly in t.

    Exact on its own grid t = i / N, where every transition is the chain's. Below 1 / N the first
    segment goes on; t = 0 is the data as always.
    """

    @abstractmethod
    def table(self) -> tuple[Tensor, Tensor]:
        """(alpha, sigma) at t = 1/N, 2/N ... 1, shape (N,), float64."""

    @cached_property
    def _logs(self) -> tuple[Tensor, Tensor]:
        alpha, sigma = self.table()
        # Where nothing is left of the signal, alpha falls in a straight line in its last segment.
        return alpha.clamp(min=torch.finfo(torch.float64).tiny).log(), sigma.log()

    def _settle(self) -> None:
        """Read the table once: its length, its ends, and whether it is a schedule at all."""
        alpha, sigma = self.table()
        count = len(alpha)
        if count < 2:
            raise InputError(f"a chain of {count} steps; give at least 2.")
        if not bool((torch.isfinite(alpha) & torch.isfinite(sigma) & (sigma > 0)).all()):
            raise InputError("the chain's alpha or sigma is not a positive, finite number.")
        object.__setattr__(self, "steps", count)
        object.__setattr__(self, "t_min", 1 / count)
        if alpha[-1] == 0:
            object.__setattr__(self, "t_max", (count - 1) / count)

    def _between(self, logs: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logarithms at the ends of the segment that ``t`` lies in, and how far it has come."""
        place = t * len(logs) - 1
        left = place.floor().long().clamp(0, len(logs) - 2)
        return logs[left], logs[left + 1], place - left

    @final
    def alpha(self, t: Tensor) -> Tensor:
        low, high, share = self._between(self._logs[0], t)
        vanishes = high < -700
        straight = low.exp() * (1 - share)
        # A dead branch must not carry infinite derivatives into the live one.
        curved = torch.lerp(low, torch.where(vanishes, low, high), share).exp()
        return torch.where(vanishes, straight, curved)

    @final
    def sigma(self, t: Tensor) -> Tensor:
        low, high, share = self._between(self._logs[1], t)
        return torch.lerp(low, high, share).exp()


@register("process", "ddpm-chain")
@final
@dataclass(frozen=True)
class DDPMChain(Chain):
    """DDPM's chain ``q(x_i | x_{i-1}) = N(sqrt(1 - beta_i) x_{i-1}, beta_i)`` at t = i / N.

    ``alpha_i = sqrt(prod_j (1 - beta_j))``, ``sigma_i = sqrt(1 - alpha_i^2)``.

    Arguments:
        betas: beta_1 ... beta_N.

    Raises:
        InputError: betas outside (0, 1]; only the last one may be 1.

    References:
        Ho et al., Denoising diffusion probabilistic models, NeurIPS 2020, eq. 2, 4.
    """

    betas: Betas = LinearBetas()

    def __post_init__(self) -> None:
        betas = self.betas.values()
        good = (betas > 0) & (betas < 1)
        good[-1:] = (betas[-1:] > 0) & (betas[-1:] <= 1)
        if not bool(good.all()):
            i = int((~good).nonzero()[0])
            raise InputError(
                f"betas[{i}] = {float(betas[i]):g}; accepted are numbers between 0 and 1."
            )
        self._settle()

    def table(self) -> tuple[Tensor, Tensor]:
        log_kept = torch.log1p(-self.betas.values()).cumsum(0)
        return (0.5 * log_kept).exp(), torch.sqrt(-torch.expm1(log_kept))


@register("process", "smld-chain")
@final
@dataclass(frozen=True)
class SMLDChain(Chain):
    """SMLD (NCSN) noise levels at t = i / N: ``alpha = 1``, sigmas geometric or given as a list.

    Arguments:
        sigma_min, sigma_max: first and last level, in units of the modelled data.
        count: N, at least 2.
        sigmas: all levels, rising; the three others are not looked at then.

    References:
        Song and Ermon, NeurIPS 2019, section 4.1; Song et al., ICLR 2021, eq. 8.
    """

    sigma_min: Positive = 0.01
    sigma_max: Positive = 50.0
    count: ChainSteps = 1000
    sigmas: Annotated[tuple[float, ...], Table] | None = None

    def __post_init__(self) -> None:
        levels = self._levels()
        if not bool((levels.diff() > 0).all()) or not bool((levels > 0).all()):
            raise InputError("sigmas must be above 0 and rise from the data to the noise.")
        self._settle()

    def _levels(self) -> Tensor:
        if self.sigmas is not None:
            return torch.tensor(self.sigmas, dtype=torch.float64)
        ends = math.log(self.sigma_min), math.log(self.sigma_max)
        return torch.linspace(*ends, self.count, dtype=torch.float64).exp()

    def table(self) -> tuple[Tensor, Tensor]:
        levels = self._levels()
        return torch.ones_like(levels), levels
