"""Exponential Adams methods: one integral of an interpolated prediction, under three names.

With u = sigma / alpha and lambda = -log u, half the log SNR, the probability-flow ODE is solved by

    x_s = (sigma_s / sigma_t) x_t + alpha_s int e^-(lambda_s - lambda) x0_hat dlambda
        = (alpha_s / alpha_t) x_t - alpha_s int e^-lambda eps_hat dlambda,

and the solvers differ in which prediction they interpolate in lambda, and in whether they make the
last step again when the next prediction is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, final

import torch
from annotated_types import Interval
from torch import Tensor

from unnoise.catalogue.ranges import Fraction
from unnoise.catalogue.registry import register
from unnoise.core.moments import Moments
from unnoise.processes import GaussianProcess
from unnoise.solvers.multistep import (
    Combination,
    Multistep,
    alike,
    gauss_legendre,
    lagrange,
    newest,
)

ToThree = Annotated[int, Interval(ge=1, le=3)]
ToFour = Annotated[int, Interval(ge=1, le=4)]


def _clean_weights(
    place: Tensor, histories: Sequence[list[int]], rate: float, scale: Tensor
) -> list[list[float]]:
    """Weights of x0_hat at the nodes of each step.

    The integral is ``scale rate int e^-rate(lambda_s - lambda) x0_hat dlambda`` over the step.
    ``place`` is lambda on the grid, -inf for noise alone and +inf for the data; noise alone is no
    node to interpolate through, and the step into the data takes the newest x0_hat as it is. A
    straight interpolant is taken at the middle of the step, as the authors of the solvers do; bent
    ones are integrated by quadrature.
    """
    far = torch.isinf(place).tolist()
    nodes = [
        list(known[:1]) if far[i] or far[i + 1] else [node for node in known if not far[node]]
        for i, known in enumerate(histories)
    ]

    def rule(steps: Tensor, at: Tensor) -> Tensor:
        start, end, by = place[steps], place[steps + 1], scale[steps, None]
        whole = -torch.expm1(-rate * (end - start))[:, None]
        if at.shape[1] == 1:
            return by * whole
        if at.shape[1] == 2:
            middle = ((start + end) / 2)[:, None]
            return by * whole * lagrange(place[at], middle)[..., 0]
        q, width = gauss_legendre(start, end)
        kernel = rate * torch.exp(-rate * (end[:, None] - q)) * width
        return by * (lagrange(place[at], q) * kernel[:, None]).sum(2)

    return alike(nodes, rule)


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
        weights = _clean_weights(place, histories, 1 + self.eta, alpha[1:])
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
    """DPM-Solver++ of order 2 on the reverse SDE, which forgives errors that the ODE keeps.

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


@register("solver", "unipc")
@final
@dataclass(frozen=True)
class UniPC(Multistep):
    """The unified predictor-corrector: DPM-Solver++ that makes its last step again, for nothing.

    The predictor UniP interpolates x0_hat through the newest ``depth`` predictions; when the next
    one is known, the corrector UniC does the step again with it among them, which gains an order.
    B(h) is the authors' second choice, e^h - 1, which only matters where the interpolant is
    straight.

    Arguments:
        depth: predictions that a step looks at, 1 to 3; the order is depth + 1.

    References:
        Zhao et al., UniPC: a unified predictor-corrector framework for fast sampling of diffusion
        models, NeurIPS 2023, algorithms 5-8.
    """

    depth: ToThree = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", self.depth + 1)

    def numbers(
        self, process: GaussianProcess, times: Tensor, data: Moments | None
    ) -> list[Combination]:
        alpha, sigma = process.scales(times)
        place = process.log_snr(times) / 2
        keep = (sigma[1:] / sigma[:-1]).tolist()
        count = range(len(keep))
        ahead = _clean_weights(place, [newest(i, self.depth) for i in count], 1.0, alpha[1:])
        made_again = [[i + 1, *newest(i, self.depth)] for i in count[:-1]]
        again = _clean_weights(place, [*made_again, []], 1.0, alpha[1:])
        rows: list[Combination] = []
        for i in count:
            # A step from pure noise has nothing between its ends to be made better by.
            known = i and bool(torch.isfinite(place[i - 1]))
            before = (keep[i - 1], again[i - 1]) if known else None
            rows.append(Combination((0.0, 1.0), keep[i], ahead[i], again=before))
        return rows


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
