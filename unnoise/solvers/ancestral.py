"""Ancestral sampling (DDPM) for every process with known bridges q(x_s | x_t, x_0)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

from torch import Tensor

from unnoise.catalogue.registry import register
from unnoise.core.condition import Given
from unnoise.core.noise import Noise
from unnoise.processes import Process
from unnoise.solvers.base import Leg, Moved, Solver
from unnoise.spaces.moments import Moments


@register("solver", "ancestral")
@final
@dataclass(frozen=True)
class Ancestral(Solver):
    """Ancestral sampling (DDPM): draw x_s from q(x_s | x_t, x_0), averaged over the belief.

    On Gaussian processes this is DDPM's sampler and both of score SDE's ancestral predictors.

    References:
        Ho et al., Denoising diffusion probabilistic models, NeurIPS 2020, algorithm 2; Song et
        al., ICLR 2021, appendix F.
    """

    needs: ClassVar[type] = Process
    order = 1

    def numbers(self, process: Any, times: Tensor, data: Moments | None) -> Sequence[Any]:
        return process.bridges(times)

    def step(
        self, denoiser: Any, x: Tensor, leg: Leg, *, cond: Given, noise: Noise, memory: Any = None
    ) -> Moved:
        belief = denoiser(x, leg.t, cond)
        return Moved(leg.numbers(belief, x).sample(noise), belief)
