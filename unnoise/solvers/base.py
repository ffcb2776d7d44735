"""Base classes of solvers (samplers), and the sampling loop ``trajectory``."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, cast, final

import torch
from torch import Tensor

from unnoise.core.broadcast import check_batch
from unnoise.core.condition import Given
from unnoise.core.distributions import Distribution, Normal
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.processes import GaussianProcess
from unnoise.spaces.moments import Moments
from unnoise.system.progress import counting


@dataclass(frozen=True, slots=True)
class Leg:
    """One planned step from time ``t`` to time ``s``, with precomputed coefficients."""

    index: int
    t: Tensor
    s: Tensor
    numbers: Any


class Moved(NamedTuple):
    """Result of a solver step: the new state, the belief p(x_0 | x_t), and the solver's memory."""

    x: Tensor
    belief: Distribution | None
    memory: Any = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a trajectory: after step ``index`` from ``t`` to ``s`` the state is ``x``."""

    index: int
    t: Tensor
    s: Tensor
    x: Tensor
    belief: Distribution | None


class Solver(ABC):
    """Base class of solvers (samplers): from noise to data, one step at a time, without state.

    Attributes:
        needs: what a process must be.
        order: of the weak (or, for ODEs, the strong) error, as measured by the tests; None where
            none is claimed.
        calls: network calls of a step (the last one, into the data, may have fewer); None where
            the walk decides.
        divides_by_alpha: such solvers start at the process's ``t_max``.
        couples_batch: whether a row's walk depends on the rows beside it; promises of equal bits
            exclude such solvers.
        both_ways: whether it may also walk from the data to the noise, on rising times.
        looks_back: whether its memory answers ``begun_at(x)`` with what it would be, had the last
            step begun at x: on an exact flow, say.
    """

    family: ClassVar[str] = "solver"
    needs: ClassVar[type] = GaussianProcess
    order: int | None = None
    calls: int | None = 1
    divides_by_alpha: bool = False
    couples_batch: bool = False
    both_ways: bool = False
    looks_back: bool = False

    @abstractmethod
    def numbers(self, process: Any, times: Tensor, data: Moments | None) -> Sequence[Any]:
        """Coefficients of the solver for each step of a time grid, precomputed in float64.

        Arguments:
            process: of the type that ``needs`` names.
            times: shape (N + 1,), descending, float64; ascending ones for solvers that walk
                ``both_ways``.
            data: mean and covariance of the data where known.

        Returns:
            N of them, handed to ``step`` one by one: floats, tensors, or tuples and lists of such.
        """

    @abstractmethod
    def step(
        self, denoiser: Any, x: Tensor, leg: Leg, *, cond: Given, noise: Noise, memory: Any = None
    ) -> Moved:
        """One step from ``leg.t`` to ``leg.s``; pure.

        Arguments:
            denoiser: a Denoiser (or ScoreModel, for solvers that need only that).
            x: states at leg.t, shape (B, *event).
            leg: this step of the plan.
            cond: conditions, one row for each sample.
            noise: streams for this step alone, one for each sample.
            memory: what the previous step returned as memory; None at the first.
        """

    @final
    def take_after(self, inner: "Solver", calls: int | None) -> None:
        """Copy the traits of a wrapped solver to the one that wraps it; ``calls`` are its own."""
        object.__setattr__(self, "couples_batch", inner.couples_batch)
        object.__setattr__(self, "divides_by_alpha", inner.divides_by_alpha)
        object.__setattr__(self, "calls", calls)

    @final
    def plan(self, process: Any, times: Tensor, data: Moments | None = None) -> list[Leg]:
        """Precompute the coefficients of all steps, before the first network call.

        Raises:
            InputError: the process is not what this solver needs, or the times are no grid.
        """
        if not isinstance(process, self.needs):
            raise InputError(
                f"solver {type(self).__name__} needs a {self.needs.__name__}; "
                f"{type(process).__name__} is none."
            )
        times = check_times(times, both_ways=self.both_ways)
        t_max = float(process.t_max)
        if self.divides_by_alpha and float(times[0]) > t_max:
            raise InputError(
                f"solver {type(self).__name__} divides by alpha, which is 0 at t = 1 under "
                f"{type(process).__name__}; start at {t_max:g}: "
                f"grid(process, steps, start={t_max:g})."
            )
        numbers = self.numbers(process, times, data)
        for i, row in enumerate(numbers):
            if not _finite(row):
                raise InputError(
                    f"solver {type(self).__name__} cannot step from t = {float(times[i]):g} to "
                    f"{float(times[i + 1]):g} under {type(process).__name__}; choose other times."
                )
        ends = times.unbind()
        return [Leg(i, ends[i], ends[i + 1], row) for i, row in enumerate(numbers)]


def _finite(numbers: Any) -> bool:
    """Whether all numbers of a step are finite, however deep they lie."""
    if isinstance(numbers, float):
        return math.isfinite(numbers)
    if isinstance(numbers, tuple | list):
        return all(map(_finite, cast(Sequence[Any], numbers)))
    if isinstance(numbers, Leg):
        return _finite(numbers.numbers)
    return bool(torch.isfinite(numbers).all()) if isinstance(numbers, Tensor) else True


def check_times(times: Tensor, both_ways: bool = False) -> Tensor:
    """Check a time grid, and return it in float64 on the CPU."""
    times = torch.as_tensor(times, dtype=torch.float64).cpu()
    if times.ndim != 1 or len(times) < 2:
        raise InputError(
            f"times have shape {tuple(times.shape)}; give at least two, in one dimension."
        )
    if not ((times >= 0) & (times <= 1)).all():
        raise InputError(
            f"times run from {float(times.max()):g} to {float(times.min()):g}; accepted are 1 to 0."
        )
    steps = times.diff()
    if both_ways and bool((steps > 0).all()):
        if float(times[0]) == 0:
            raise InputError(
                "times start at 0, where the data has no noise to follow; start at the process's "
                "t_min."
            )
        return times
    if not (steps < 0).all():
        bad = int((steps >= 0).nonzero()[0])
        raise InputError(
            f"times[{bad}] = {float(times[bad]):g} is followed by {float(times[bad + 1]):g}; "
            "times must fall from noise (1) to data (0)."
        )
    return times


@dataclass(frozen=True)
class OneStep(Solver):
    """One-step solver: ``x_s = A x + B x0_hat + sqrt(lower + coef^2 Var[x_0]) z``."""

    @abstractmethod
    def coefficients(
        self, process: GaussianProcess, t: Tensor, s: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(A, B, lower, coef) for steps from ``t`` to ``s``, shapes (N,), float64.

        ``lower`` is the variance of the step when x_0 is known, ``coef`` how much of the belief's
        own variance is passed on.
        """

    @final
    def numbers(
        self, process: GaussianProcess, times: Tensor, data: Moments | None
    ) -> Sequence[tuple[float, ...]]:
        columns = torch.broadcast_tensors(*self.coefficients(process, times[:-1], times[1:]))
        return [tuple(row) for row in torch.stack(columns, 1).tolist()]

    @final
    def step(
        self, denoiser: Any, x: Tensor, leg: Leg, *, cond: Given, noise: Noise, memory: Any = None
    ) -> Moved:
        keep, pull, lower, coef = leg.numbers
        belief: Normal = denoiser(x, leg.t, cond)
        # A fresh tensor, then in place: passes over memory are what a step costs.
        mean = (x * keep).add_(belief.mean, alpha=pull)
        return Moved(Normal(mean, belief.reverse_var(lower, coef)).sample(noise), belief)


def trajectory(
    solver: Solver,
    denoiser: Any,
    x: Tensor,
    times: Tensor,
    cond: Given = None,
    noise: Noise | None = None,
    data: Moments | None = None,
    legs: Sequence[Leg] | None = None,
) -> Iterator[Step]:
    """Sampling loop: integrate from noise to data, and yield every step.

    Arguments:
        solver: how to step.
        denoiser: what to believe; its ``process`` is the process.
        x: states at times[0], shape (B, *event).
        times: descending times, shape (N + 1,), as ``grid`` makes them.
        cond: conditions, one row for each sample.
        noise: one stream for each sample; seed 0 and samples 0 ... B-1 when absent.
        data: mean and covariance of the data, for solvers that can use them.
        legs: the solver's plan of these times, where it was made already.

    Yields:
        Step(index, t, s, x, belief); x is a fresh tensor each time.

    Raises:
        InputError: before the first network call, when solver, process, times and x do not fit.
    """
    check_batch(x, "the starting state")
    if cond is not None and cond.slots and len(cond) != len(x):
        raise InputError(f"{len(x)} samples but {len(cond)} conditions; give one for each.")
    noise = Noise(0, range(len(x))) if noise is None else noise
    if len(noise) != len(x):
        raise InputError(f"{len(x)} samples but {len(noise)} streams of noise; give one for each.")
    memory: Any = None
    for leg in solver.plan(denoiser.process, times, data) if legs is None else legs:
        x, belief, memory = solver.step(
            denoiser, x, leg, cond=cond, noise=noise.child(leg.index), memory=memory
        )
        yield Step(leg.index, leg.t, leg.s, x, belief)


def integrate(
    solver: Solver,
    denoiser: Any,
    x: Tensor,
    times: Tensor,
    cond: Given = None,
    noise: Noise | None = None,
    data: Moments | None = None,
    *,
    progress: bool | None = None,
) -> Tensor:
    """The last state of ``trajectory``, shape (B, *event).

    Arguments:
        solver, denoiser, x, times, cond, noise, data: as of ``trajectory``.
        progress: whether a line shows how far it is, as of ``unnoise.progress``.
    """
    with counting("walking", len(times) - 1, "steps", progress) as count:
        for step in trajectory(solver, denoiser, x, times, cond, noise, data):
            x = step.x
            count()
    return x
