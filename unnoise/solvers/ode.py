"""Solvers of the probability-flow ODE, in the angle."""

from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from unnoise.core.condition import Condition
from unnoise.core.distributions import Normal
from unnoise.core.noise import Noise
from unnoise.core.registry import register
from unnoise.processes import GaussianProcess
from unnoise.solvers.base import Leg, Moved, Solver


@register("solver", "heun")
@final
@dataclass(frozen=True)
class Heun(Solver):
    """Heun's method on the unit circle.

    ``d(x / rho) / d(phi) = (cos(phi) x / rho - x_0) / sin(phi)``

    Here rho^2 = alpha^2 + sigma^2 and phi is the angle; order two on every Gaussian process, and
    finite where alpha = 0. The step that ends in the data (phi = 0) is the denoiser's mean, as in
    DDIM. Two network calls a step, one in the last.

    References:
        Karras et al., Elucidating the design space of diffusion-based generative models,
        NeurIPS 2022, algorithm 1, there in sigma.
    """

    order: ClassVar[int | None] = 2
    calls: ClassVar[int] = 2

    def numbers(
        self, process: GaussianProcess, times: Tensor, data: Normal | None
    ) -> list[tuple[float, ...]]:
        alpha, sigma = process.scales(times)
        rho, phi = (alpha**2 + sigma**2).sqrt(), torch.atan2(sigma, alpha)
        columns = torch.stack([rho[:-1], phi[:-1], rho[1:], phi[1:]], 1)
        return [tuple(row) for row in columns.tolist()]

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
        rho, phi, next_rho, next_phi = leg.numbers
        belief: Normal = denoiser(x, leg.t, cond)
        if next_phi == 0:
            return Moved(belief.mean, belief)
        process: GaussianProcess = denoiser.process
        slope = process.turning(belief.mean, x, leg.t)
        guess = (x / rho + (next_phi - phi) * slope) * next_rho
        next_slope = process.turning(denoiser(guess, leg.s, cond).mean, guess, leg.s)
        turned = x / rho + (next_phi - phi) / 2 * (slope + next_slope)
        return Moved(turned * next_rho, belief)
