"""Exponential multistep: the data's Gaussian is solved exactly, the rest is interpolated."""

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from unnoise.core.moments import Moments
from unnoise.core.ranges import Positive
from unnoise.core.registry import register
from unnoise.processes import GaussianProcess
from unnoise.solvers.multistep import (
    Combination,
    Frame,
    Multistep,
    gauss_legendre,
    lagrange,
    newest,
)


def _quadrature(high: Tensor, low: Tensor) -> tuple[Tensor, Tensor]:
    """Nodes and weights of an integral over u from ``low`` to ``high``."""
    if low == 0:  # u = high v^2 crowds the nodes where the integrand bends
        v, dv = gauss_legendre(0.0, 1.0)
        return high * v**2, 2 * high * v * dv
    v, dv = gauss_legendre(low.log(), high.log())
    return v.exp(), v.exp() * dv


@register("solver", "auto")
@final
@dataclass(frozen=True)
class Auto(Multistep):
    """The default: an exponential multistep method around the data's own Gaussian, order up to 4.

    With u = sigma / alpha and data of mean m and variance lambda along an axis, the
    probability-flow ODE of ``w = x - alpha m`` is solved as

        ``w_s = sqrt((alpha_s^2 lambda + sigma_s^2) / (alpha_t^2 lambda + sigma_t^2)) w_t
        + alpha_s int sqrt((lambda + u_s^2) / (lambda + u^2)) u / (lambda + u^2) rest(u) du``,

    where ``rest = (1 + lambda / u^2) (x0_hat - m - gain w)``, gain = alpha lambda / (alpha^2 lambda
    + sigma^2), is what the Gaussian does not explain. It is interpolated in arcsinh(u / (knee std))
    through the newest beliefs and integrated by Gauss-Legendre quadrature in float64, so Gaussian
    data is solved exactly in one step. When the next belief is known the last step is made again
    with it, at no network call. Mean and covariance come from the model file; without them unit
    variance is taken. Finite where alpha = 0. With its grid "auto" it has one rule for every number
    of steps: order min(4, (steps + 1) / 2).

    Arguments:
        knee: level, in units of the data's standard deviation, below which interpolation is even
            in u and above which it is even in log u.

    References:
        Exponential integrators: Hochbruck and Ostermann, Acta Numerica 2010, section 2.5;
        Zhang and Chen, Fast sampling of diffusion models with exponential integrator, ICLR 2023.
    """

    knee: Positive = 0.2

    def numbers(
        self, process: GaussianProcess, times: Tensor, data: Moments | None
    ) -> list[Combination]:
        alpha, sigma = process.scales(times)
        # Pure noise is infinitely far away; nothing changes between there and t_max.
        level = process.angle(times.clamp(max=process.t_max)).tan()
        known = data is not None and data.axes is not None
        variance = torch.tensor([1.0 if data is None else data.variance]).double()
        if data is not None and known:
            variance = data.variances
        knee = self.knee * float(variance.mean()) ** 0.5
        place = torch.asinh(level / knee)
        steps = len(times) - 1
        order = max(1, min(4, (steps + 1) // 2))

        def plain(value: Tensor) -> Any:
            return value if known else float(value)

        def weights(i: int, nodes: list[int]) -> list[Any]:
            """Of the rests at ``nodes`` in the step from times[i]."""
            u, du = _quadrature(level[i], level[i + 1])
            total = variance[:, None] + u**2
            kernel = (variance[:, None] + level[i + 1] ** 2).sqrt() * u / total**1.5 * du
            basis = lagrange(place[nodes], torch.asinh(u / knee))
            return [plain(alpha[i + 1] * (kernel * row).sum(1)) for row in basis]

        spread = (alpha[:, None] ** 2 * variance + sigma[:, None] ** 2).sqrt()
        rows: list[Combination] = []
        for i in range(steps):
            scale = spread[i] ** 2 / sigma[i] ** 2
            # The step into the data extrapolates far: two rests do.
            depth = 2 if times[i + 1] == 0 else order
            again = None
            if i:
                nodes = [i, *newest(i - 1, order - 1)]
                again = plain(spread[i] / spread[i - 1]), weights(i - 1, nodes)
            rows.append(
                Combination(
                    seen=(plain(-alpha[i] * variance / sigma[i] ** 2), plain(scale)),
                    keep=plain(spread[i + 1] / spread[i]),
                    weights=weights(i, newest(i, depth)),
                    again=again,
                    frame=Frame(data, float(alpha[i]), float(alpha[i + 1])),
                )
            )
        return rows
