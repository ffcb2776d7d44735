"""DEIS (Zhang and Chen 2023), the diffusion exponential integrator."""

from dataclasses import dataclass
from typing import Annotated, final

import torch
from annotated_types import Interval
from torch import Tensor

from unnoise.catalogue.registry import register
from unnoise.processes import GaussianProcess
from unnoise.solvers.multistep import (
    Combination,
    Multistep,
    alike,
    gauss_legendre,
    lagrange,
    newest,
)
from unnoise.spaces.moments import Moments

ToFour = Annotated[int, Interval(ge=1, le=4)]


@register("solver", "deis")
@final
@dataclass(frozen=True)
class DEIS(Multistep):
    """Diffusion exponential integrator: eps_hat is interpolated in log(sigma / alpha).

    ``x_s = (alpha_s / alpha_t) x_t + sum_j C_j eps_hat_j`` with coefficients integrated by
    Gauss-Legendre quadrature in float64. With one prediction it is DDIM. The step into the data is
    of first order, and the first ones have what history there is.

    Arguments:
        depth: predictions that a step looks at, 1 to 4; the order.

    References:
        Zhang and Chen, Fast sampling of diffusion models with exponential integrator, ICLR 2023,
        eq. 14-15 (tAB-DEIS there interpolates in t; log rho is of the authors' code).
    """

    divides_by_alpha = True

    depth: ToFour = 3

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", self.depth)

    def numbers(
        self, process: GaussianProcess, times: Tensor, data: Moments | None
    ) -> list[Combination]:
        alpha, sigma = process.scales(times)
        place = process.log_snr(times) / 2
        ends, count = float(times[-1]) == 0, len(times) - 1
        # The step into the data is of first order: eps_hat as it is.
        histories = [newest(i, 1 if ends and i == count - 1 else self.depth) for i in range(count)]

        def rule(steps: Tensor, at: Tensor) -> Tensor:
            scale = alpha[steps + 1, None]
            if at.shape[1] == 1:
                # -int e^-lambda over the step, also where it ends in the data
                ratio = sigma / alpha
                return scale * (ratio[steps + 1] - ratio[steps])[:, None]
            q, width = gauss_legendre(place[steps], place[steps + 1])
            return scale * (lagrange(place[at], q) * (-torch.exp(-q) * width)[:, None]).sum(2)

        weights = alike(histories, rule)
        seen = torch.stack([1 / sigma, -alpha / sigma], 1)[:-1].tolist()
        keep = (alpha[1:] / alpha[:-1]).tolist()
        return [
            Combination((one, other), kept, row)
            for (one, other), kept, row in zip(seen, keep, weights, strict=True)
        ]
