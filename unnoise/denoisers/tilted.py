"""Denoisers of a reweighted (twisted) law p(x_t) w(x_t), with the weight TDS needs."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

from torch import Tensor

from unnoise.core.condition import Condition
from unnoise.core.distributions import Normal
from unnoise.denoisers.base import GaussianDenoiser


@dataclass(frozen=True)
class Tilt:
    """Beliefs under p(x_t) and under the twisted p(x_t) w(x_t), and log w.

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
    """Denoiser of a reweighted (twisted) law ``p(x_t) w(x_t)``, such as w = p(y | x_t)."""

    @abstractmethod
    def tilt(self, x: Tensor, t: Tensor, cond: Condition | None = None) -> Tilt:
        """Untwisted and twisted belief, and the log weight; arguments as of ``forward``."""

    @final
    def forward(self, x: Tensor, t: Tensor, cond: Condition | None = None) -> Normal:
        return self.tilt(x, t, cond).tilted
