"""Solver -> solver: what changes the walk without changing its steps."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import torch
from torch import Tensor

from unnoise.catalogue.ranges import Draws, NotNegative, Positive
from unnoise.catalogue.registry import register
from unnoise.core.condition import Condition
from unnoise.core.errors import InputError
from unnoise.core.moments import Moments
from unnoise.core.noise import Noise
from unnoise.processes import GaussianProcess
from unnoise.solvers.base import Leg, Moved, Solver
from unnoise.solvers.correctors import Corrector, Langevin
from unnoise.solvers.ode import Heun
from unnoise.solvers.onestep import ReverseDiffusion


@final
@dataclass(frozen=True)
class Stay(Solver):
    """A predictor that only changes the level, and takes the denoiser's mean at the end.

    ``x_s = x max(alpha_s, 1/2) / max(alpha_t, 1/2)``: unchanged on VE, as in the paper; where alpha
    moves, signal that noise no longer hides keeps its scale. No solver by itself; with a Langevin
    corrector it is annealed Langevin dynamics.

    References:
        Song and Ermon, NeurIPS 2019, algorithm 1; the last denoising step: Jolicoeur-Martineau et
        al., ICLR 2021, section 3.
    """

    calls = 0

    def numbers(self, process: GaussianProcess, times: Tensor, data: Moments | None) -> list[float]:
        scale = process.scales(times)[0].clamp(min=0.5)
        return (scale[1:] / scale[:-1]).tolist()

    def step(
        self,
        denoiser: Any,
        x: Tensor,
        leg: Leg,
        *,
        cond: Condition | None,
        noise: Noise,
        memory: Any = None,
    ) -> Moved:
        return Moved(x * leg.numbers, None) if leg.s > 0 else Moved(*denoiser.land(x, leg.t, cond))


class Pair(NamedTuple):
    """The numbers of a corrected step."""

    corrector: Any
    predictor: Leg


@register("solver", "predictor-corrector")
@final
@dataclass(frozen=True)
class Corrected(Solver):
    """Predictor-corrector sampling: at each level first correct, then step to the next.

    Arguments:
        predictor: any solver.
        corrector: any corrector.

    References:
        Song et al., Score-based generative modeling through SDEs, ICLR 2021, algorithm 1 (the
        order of the two is that of the authors' code).
    """

    predictor: Solver = ReverseDiffusion()
    corrector: Corrector = Langevin()

    def __post_init__(self) -> None:
        coupled = self.predictor.couples_batch or self.corrector.couples_batch
        object.__setattr__(self, "couples_batch", coupled)
        object.__setattr__(self, "divides_by_alpha", self.predictor.divides_by_alpha)
        asked = self.predictor.calls
        calls = None if asked is None else asked + self.corrector.calls
        object.__setattr__(self, "calls", calls)

    def numbers(self, process: GaussianProcess, times: Tensor, data: Moments | None) -> list[Pair]:
        legs = self.predictor.plan(process, times, data)
        return [
            Pair(*pair) for pair in zip(self.corrector.numbers(process, times), legs, strict=True)
        ]

    def step(
        self,
        denoiser: Any,
        x: Tensor,
        leg: Leg,
        *,
        cond: Condition | None,
        noise: Noise,
        memory: Any = None,
    ) -> Moved:
        numbers: Pair = leg.numbers
        x = self.corrector.correct(
            denoiser, x, leg.t, numbers.corrector, cond=cond, noise=noise.child("corrector")
        )
        return self.predictor.step(
            denoiser,
            x,
            numbers.predictor,
            cond=cond,
            noise=noise.child("predictor"),
            memory=memory,
        )


@register("solver", "annealed-langevin")
def annealed_langevin(snr: Positive = 0.22, repeats: Draws = 10) -> Corrected:
    """Annealed Langevin dynamics: Langevin steps at each level, then on to the next.

    Arguments:
        snr: step size in units of the noise level, > 0.
        repeats: steps at each level.

    References:
        Song and Ermon, NeurIPS 2019, algorithm 1, whose steps are epsilon sigma_i^2 / sigma_L^2.
    """
    return Corrected(Stay(), Langevin(snr, repeats))


class Raised(NamedTuple):
    """The numbers of a churned step: x_up = keep x + spread z, then the inner leg from there."""

    keep: float
    spread: float
    inner: Leg


@register("solver", "churned")
@final
@dataclass(frozen=True)
class Churned(Solver):
    """Before each step, noise is added to raise the level by a factor 1 + gamma.

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
        self,
        denoiser: Any,
        x: Tensor,
        leg: Leg,
        *,
        cond: Condition | None,
        noise: Noise,
        memory: Any = None,
    ) -> Moved:
        keep, spread, inner = leg.numbers
        if spread:
            x = keep * x + spread * noise.child("churn").normal(x)
        moved = self.solver.step(denoiser, x, inner, cond=cond, noise=noise.child("inner"))
        return moved._replace(memory=None)
