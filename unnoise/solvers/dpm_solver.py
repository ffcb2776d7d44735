"""DPM-Solver++ (Lu et al. 2022), of orders 1 to 3, on the ODE and on the reverse SDE."""

from dataclasses import dataclass
from typing import Annotated, final

import torch
from annotated_types import Interval
from torch import Tensor

from unnoise.catalogue.ranges import Fraction
from unnoise.catalogue.registry import register
from unnoise.processes import GaussianProcess
from unnoise.solvers.multistep import (
    Combination,
    Multistep,
    clean_weights,
    newest,
)
from unnoise.spaces.moments import Moments

ToThree = Annotated[int, Interval(ge=1, le=3)]


@register("solver", "dpmpp-2m")
@final
@dataclass(frozen=True)
class DPMSolverPP(Multistep):
    """DPM-Solver++, multistep: x0_hat is interpolated through the newest ``depth`` predictions.

    With two it is ``x_s = A x + B (x0_hat + c (x0_hat - previous x0_hat))`` with DDIM's A and B
    and c = h / (2 h_previous), with one DDIM itself. With eta the walk is that of the SDE whose
    noise is eta times the reverse one's variance: ``A = sigma_s / sigma_t e^(-eta h)``,
    ``B = alpha_s (1 - e^-(1 + eta) h)``, noise of variance ``sigma_s^2 (1 - e^(-2 eta h))``. The
    first steps have what history there is; the one into the data is of first order.

    Arguments:
        depth: 1, 2 or 3, which is its order (with eta > 0 a weak one, and 3 gain none over 2). The
            authors' third-order step holds half of the quadratic term that the integral has, and
            is of second order by measurement; this one holds all of it.
        eta: share of the reverse SDE's noise, in [0, 1]; 0 is the ODE.

    References:
        Lu et al., DPM-Solver++: fast solver for guided sampling of diffusion probabilistic models,
        2022, algorithm 2, eq. 17 and 18.
    """

    depth: ToThree = 2
    eta: Fraction = 0.0

    def __post_init__(self) -> None:
        # Predictions on a random path are rough: more than two of them gain no weak order.
        object.__setattr__(self, "order", self.depth if self.eta == 0 or self.depth < 3 else None)

    def numbers(
        self, process: GaussianProcess, times: Tensor, data: Moments | None
    ) -> list[Combination]:
        alpha, sigma = process.scales(times)
        place = process.log_snr(times) / 2
        # From pure noise to anywhere is infinitely far; nothing of it is then left.
        forgotten = (self.eta * place.diff().clamp(max=1e4)).neg()
        keep = (sigma[1:] / sigma[:-1] * forgotten.exp()).tolist()
        spread = (sigma[1:] * (-torch.expm1(2 * forgotten)).sqrt()).tolist()
        histories = [newest(i, self.depth) for i in range(len(keep))]
        weights = clean_weights(place, histories, 1 + self.eta, alpha[1:])
        return [Combination((0.0, 1.0), *row) for row in zip(keep, weights, spread, strict=True)]


@register("solver", "dpmpp-3m")
def dpmpp_3m() -> DPMSolverPP:
    """DPM-Solver++ of order 3: interpolates through the last three predictions.

    References:
        Lu et al., DPM-Solver++, 2022, section 4; ``DPMSolverPP`` says where this one parts from it.
    """
    return DPMSolverPP(3)


@register("solver", "dpmpp-2m-sde")
def dpmpp_2m_sde(eta: Fraction = 1.0) -> DPMSolverPP:
    """DPM-Solver++ of order 2 on the reverse SDE, whose noise corrects errors that the ODE keeps.

    Arguments:
        eta: share of the reverse SDE's noise, in [0, 1].

    References:
        Lu et al., DPM-Solver++, 2022, eq. 18.
    """
    return DPMSolverPP(2, eta)


@register("solver", "dpmpp-3m-sde")
def dpmpp_3m_sde(eta: Fraction = 1.0) -> DPMSolverPP:
    """DPM-Solver++ of order 3 on the reverse SDE.

    Arguments:
        eta: share of the reverse SDE's noise, in [0, 1].

    References:
        Lu et al., DPM-Solver++, 2022, eq. 18.
    """
    return DPMSolverPP(3, eta)
