"""EDM stochastic sampler (Karras et al. 2022): noise is added before each step of a solver."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import torch
from torch import Tensor

from unnoise.catalogue.ranges import NotNegative, Positive
from unnoise.catalogue.registry import register
from unnoise.core.condition import Given
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.processes import GaussianProcess
from unnoise.solvers.base import Leg, Moved, Solver
from unnoise.solvers.runge_kutta import Heun
from unnoise.spaces.moments import Moments


class Raised(NamedTuple):
    """Coefficients of a churned step: x_up = keep x + spread z, then the inner step from there."""

    keep: float
    spread: float
    inner: Leg


@register("solver", "churned")
@final
@dataclass(frozen=True)
class Churned(Solver):
    """EDM stochastic sampler (churn): before each step noise raises the level 1 + gamma times.

    ``gamma = min(churn / steps, sqrt(2) - 1)`` where sigma / alpha lies in [low, high], else 0.
    Levels are raised along the process's own transition, so the state stays in its law.

    Arguments:
        solver: steps from the raised level; one-step solvers only make sense here.
        churn: amount of noise put in over the whole walk; 0 changes nothing.
        low, high: levels sigma / alpha between which noise is added.
        inflate: standard deviation of the added noise over what the process would add.

    References:
        Karras et al., Elucidating the design space of diffusion-based generative models,
        NeurIPS 2022, algorithm 2 (S_churn, S_min, S_max, S_noise).
    """

    solver: Solver = Heun()
    churn: NotNegative = 40.0
    low: NotNegative = 0.05
    high: Positive = 50.0
    inflate: Positive = 1.003

    def __post_init__(self) -> None:
        if self.high <= self.low:
            raise InputError(f"high = {self.high:g} is not above low = {self.low:g}; it must be.")
        self.take_after(self.solver, self.solver.calls)

    def numbers(
        self, process: GaussianProcess, times: Tensor, data: Moments | None
    ) -> list[Raised]:
        steps = len(times) - 1
        gamma = min(self.churn / steps, math.sqrt(2) - 1)
        rows: list[Raised] = []
        level = process.angle(times).tan()
        for i in range(steps):
            ends = times[i : i + 2].clone()
            if gamma and self.low <= float(level[i]) <= self.high and float(ends[0]) < 1:
                # Not above the level where sampling starts.
                ends[0] = process.time(torch.atan(level[i] * (1 + gamma))).clamp(min=ends[0])
            keep, variance = 1.0, 0.0
            if ends[0] > times[i]:
                keep, variance = (float(n) for n in process.transition(times[i], ends[0]))
            spread = self.inflate * math.sqrt(max(variance, 0.0))
            rows.append(Raised(keep, spread, self.solver.plan(process, ends, data)[0]))
        return rows

    def step(
        self, denoiser: Any, x: Tensor, leg: Leg, *, cond: Given, noise: Noise, memory: Any = None
    ) -> Moved:
        keep, spread, inner = leg.numbers
        if spread:
            x = keep * x + spread * noise.child("churn").normal(x)
        moved = self.solver.step(denoiser, x, inner, cond=cond, noise=noise.child("inner"))
        return moved._replace(memory=None)
