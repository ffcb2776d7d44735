"""Runge-Kutta solvers of the probability-flow ODE with fixed steps: Euler, Heun, RK4."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, final

import torch
from torch import Tensor

from unnoise.catalogue.registry import register
from unnoise.core.condition import Given
from unnoise.core.noise import Noise
from unnoise.processes import SDE
from unnoise.solvers.base import Leg, Moved, Solver
from unnoise.spaces.moments import Moments


class Tableau(NamedTuple):
    """Butcher tableau of an explicit Runge-Kutta method.

    Stage k is at ``nodes[k]`` of the step, from ``y + h sum_j rows[k][j] slope_j``; the step is
    ``y + h sum_k weights[k] slope_k``.
    """

    nodes: tuple[float, ...]
    rows: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]


class Stages(NamedTuple):
    """Coefficients of one Runge-Kutta step: its size, and time and length at every stage."""

    size: float
    times: list[Tensor]
    lengths: list[float]
    last_length: float


def combine(y: Tensor, factors: tuple[float, ...], slopes: list[Tensor], size: float) -> Tensor:
    """Runge-Kutta update: y + size sum_k factors[k] slopes[k]."""
    for factor, slope in zip(factors, slopes, strict=True):
        if factor:
            y = torch.add(y, slope, alpha=size * factor)
    return y


class RungeKutta(Solver, ABC):
    """Explicit Runge-Kutta method on the probability-flow ODE, as ``d(x / length) / d(angle)``.

    On Gaussian processes length and angle are those of the circle, where the ODE is smooth on every
    process, also where alpha = 0. The step that ends in the data is the denoiser's mean, as in
    DDIM. Rising times walk from the data to the noise.
    """

    needs: ClassVar[type] = SDE
    both_ways = True

    @abstractmethod
    def tableau(self) -> Tableau:
        """Butcher tableau of the method."""

    @final
    def numbers(self, process: Any, times: Tensor, data: Moments | None) -> list[Stages]:
        nodes = torch.tensor(self.tableau().nodes, dtype=torch.float64)
        lengths, angles = process.coordinate(times)
        sizes = angles.diff()
        stages = process.time(angles[:-1, None] + sizes[:, None] * nodes)
        # Ends exactly as they were given: the inverse of the schedule is only good to 1e-13.
        stages[:, nodes == 0] = times[:-1, None]
        stages[:, nodes == 1] = times[1:, None]
        within, _ = process.coordinate(stages)
        rows: list[Stages] = []
        for size, at, of, last in zip(sizes, stages, within.tolist(), lengths[1:], strict=True):
            rows.append(Stages(float(size), list(at), of, float(last)))
        return rows

    @final
    def step(
        self, denoiser: Any, x: Tensor, leg: Leg, *, cond: Given, noise: Noise, memory: Any = None
    ) -> Moved:
        if leg.s == 0:
            return Moved(*denoiser.land(x, leg.t, cond))
        tableau, (size, times, lengths, last) = self.tableau(), leg.numbers
        y, belief, slopes = x / lengths[0], None, list[Tensor]()
        for time, length, row in zip(times, lengths, tableau.rows, strict=True):
            at = combine(y, row, slopes, size) * length if slopes else x
            slope, believed = denoiser.turn(at, time, cond)
            slopes.append(slope)
            belief = belief or believed
        return Moved(combine(y, tableau.weights, slopes, size) * last, belief)


@register("solver", "euler")
@final
@dataclass(frozen=True)
class Euler(RungeKutta):
    """Euler's method on the probability-flow ODE; DDIM(eta = 0) is the exponential Euler method."""

    order = 1

    def tableau(self) -> Tableau:
        return Tableau((0.0,), ((),), (1.0,))


@register("solver", "heun")
@final
@dataclass(frozen=True)
class Heun(RungeKutta):
    """Heun's method on the probability-flow ODE, two network calls a step.

    ``d(x / rho) / d(phi) = (cos(phi) x / rho - x_0) / sin(phi)``

    References:
        Karras et al., Elucidating the design space of diffusion-based generative models,
        NeurIPS 2022, algorithm 1, there in sigma.
    """

    order = 2
    calls = 2

    def tableau(self) -> Tableau:
        return Tableau((0.0, 1.0), ((), (1.0,)), (0.5, 0.5))


@register("solver", "rk4")
@final
@dataclass(frozen=True)
class RK4(RungeKutta):
    """The classical Runge-Kutta method on the probability-flow ODE, four network calls a step.

    References:
        Kutta, Beitrag zur naeherungsweisen Integration totaler Differentialgleichungen, 1901.
    """

    order = 4
    calls = 4

    def tableau(self) -> Tableau:
        rows = ((), (0.5,), (0.0, 0.5), (0.0, 0.0, 1.0))
        return Tableau((0.0, 0.5, 0.5, 1.0), rows, (1 / 6, 1 / 3, 1 / 3, 1 / 6))
