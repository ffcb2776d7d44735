"""Learning rate schedules: cosine, inverse square root, constant."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

from unnoise.catalogue.ranges import Fraction, Share
from unnoise.catalogue.registry import register


class Schedule(ABC):
    """Learning rate schedule after the warm-up, as a share of the peak."""

    family: ClassVar[str] = "schedule"

    @abstractmethod
    def __call__(self, progress: float) -> float:
        """The share at ``progress`` in [0, 1], counted from the end of the warm-up."""


@register("schedule", "cosine")
@final
@dataclass(frozen=True)
class CosineSchedule(Schedule):
    """Cosine learning rate schedule: falls like half a cosine.

    Arguments:
        final: share that is left at the end.
    """

    final: Fraction = 0.02

    def __call__(self, progress: float) -> float:
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * progress))


@register("schedule", "inverse-sqrt")
@final
@dataclass(frozen=True)
class InverseSqrtSchedule(Schedule):
    """Inverse square root learning rate schedule: ``1 / sqrt(max(progress / hold, 1))``.

    Arguments:
        hold: share of the training, after the warm-up, at the peak; above 0.

    References:
        Karras et al., Analyzing and improving the training dynamics of diffusion models, CVPR
        2024 (hold is t_ref there, in units of the whole training).
    """

    hold: Share = 0.2

    def __call__(self, progress: float) -> float:
        return 1 / math.sqrt(max(progress / self.hold, 1.0))


@register("schedule", "constant")
@final
@dataclass(frozen=True)
class ConstantSchedule(Schedule):
    """Constant learning rate schedule: stays at its peak."""

    def __call__(self, progress: float) -> float:
        return 1.0
