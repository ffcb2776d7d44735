"""The reverse diffusion sampler of score SDE (Song et al. 2021)."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from unnoise.catalogue.registry import register
from unnoise.processes import GaussianProcess
from unnoise.solvers.base import OneStep


@register("solver", "reverse-diffusion")
@final
@dataclass(frozen=True)
class ReverseDiffusion(OneStep):
    """Reverse diffusion sampler: the reverse SDE discretised in the way of the forward SDE.

    ``x_s = (2 - a) x + v score + sqrt(v) z`` with ``q(x_t | x_s) = N(a x_s, v)``. The step
    into the data adds no noise.

    References:
        Song et al., Score-based generative modeling through SDEs, ICLR 2021, appendix E, eq. 46.
    """

    order = 1
    divides_by_alpha = True

    def coefficients(
        self, process: GaussianProcess, t: Tensor, s: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        alpha, sigma = process.scales(t)
        a, v = process.transition(s, t)
        # score = (alpha x0_hat - x) / sigma^2
        lower = torch.where(s == 0, torch.zeros_like(v), v)
        return 2 - a - v / sigma**2, v * alpha / sigma**2, lower, torch.zeros_like(v)
