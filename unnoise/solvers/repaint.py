"""Inpainting by replacement (Song et al. 2021) and RePaint (Lugmayr et al. 2022)."""

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, final

from torch import Tensor

from unnoise.catalogue.ranges import Draws
from unnoise.core.condition import Condition, Given
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.operators import Projection
from unnoise.processes import GaussianProcess
from unnoise.solvers.base import Leg, Moved, Solver
from unnoise.spaces.moments import Moments


class Imposed(NamedTuple):
    """Coefficients of a replacement step: scales of the known part after it, and of re-noising."""

    alpha: float
    sigma: float
    keep: float
    spread: float
    inner: Leg


@final
@dataclass(frozen=True)
class Replacing(Solver):
    """Replacement (RePaint) inpainting: each step sets what is known to ``alpha y + sigma A eps``.

    With ``resample`` above 1 each step is walked again and again, with noise put back between, so
    that the rest has time to agree with what is known (RePaint).

    Arguments:
        solver: how to step; of one-step solvers any.
        operator: a projection, such as ``Mask`` or ``Grey``; ``Condition.measured`` is its y.
        resample: how often each step is walked.

    References:
        Song et al., ICLR 2021, appendix I.2 and I.3; Lugmayr et al., RePaint, CVPR 2022,
        algorithm 1.
    """

    solver: Solver
    operator: Projection
    resample: Draws = 1

    def __post_init__(self) -> None:
        calls = self.solver.calls
        self.take_after(self.solver, None if calls is None else calls * self.resample)

    def numbers(
        self, process: GaussianProcess, times: Tensor, data: Moments | None
    ) -> list[Imposed]:
        rows: list[Imposed] = []
        for i in range(len(times) - 1):
            t, s = times[i], times[i + 1]
            alpha, sigma = (float(c) for c in process.scales(s))
            keep, variance = 1.0, 0.0
            if s > 0:
                keep, variance = (float(c) for c in process.transition(s, t))
            inner = self.solver.plan(process, times[i : i + 2], data)[0]
            rows.append(Imposed(alpha, sigma, keep, math.sqrt(max(variance, 0.0)), inner))
        return rows

    def step(
        self, denoiser: Any, x: Tensor, leg: Leg, *, cond: Given, noise: Noise, memory: Any = None
    ) -> Moved:
        numbers: Imposed = leg.numbers
        known, rest = apart(cond, x)
        # Into the data itself there is no way back up.
        rounds = self.resample if leg.s > 0 else 1
        belief = None
        for i in range(rounds):
            now = noise.child(i)
            if i:
                x = numbers.keep * x + numbers.spread * now.child("back").normal(x)
            moved = self.solver.step(denoiser, x, numbers.inner, cond=rest, noise=now.child("walk"))
            y = known
            if leg.s > 0:
                drawn = self.operator(now.child("known").normal(x))
                y = numbers.alpha * known + numbers.sigma * drawn
            x, belief = self.operator.impose(moved.x, y), moved.belief
        return Moved(x, belief)


@final
@dataclass(frozen=True)
class Settled(Solver):
    """Projection of the final sample onto the measurement: known pixels are exact to the bit.

    Arguments:
        solver: how to step.
        operator: a projection; ``Condition.measured`` is its y.
    """

    solver: Solver
    operator: Projection

    def __post_init__(self) -> None:
        self.take_after(self.solver, self.solver.calls)

    def numbers(self, process: GaussianProcess, times: Tensor, data: Moments | None) -> list[Leg]:
        return self.solver.plan(process, times, data)

    def step(
        self, denoiser: Any, x: Tensor, leg: Leg, *, cond: Given, noise: Noise, memory: Any = None
    ) -> Moved:
        known, _ = apart(cond, x)
        moved = self.solver.step(denoiser, x, leg.numbers, cond=cond, noise=noise, memory=memory)
        return moved if leg.s > 0 else moved._replace(x=self.operator.impose(moved.x, known))


def apart(cond: Given, x: Tensor) -> tuple[Tensor, Condition]:
    """Split a condition into the measurement and the rest."""
    if cond is None or cond.measured is None:
        raise InputError("nothing was measured; give Condition(measured=...).")
    return cond.measured.to(x), replace(cond, measured=None)
