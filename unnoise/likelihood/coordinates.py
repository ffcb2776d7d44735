"""Coordinates (whitening) in which the probability-flow ODE is integrated for a likelihood."""

import math
from abc import ABC, abstractmethod
from typing import Any, Protocol, cast, final, runtime_checkable

import torch
from torch import Tensor

from unnoise.core.condition import Condition
from unnoise.core.distributions import Normal
from unnoise.denoisers import GaussianDenoiser, ScoreModel
from unnoise.spaces.moments import Moments


class Coordinates(ABC):
    """Coordinates y of the probability-flow ODE dy / dk, on knots even in k from data to noise.

    Attributes:
        times: of the knots, rising, shape (N + 1,), float64.
        step: distance of neighbouring knots in k.
    """

    times: Tensor
    step: float

    @abstractmethod
    def inward(self, x: Tensor) -> Tensor:
        """States at the first knot, shape (B, *event), in these coordinates, shape (B, D)."""

    @abstractmethod
    def outward(self, y: Tensor) -> Tensor:
        """States at the last knot, shape (B, *event)."""

    @abstractmethod
    def log_scale(self, i: int) -> float:
        """log |det dx / dy| at knot i."""

    @abstractmethod
    def slope(self, y: Tensor, i: int, cond: Condition | None) -> Tensor:
        """dy / dk at knot i, shape (B, D), differentiable in ``y``."""

    @abstractmethod
    def terminal(self, x: Tensor) -> Tensor:
        """Log-density in nats assumed at the last knot (the prior), shape (B,), float64."""


@final
class Whitened(Coordinates):
    """Whitened coordinates: the data's own Gaussian stands still, and only the rest moves.

    With data of mean m and variances lambda along its axes, u = sigma / alpha, k = log u:
    ``y = axes^T (x - alpha m) / (alpha sqrt(lambda + u^2))`` and
    ``dy / dk = (lambda axes^T (x - alpha m) / (alpha (lambda + u^2)) - axes^T (x0_hat - m))
    / sqrt(lambda + u^2)``. Without moments, those of N(0, I), whose density at the end is then
    N(0, sigma^2).

    Arguments:
        denoiser: whose flow.
        begin, end: first and last time.
        count: N, steps between them.
        event: shape of an event.
        data: moments of the data.
    """

    def __init__(
        self,
        denoiser: GaussianDenoiser,
        begin: float,
        end: float,
        count: int,
        event: tuple[int, ...],
        data: Moments | None,
    ) -> None:
        process = denoiser.process
        ends = torch.tensor([begin, end], dtype=torch.float64)
        first, last = process.angle(ends).tan().log().tolist()
        places = torch.linspace(first, last, count + 1, dtype=torch.float64)
        self.times = process.time(torch.atan(places.exp()))
        self.times[0], self.times[-1] = ends
        self.step = (last - first) / count
        self.denoiser, self.data = denoiser, data
        self.frame = Moments(torch.zeros(event), 1.0) if data is None else data
        alpha, self.sigma = process.scales(self.times)
        self.alpha: list[float] = alpha.tolist()
        self.shares = self.frame.variances
        self.spreads = (self.shares + places.exp()[:, None] ** 2).sqrt()

    def inward(self, x: Tensor) -> Tensor:
        turned = self.frame.turn(x / self.alpha[0])
        return turned / self.spreads[0].to(turned)

    def outward(self, y: Tensor) -> Tensor:
        return self.alpha[-1] * self.frame.back(y * self.spreads[-1].to(y))

    def log_scale(self, i: int) -> float:
        return self.frame.size * math.log(self.alpha[i]) + float(self.spreads[i].log().sum())

    def slope(self, y: Tensor, i: int, cond: Condition | None) -> Tensor:
        spread = self.spreads[i].to(y)
        turned = y * spread
        x = self.alpha[i] * self.frame.back(turned)
        mean = self.frame.turn(self.denoiser(x, self.times[i], cond).mean)
        return (turned * (self.shares.to(y) / spread**2) - mean) / spread

    def terminal(self, x: Tensor) -> Tensor:
        sigma = float(self.sigma[-1])
        if self.data is not None:
            return self.data.log_prob(x, self.alpha[-1], sigma)
        return Normal(torch.zeros_like(x, dtype=torch.float64), sigma**2).log_prob(x.double())


@final
class Plain(Coordinates):
    """Coordinates without whitening: x and the process's own coordinate, for a general SDE.

    Arguments:
        model: whose flow.
        begin, end: first and last time.
        count: N, steps between them.
        event: shape of an event.
    """

    def __init__(
        self, model: ScoreModel, begin: float, end: float, count: int, event: tuple[int, ...]
    ) -> None:
        self.model, self.event = model, event
        process = model.process
        _, angles = process.coordinate(torch.tensor([begin, end], dtype=torch.float64))
        first, last = angles.tolist()
        self.times = process.time(torch.linspace(first, last, count + 1, dtype=torch.float64))
        self.times[0], self.times[-1] = begin, end
        self.step = (last - first) / count
        self.lengths: list[float] = process.coordinate(self.times)[0].tolist()

    def inward(self, x: Tensor) -> Tensor:
        return (x / self.lengths[0]).flatten(1)

    def outward(self, y: Tensor) -> Tensor:
        return self.lengths[-1] * y.reshape(-1, *self.event)

    def log_scale(self, i: int) -> float:
        return math.prod(self.event) * math.log(self.lengths[i])

    def slope(self, y: Tensor, i: int, cond: Condition | None) -> Tensor:
        x = self.lengths[i] * y.reshape(-1, *self.event)
        return self.model.turn(x, self.times[i], cond)[0].flatten(1)

    def terminal(self, x: Tensor) -> Tensor:
        return self.model.process.prior(x.shape).log_prob(x).double()


@runtime_checkable
class HasVelocity(Protocol):
    """Protocol of a denoiser with a velocity: belief with a mean, process with alpha and sigma."""

    def velocity(self, x: Tensor, t: Tensor, cond: Condition | None = None) -> Tensor: ...


def coordinates(
    denoiser: Any,
    begin: float,
    end: float,
    count: int,
    event: tuple[int, ...],
    data: Moments | None,
) -> Coordinates:
    """Coordinates for a likelihood from ``begin`` to ``end`` in ``count`` even steps.

    Arguments:
        denoiser: a GaussianDenoiser, or the score of any SDE.
        begin, end: rising times in (0, 1).
        count: number of steps.
        event: shape of an event.
        data: mean and covariance of the data where known.
    """
    if isinstance(denoiser, HasVelocity):
        return Whitened(cast(GaussianDenoiser, denoiser), begin, end, count, event, data)
    return Plain(denoiser, begin, end, count, event)
