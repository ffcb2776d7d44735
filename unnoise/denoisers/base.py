"""Base classes of denoisers, p(x_0 | x_t), of reweighted ones, and of score models."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

from torch import Tensor, nn

from unnoise.core.broadcast import double, match
from unnoise.core.condition import Given
from unnoise.core.distributions import Distribution, Normal
from unnoise.processes import SDE, GaussianProcess, Process


class ScoreModel(nn.Module, ABC):
    """Score model: grad log p_t(x) of an SDE's marginals."""

    process: SDE

    @abstractmethod
    def score(self, x: Tensor, t: Tensor, cond: Given = None) -> Tensor:
        """Score grad log p_t(x), shape (B, *event).

        Arguments:
            x: states at time t, shape (B, *event).
            t: times in (0, 1], shape () or (B,), float64.
            cond: conditions, one row for each sample.
        """

    @abstractmethod
    def turn(self, x: Tensor, t: Tensor, cond: Given = None) -> tuple[Tensor, Distribution | None]:
        """Slope of the probability-flow ODE in the process's own coordinate.

        Arguments:
            x, t, cond: as for ``score``.

        Returns:
            dy / d(angle), shape (B, *event), where ``length, angle = process.coordinate(t)`` and
            x = length y; and the belief that was asked on the way, where there is one.
        """

    @abstractmethod
    def land(self, x: Tensor, t: Tensor, cond: Given = None) -> tuple[Tensor, Distribution | None]:
        """Final denoising step, from ``t`` to the data at 0, and the belief; as in ``turn``."""


class SDEScore(ScoreModel, ABC):
    """Score model of a general SDE, whose ODE is solved in x and t themselves."""

    @final
    def turn(self, x: Tensor, t: Tensor, cond: Given = None) -> tuple[Tensor, Distribution | None]:
        return self.process.reverse_drift(x, t, self.score(x, t, cond), share=0.5), None

    @final
    def land(self, x: Tensor, t: Tensor, cond: Given = None) -> tuple[Tensor, Distribution | None]:
        slope, _ = self.turn(x, t, cond)
        return x - match(double(t), x).to(x) * slope, None


class Denoiser(nn.Module, ABC):
    """Denoiser: the posterior p(x_0 | x_t), exact or approximate, at every time of its process."""

    process: Process

    @abstractmethod
    def forward(self, x: Tensor, t: Tensor, cond: Given = None) -> Distribution:
        """The belief p(x_0 | x_t) about the clean data, a Distribution of shape (B, *event).

        Arguments:
            x: states at time t, shape (B, *event).
            t: times in (0, 1], shape () or (B,), float64; 1 is the prior. At 0 the data is known
                and nobody asks.
            cond: conditions, one row for each sample.
        """


class GaussianDenoiser(Denoiser, ScoreModel):
    """A denoiser of a Gaussian process; score, noise and velocity follow from its mean."""

    process: GaussianProcess  # pyright: ignore[reportIncompatibleVariableOverride]

    @abstractmethod
    def forward(self, x: Tensor, t: Tensor, cond: Given = None) -> Normal: ...

    @final
    def score(self, x: Tensor, t: Tensor, cond: Given = None) -> Tensor:
        return self.process.score(self(x, t, cond).mean, x, t)

    @final
    def turn(self, x: Tensor, t: Tensor, cond: Given = None) -> tuple[Tensor, Distribution | None]:
        belief = self(x, t, cond)
        return self.process.turning(belief.mean, x, t), belief

    @final
    def land(self, x: Tensor, t: Tensor, cond: Given = None) -> tuple[Tensor, Distribution | None]:
        belief = self(x, t, cond)
        return belief.mean, belief

    @final
    def noise(self, x: Tensor, t: Tensor, cond: Given = None) -> Tensor:
        """Noise prediction: expected eps in x, shape (B, *event)."""
        return self.process.noise(self(x, t, cond).mean, x, t)

    @final
    def velocity(self, x: Tensor, t: Tensor, cond: Given = None) -> Tensor:
        """Velocity dx/dt of the probability-flow ODE, shape (B, *event)."""
        return self.process.velocity(self(x, t, cond).mean, x, t)


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
    def tilt(self, x: Tensor, t: Tensor, cond: Given = None) -> Tilt:
        """Untwisted and twisted belief, and the log weight; arguments as of ``forward``."""

    @final
    def forward(self, x: Tensor, t: Tensor, cond: Given = None) -> Normal:
        return self.tilt(x, t, cond).tilted
