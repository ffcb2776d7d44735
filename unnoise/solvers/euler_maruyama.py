"""Euler-Maruyama solver of the reverse SDE; it needs only a process's drift and diffusion."""

from dataclasses import dataclass
from typing import Any, ClassVar, final

from torch import Tensor

from unnoise.catalogue.registry import register
from unnoise.core.condition import Given
from unnoise.core.noise import Noise
from unnoise.processes import SDE
from unnoise.processes.base import Local
from unnoise.solvers.base import Leg, Moved, Solver
from unnoise.spaces.moments import Moments


@register("solver", "euler-maruyama")
@final
@dataclass(frozen=True)
class EulerMaruyama(Solver):
    """Euler-Maruyama on the reverse SDE, with h = t - s.

    ``x_s = x - (f - div(L L^T) - L L^T score) h + sqrt(h) L z``; the step into the data adds no
    noise. Works on every SDE, L = g on Gaussian processes.

    References:
        Song et al., Score-based generative modeling through SDEs, ICLR 2021, eq. 6, appendix A, D.
    """

    needs: ClassVar[type] = SDE
    order = 1
    divides_by_alpha = True

    def numbers(
        self, process: Any, times: Tensor, data: Moments | None
    ) -> list[tuple[float, Local]]:
        return list(zip((-times.diff()).tolist(), process.local(times[:-1]), strict=True))

    def step(
        self, denoiser: Any, x: Tensor, leg: Leg, *, cond: Given, noise: Noise, memory: Any = None
    ) -> Moved:
        size, here = leg.numbers
        z = noise.normal(x) if leg.s > 0 else None
        return Moved(here.back(x, denoiser.score(x, leg.t, cond), size, z), None)
