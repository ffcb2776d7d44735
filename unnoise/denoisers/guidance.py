"""Guidance scale by noise level: constant, in a limited interval, or rescaled."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from unnoise.catalogue.ranges import Fraction, NotNegative, Positive
from unnoise.catalogue.registry import register
from unnoise.core.broadcast import Time, match
from unnoise.core.errors import InputError
from unnoise.processes import GaussianProcess


class Guidance(ABC):
    """Guidance scale at every noise level: 1 is plain conditional, 0 unconditional, always."""

    family: ClassVar[str] = "guidance"

    @abstractmethod
    def scale_at(self, level: Tensor) -> Tensor:
        """The scale at noise levels sigma / alpha, of the shape of ``level``, float64."""

    @abstractmethod
    def finish(self, mean: Tensor, given: Tensor) -> Tensor:
        """The guided mean, corrected (rescaled) by the plain conditional one; both (B, *event)."""

    @final
    def scale_of(self, process: GaussianProcess, t: Time) -> Tensor:
        """The scale at times ``t``, of their shape, float64."""
        alpha, sigma = process.scales(t)
        return self.scale_at(sigma / alpha)

    @final
    def mean(self, without: Tensor, away: Tensor, scale: Tensor) -> Tensor:
        """The guided mean: ``without + scale away``, finished.

        Arguments:
            without: the unconditional mean, shape (B, *event).
            away: what the condition adds to it, shape (B, *event).
            scale: shape () or (B,).
        """
        return self.finish(without + match(scale, away).to(away) * away, without + away)


@register("guidance", "constant", number="scale")
@final
@dataclass(frozen=True)
class Constant(Guidance):
    """Constant guidance scale at every noise level; a bare number means this.

    Arguments:
        scale: 1 is plain conditional, 0 unconditional; tables that speak of a weight w mean
            scale = 1 + w.

    References:
        Ho and Salimans, Classifier-free diffusion guidance, 2022, eq. 6.
    """

    scale: NotNegative = 1.0

    def scale_at(self, level: Tensor) -> Tensor:
        return torch.full_like(level, self.scale)

    def finish(self, mean: Tensor, given: Tensor) -> Tensor:
        return mean


@register("guidance", "interval")
@final
@dataclass(frozen=True)
class GuidanceInterval(Guidance):
    """Guidance in a limited interval of noise levels; outside it the plain conditional belief.

    At high levels guidance costs variety, at low ones only time.

    Arguments:
        guidance: inside.
        low, high: the noise levels, sigma / alpha, between which it guides.

    Raises:
        InputError: ``low`` is not below ``high``.

    References:
        Kynkaanniemi et al., Applying guidance in a limited interval improves sample and
        distribution quality in diffusion models, NeurIPS 2024, eq. 5 (0.28 to 5.42 on ImageNet
        512 latents).
    """

    guidance: Guidance = Constant(2.0)
    low: NotNegative = 0.28
    high: Positive = 5.42

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise InputError(f"low = {self.low:g}, high = {self.high:g}: low must be below high.")

    def scale_at(self, level: Tensor) -> Tensor:
        inside = (level > self.low) & (level <= self.high)
        return torch.where(inside, self.guidance.scale_at(level), 1.0)

    def finish(self, mean: Tensor, given: Tensor) -> Tensor:
        return self.guidance.finish(mean, given)


@register("guidance", "rescaled")
@final
@dataclass(frozen=True)
class GuidanceRescale(Guidance):
    """Guidance rescale: the result keeps the standard deviation of the conditional mean.

    ``share mean std(given) / std(mean) + (1 - share) mean``, the standard deviations over each
    sample's own numbers: strong guidance else makes pictures too contrasty.

    Arguments:
        guidance: what is rescaled.
        share: 0 leaves it alone, 1 gives it wholly the other's spread.

    References:
        Lin et al., Common diffusion noise schedules and sample steps are flawed, WACV 2024,
        section 3.4, there of the network's output, here of the belief's mean.
    """

    guidance: Guidance = Constant(2.0)
    share: Fraction = 0.7

    def scale_at(self, level: Tensor) -> Tensor:
        return self.guidance.scale_at(level)

    def finish(self, mean: Tensor, given: Tensor) -> Tensor:
        mean = self.guidance.finish(mean, given)
        axes = tuple(range(1, mean.ndim))
        wide = mean.std(axes, correction=0, keepdim=True)
        wanted = given.std(axes, correction=0, keepdim=True)
        # One number an event has no spread to keep, nor has a belief that is the same everywhere.
        ratio = torch.where(wide > 0, wanted / wide.clamp(min=torch.finfo(wide.dtype).tiny), 1.0)
        return mean * (self.share * ratio + (1 - self.share))
