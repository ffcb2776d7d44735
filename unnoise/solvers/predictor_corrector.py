"""Predictor-corrector samplers (Song et al. 2021), annealed Langevin dynamics among them."""

from dataclasses import dataclass
from typing import Any, NamedTuple, final

from torch import Tensor

from unnoise.catalogue.ranges import Draws, Positive
from unnoise.catalogue.registry import register
from unnoise.core.condition import Given
from unnoise.core.noise import Noise
from unnoise.processes import GaussianProcess
from unnoise.solvers.base import Leg, Moved, Solver
from unnoise.solvers.langevin import Corrector, Langevin
from unnoise.solvers.reverse_diffusion import ReverseDiffusion
from unnoise.spaces.moments import Moments


@final
@dataclass(frozen=True)
class Stay(Solver):
    """Trivial predictor: only changes the noise level, and denoises to the mean at the end.

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
        self, denoiser: Any, x: Tensor, leg: Leg, *, cond: Given, noise: Noise, memory: Any = None
    ) -> Moved:
        return Moved(x * leg.numbers, None) if leg.s > 0 else Moved(*denoiser.land(x, leg.t, cond))


class Pair(NamedTuple):
    """Coefficients of a predictor-corrector step."""

    corrector: Any
    predictor: Leg


@register("solver", "predictor-corrector")
@final
@dataclass(frozen=True)
class PredictorCorrector(Solver):
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
        self, denoiser: Any, x: Tensor, leg: Leg, *, cond: Given, noise: Noise, memory: Any = None
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
def annealed_langevin(snr: Positive = 0.22, repeats: Draws = 10) -> PredictorCorrector:
    """Annealed Langevin dynamics: Langevin steps at each level, then on to the next.

    Arguments:
        snr: step size in units of the noise level, > 0.
        repeats: steps at each level.

    References:
        Song and Ermon, NeurIPS 2019, algorithm 1, whose steps are epsilon sigma_i^2 / sigma_L^2.
    """
    return PredictorCorrector(Stay(), Langevin(snr, repeats))
