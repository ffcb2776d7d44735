"""Trace estimators (Hutchinson, exact) for the divergence of the probability-flow ODE."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from unnoise.catalogue.ranges import Draws
from unnoise.catalogue.registry import register
from unnoise.core.noise import Noise


class Divergence(ABC):
    """Trace estimator: tr(d mean / d x) for each sample, with directions fixed through a solve."""

    family: ClassVar[str] = "divergence"

    @abstractmethod
    def directions(self, x: Tensor, noise: Noise) -> Tensor:
        """Directions to differentiate along, shape (P, B, *event)."""

    @abstractmethod
    def traces(self, products: Tensor) -> Tensor:
        """Independent estimates of the trace, shape (R, B), from v . Jv of directions (P, B)."""

    @abstractmethod
    def standard_error(self, estimates: Tensor) -> Tensor:
        """Standard error of the mean of independent estimates (R, B), shape (B,)."""

    @final
    def __call__(self, mean: Tensor, x: Tensor, directions: Tensor) -> Tensor:
        """Estimates of tr(d mean / d x), shape (R, B); ``mean`` was computed from ``x`` with grad.

        One forward is shared by all directions (reverse mode).
        """
        products: list[Tensor] = []
        for i, v in enumerate(directions):
            (back,) = torch.autograd.grad(mean, x, v, retain_graph=i + 1 < len(directions))
            products.append((back * v).flatten(1).sum(1))
        return self.traces(torch.stack(products))


class Probed(Divergence, ABC):
    """Hutchinson trace estimator: the mean of v . Jv over random v with E[v v^T] = I.

    Attributes:
        probes: independent estimates a sample; their spread gives the standard error.
    """

    probes: int

    @abstractmethod
    def draw(self, x: Tensor, noise: Noise) -> Tensor:
        """Draw one probe vector for each sample, shape (B, *event)."""

    @final
    def directions(self, x: Tensor, noise: Noise) -> Tensor:
        return torch.stack([self.draw(x, noise.child(i)) for i in range(self.probes)])

    @final
    def traces(self, products: Tensor) -> Tensor:
        return products

    @final
    def standard_error(self, estimates: Tensor) -> Tensor:
        """Standard error over the probes, shape (B,); infinite from a single probe, which tells
        nothing of itself."""
        if len(estimates) < 2:
            return torch.full_like(estimates[0], math.inf)
        return estimates.std(0) / math.sqrt(len(estimates))


@register("divergence", "hutchinson")
@final
@dataclass(frozen=True)
class Hutchinson(Probed):
    """Hutchinson trace estimator with Rademacher probes (random signs).

    No variance on a diagonal Jacobian; each probe costs one backward pass.

    Arguments:
        probes: independent estimates a sample.

    References:
        Hutchinson, 1990; Song et al., ICLR 2021, eq. 40.
    """

    probes: Draws = 1

    def draw(self, x: Tensor, noise: Noise) -> Tensor:
        return noise.rademacher(x)


@register("divergence", "gaussian-probes")
@final
@dataclass(frozen=True)
class GaussianProbes(Probed):
    """Hutchinson trace estimator with Gaussian probes.

    Variance 2 |J|^2 for symmetric J, never below that of random signs.

    Arguments:
        probes: independent estimates a sample.

    References:
        Grathwohl et al., FFJORD, ICLR 2019, section 3.1.
    """

    probes: Draws = 1

    def draw(self, x: Tensor, noise: Noise) -> Tensor:
        return noise.normal(x)


@register("divergence", "exact")
@final
@dataclass(frozen=True)
class ExactTrace(Divergence):
    """Exact trace, by one backward pass for every dimension of the event: for small data."""

    def directions(self, x: Tensor, noise: Noise) -> Tensor:
        size = x[0].numel()
        basis = torch.eye(size, dtype=x.dtype, device=x.device)
        return basis.reshape(size, 1, *x.shape[1:]).expand(size, *x.shape)

    def traces(self, products: Tensor) -> Tensor:
        return products.sum(0, keepdim=True)

    def standard_error(self, estimates: Tensor) -> Tensor:
        return torch.zeros_like(estimates[0])


def usual(numbers: int) -> Divergence:
    """The divergence where nothing else is asked for: exact for events of at most 16 numbers, as
    cheap there as probes; 8 probes for larger ones, whose exact trace costs numbers / 8 times more
    (8 times for 64)."""
    return ExactTrace() if numbers <= 16 else Hutchinson(8)
