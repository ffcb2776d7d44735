"""What a process is: t = 0 is the data, t = 1 the prior, and the way between can be sampled."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor

from unnoise.core.distributions import Distribution


class Process(ABC):
    """A chain of laws from data (t = 0) to a prior (t = 1) whose bridges are known."""

    family: ClassVar[str] = "process"

    @abstractmethod
    def prior(self, shape: Sequence[int]) -> Distribution:
        """The law at t = 1 that sampling starts from, for a batch of ``shape`` (B, *event)."""

    @abstractmethod
    def forward(self, x0: Tensor, t: Tensor | float) -> Distribution:
        """q(x_t | x_0): clean data ``x0`` (B, *event) noised to times ``t``, shape () or (B,)."""

    @abstractmethod
    def bridge(
        self, belief: Any, x: Tensor, t: Tensor | float, s: Tensor | float, eta: float = 1.0
    ) -> Distribution:
        """q(x_s | x_t, x_0) averaged over a belief about x_0.

        Arguments:
            belief: a Distribution over x_0, shape (B, *event).
            x: the state at time t, shape (B, *event).
            t, s: times, shape () or (B,), 0 <= s < t <= 1.
            eta: share of the chain's own randomness, in [0, 1].
        """


class SDE(ABC):
    """dx = drift(x, t) dt + diffusion(t) dw, from t = 0 (data) to t = 1 (prior)."""

    family: ClassVar[str] = "process"

    @abstractmethod
    def prior(self, shape: Sequence[int]) -> Distribution:
        """The law at t = 1 that sampling starts from, for a batch of ``shape`` (B, *event)."""

    @abstractmethod
    def drift(self, x: Tensor, t: Tensor | float) -> Tensor:
        """Drift of each sample, shape (B, *event); ``t`` has shape () or (B,)."""

    @abstractmethod
    def diffusion(self, t: Tensor | float) -> Tensor:
        """Diffusion coefficient g(t) >= 0, of the shape of ``t``, float64."""
