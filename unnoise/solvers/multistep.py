"""Solvers that remember what was believed before."""

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from unnoise.core.condition import Condition
from unnoise.core.distributions import Normal
from unnoise.core.moments import Moments
from unnoise.core.noise import Noise
from unnoise.core.registry import register
from unnoise.processes import GaussianProcess
from unnoise.solvers.base import Leg, Moved, Solver


@register("solver", "dpmpp-2m")
@final
@dataclass(frozen=True)
class DPMSolverPP(Solver):
    """DPM-Solver++(2M): ``x_s = A x + B (x0_hat + c (x0_hat - previous x0_hat))``.

    A and B are DDIM's; with lambda half the log SNR and h its steps, c = h / (2 h_previous). The
    first step and the one that ends in the data are of first order (c = 0).

    References:
        Lu et al., DPM-Solver++: fast solver for guided sampling of diffusion probabilistic models,
        2022, algorithm 2.
    """

    order = 2

    def numbers(
        self, process: GaussianProcess, times: Tensor, data: Moments | None
    ) -> list[tuple[float, ...]]:
        keep, pull, _ = process.bridge_scales(times[:-1], times[1:], 0.0)
        step = (process.log_snr(times) / 2).diff()
        # Where the noise is pure lambda is -inf, where the data is clean +inf: both give c = 0.
        ratio = torch.zeros_like(step)
        ratio[1:] = step[1:] / (2 * step[:-1])
        ratio = torch.where(torch.isfinite(step) & torch.isfinite(ratio), ratio, 0.0)
        return [tuple(row) for row in torch.stack([keep, pull, ratio], 1).tolist()]

    def step(
        self,
        denoiser: Any,
        x: Tensor,
        leg: Leg,
        *,
        cond: Condition | None,
        noise: Noise,
        memory: Tensor | None = None,
    ) -> Moved:
        keep, pull, ratio = leg.numbers
        belief: Normal = denoiser(x, leg.t, cond)
        ahead = belief.mean
        if memory is not None and ratio:
            ahead = torch.lerp(memory, belief.mean, 1 + ratio)
        return Moved(keep * x + pull * ahead, belief, belief.mean)
