"""Base classes of forward (noising) processes and SDEs: t = 0 is the data, t = 1 the prior."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, final

from torch import Tensor

from unnoise.core.broadcast import Time
from unnoise.core.distributions import Distribution

Bridge = Callable[[Any, Tensor], Distribution]


class Noising(ABC):
    """Way from data (t = 0) to a prior (t = 1): what every process and every SDE has.

    Attributes:
        t_min: the smallest noisy time; grids step from it to 0, likelihoods are of p at t_min.
        t_max: the largest time at which every solver can start.
        steps: length of the process's own chain, whose times are i / steps; None where time is
            continuous.
    """

    family: ClassVar[str] = "process"
    t_min: float = 1e-3
    t_max: float = 1.0
    steps: int | None = None

    @abstractmethod
    def prior(self, shape: Sequence[int]) -> Distribution:
        """Prior: the law at t = 1 where sampling starts, for a batch of ``shape`` (B, *event)."""


class Process(Noising):
    """Forward (noising) process from data (t = 0) to a prior (t = 1), with known bridges.

    Attributes are those of ``Noising``.
    """

    @abstractmethod
    def forward(self, x0: Tensor, t: Time) -> Distribution:
        """Marginal q(x_t | x_0): data ``x0`` (B, *event) noised to times ``t``, () or (B,)."""

    @abstractmethod
    def bridge(self, belief: Any, x: Tensor, t: Time, s: Time, eta: float = 1.0) -> Distribution:
        """Reverse step p(x_s | x_t): the bridge q(x_s | x_t, x_0) averaged over a belief about x_0.

        Arguments:
            belief: a Distribution over x_0, shape (B, *event).
            x: the state at time t, shape (B, *event).
            t, s: times, shape () or (B,), 0 <= s < t <= 1.
            eta: share of the chain's own randomness, in [0, 1].
        """

    @abstractmethod
    def bridges(self, times: Tensor) -> Sequence[Bridge]:
        """Precomputed ``bridge`` from each of the times to the next.

        Arguments:
            times: falling, shape (N + 1,), float64.

        Returns:
            N functions of (belief, x).
        """


class Local(ABC):
    """An SDE at one time, with its reverse Euler-Maruyama step."""

    @abstractmethod
    def back(self, x: Tensor, score: Tensor, size: float, z: Tensor | None) -> Tensor:
        """Step ``x - size reverse_drift + sqrt(size) L z``, a new tensor; without z no noise."""


class SDE(Noising):
    """Forward SDE dx = f(x, t) dt + L(x, t) dw, from t = 0 (data) to t = 1 (prior).

    Everything that walks an SDE backwards needs of L its action on a vector, the action of L L^T,
    and the divergence of L L^T: for a Gaussian process one number, zero and no more. Attributes
    are those of ``Noising``.
    """

    @abstractmethod
    def drift(self, x: Tensor, t: Time) -> Tensor:
        """Drift f(x, t), shape (B, *event); ``t`` has shape () or (B,)."""

    @abstractmethod
    def diffuse(self, x: Tensor, t: Time, z: Tensor) -> Tensor:
        """Diffusion times a vector: L(x, t) z, shape (B, *event); ``z`` has the shape of ``x``."""

    @abstractmethod
    def covariance(self, x: Tensor, t: Time, v: Tensor) -> Tensor:
        """Diffusion covariance times a vector: L L^T v, shape (B, *event)."""

    @abstractmethod
    def covariance_divergence(self, x: Tensor, t: Time) -> Tensor:
        """div(L L^T), shape (B, *event): its i-th number is sum_j d(L L^T)_ij / dx_j."""

    @abstractmethod
    def coordinate(self, t: Time) -> tuple[Tensor, Tensor]:
        """Change of variables of the Runge-Kutta solvers: (length, angle) at ``t``, float64.

        The state is x = length y, and y is followed over ``angle``, which rises with t.
        """

    @abstractmethod
    def time(self, angle: Tensor | float) -> Tensor:
        """The time at which that angle is reached, float64, of the shape of ``angle``."""

    @abstractmethod
    def local(self, times: Tensor) -> Sequence[Local]:
        """The SDE at each of the times (N,), coefficients precomputed where possible."""

    @final
    def reverse_drift(self, x: Tensor, t: Time, score: Tensor, share: float = 1.0) -> Tensor:
        """Drift of the reverse SDE (or ODE): ``f - share (div(L L^T) + L L^T score)``.

        Arguments:
            x: states at time t, shape (B, *event).
            t: times, shape () or (B,).
            score: grad log p_t(x), shape (B, *event).
            share: 1 for the reverse SDE, 1/2 for the probability-flow ODE.

        References:
            Song et al., ICLR 2021, appendix A (eq. 15-17) and D.1 (eq. 36-37).
        """
        pull = self.covariance(x, t, score) + self.covariance_divergence(x, t)
        return self.drift(x, t) - share * pull
