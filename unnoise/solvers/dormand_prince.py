"""Dormand-Prince (adaptive Runge-Kutta, RK45) on the probability-flow ODE."""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, final

import torch
from torch import Tensor

from unnoise.catalogue.ranges import Positive, Steps
from unnoise.catalogue.registry import register
from unnoise.core.broadcast import match
from unnoise.core.condition import Given
from unnoise.core.errors import NumbersError
from unnoise.core.noise import Noise
from unnoise.processes import SDE
from unnoise.solvers.base import Leg, Moved, Solver
from unnoise.spaces.moments import Moments

NODES = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
ROWS = (
    (),
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
# Fifth-order weights (the last row) less the embedded fourth-order ones.
ERRORS = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)


class Ends(NamedTuple):
    """Coefficients of one step: length and angle at its ends, the last noisy one where s = 0."""

    length: float
    angle: float
    last_length: float
    last_angle: float
    last_time: Tensor


class Tried(NamedTuple):
    """One attempted step: the new state, the slope there, its error in units of the tolerance."""

    y: Tensor
    slope: Tensor
    error: Tensor


@register("solver", "dopri5")
@final
@dataclass(frozen=True)
class DormandPrince(Solver):
    """Dormand-Prince RK45 on the probability-flow ODE, with an adaptive step size per sample.

    A step h is taken when the root mean square over the event of
    ``error / (atol + rtol max(|y|, |y_new|))`` is at most 1; the next one is
    ``0.9 h error^(-1/5)``, between h / 5 and 5 h. Samples that have arrived wait for the others
    and do not disturb them. The times of the grid are only where states are shown: two are enough.

    Arguments:
        rtol, atol: relative and absolute tolerance of the state on the unit circle.
        most: attempts between two times of the grid.

    Raises:
        NumbersError: the tolerance was not met within ``most`` attempts.

    References:
        Dormand and Prince, A family of embedded Runge-Kutta formulae, 1980, table 2; Hairer,
        Norsett and Wanner, Solving ordinary differential equations I, section II.4.
    """

    needs: ClassVar[type] = SDE
    calls = None
    both_ways = True

    rtol: Positive = 1e-5
    atol: Positive = 1e-5
    most: Steps = 10_000

    def numbers(self, process: Any, times: Tensor, data: Moments | None) -> list[Ends]:
        last = torch.where(times[1:] == 0, times[:-1].clamp(max=process.t_min), times[1:])
        (length, angle), (end_length, end_angle) = map(process.coordinate, (times[:-1], last))
        columns = torch.stack([length, angle, end_length, end_angle], 1).tolist()
        return [Ends(a, b, c, d, time) for (a, b, c, d), time in zip(columns, last, strict=True)]

    def step(
        self,
        denoiser: Any,
        x: Tensor,
        leg: Leg,
        *,
        cond: Given,
        noise: Noise,
        memory: Tensor | None = None,
    ) -> Moved:
        ends: Ends = leg.numbers
        span = ends.last_angle - ends.angle
        size = memory
        if span:
            first = torch.full((len(x),), span / 20, dtype=torch.float64)
            x, size = self._follow(denoiser, x, ends, first if memory is None else memory, cond)
        if leg.s == 0:
            x, belief = denoiser.land(x, ends.last_time, cond)
            return Moved(x, belief, size)
        return Moved(x, None, size)

    def _follow(
        self, denoiser: Any, x: Tensor, ends: Ends, size: Tensor, cond: Given
    ) -> tuple[Tensor, Tensor]:
        """From one end to the other; the state there and the size of each sample's next step."""
        y = x / ends.length
        angle = torch.full((len(x),), ends.angle, dtype=torch.float64)
        slope, _ = self._slope(denoiser, y, angle, cond)
        for _ in range(self.most):
            left = ends.last_angle - angle
            step = torch.where(size.abs() < left.abs(), size, left)
            tried = self._attempt(denoiser, y, angle, step, slope, cond)
            taken = tried.error <= 1
            if not bool(torch.isfinite(tried.error).all()):
                raise NumbersError("the probability-flow ODE has left the finite numbers.")
            y = torch.where(match(taken, y), tried.y, y)
            slope = torch.where(match(taken, y), tried.slope, slope)
            # Exactly at the end, not at a sum that nearly is.
            arrived = taken & (step == left)
            angle = torch.where(taken, torch.where(arrived, ends.last_angle, angle + step), angle)
            factor = (0.9 * tried.error.clamp(min=1e-10) ** -0.2).clamp(0.2, 5.0)
            # The last, shortened step of a leg says nothing of how long the next one may be.
            size = torch.where(taken & (step != size), size, step * factor)
            if bool((angle == ends.last_angle).all()):
                return y * ends.last_length, size
        raise NumbersError(
            f"solver dopri5 did not reach rtol = {self.rtol:g}, atol = {self.atol:g} within "
            f"{self.most} attempts; use larger tolerances, or float64 states."
        )

    def _attempt(
        self, denoiser: Any, y: Tensor, angle: Tensor, step: Tensor, slope: Tensor, cond: Given
    ) -> Tried:
        h = match(step, y).to(y)
        slopes = [slope]
        at = y
        for node, row in zip(NODES[1:], ROWS[1:], strict=True):
            at = y + h * sum(a * k for a, k in zip(row, slopes, strict=True))
            slopes.append(self._slope(denoiser, at, angle + node * step, cond)[0])
        error = h * sum(e * k for e, k in zip(ERRORS, slopes, strict=True))
        allowed = self.atol + self.rtol * torch.maximum(y.abs(), at.abs())
        norm = (error / allowed).double().square().flatten(1).mean(1).sqrt().cpu()
        return Tried(at, slopes[-1], norm)

    def _slope(self, denoiser: Any, y: Tensor, angle: Tensor, cond: Given) -> tuple[Tensor, Any]:
        time = denoiser.process.time(angle)
        length, _ = denoiser.process.coordinate(time)
        return denoiser.turn(y * match(length, y).to(y), time, cond)
