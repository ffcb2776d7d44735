"""Beliefs about a law that something known is multiplied into."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

from torch import Tensor

from unnoise.core.condition import Condition
from unnoise.core.distributions import Normal
from unnoise.denoisers.base import GaussianDenoiser


@dataclass(frozen=True)
class Tilt:
    """What is believed without and with that which is known.

    Arguments:
        plain: the belief of the law alone.
        tilted: the belief of their product, approximately.
        log_weight: logarithm of what the law of x_t is multiplied by, up to a constant of t, shape
            (B,): with it particles mend the approximation (``TDS``).
    """

    plain: Normal
    tilted: Normal
    log_weight: Tensor


class Tilted(GaussianDenoiser, ABC):
    """A denoiser of ``p(x_t) w(x_t)`` where w stands for something known of the sample."""

    @abstractmethod
    def tilt(self, x: Tensor, t: Tensor, cond: Condition | None = None) -> Tilt:
        """Both beliefs and the weight; arguments as of ``forward``."""

    @final
    def forward(self, x: Tensor, t: Tensor, cond: Condition | None = None) -> Normal:
        return self.tilt(x, t, cond).tilted
