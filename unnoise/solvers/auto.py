"""The default sampler: an exponential integrator, exact for Gaussian data, and its time grid."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, final

import torch
from torch import Tensor

from unnoise.catalogue.ranges import Positive
from unnoise.catalogue.registry import register
from unnoise.processes import GaussianProcess
from unnoise.solvers.grids import Grid, levels
from unnoise.solvers.multistep import (
    Combination,
    Frame,
    Multistep,
    alike,
    gauss_legendre,
    lagrange,
    newest,
)
from unnoise.spaces.moments import Moments


def _quadrature(high: Tensor, low: Tensor) -> tuple[Tensor, Tensor]:
    """Nodes and weights of integrals over u from ``low`` to ``high`` (R,), shape (R, q)."""
    # Down to 0, u = high v^2 crowds the nodes where the integrand bends.
    v, dv = gauss_legendre(0.0, 1.0)
    down = high[:, None] * v**2, 2 * high[:, None] * v * dv
    v, dv = gauss_legendre(low.log(), high.log())
    ends = (low == 0)[:, None]
    return torch.where(ends, down[0], v.exp()), torch.where(ends, down[1], v.exp() * dv)


@register("solver", "auto")
@final
@dataclass(frozen=True)
class GaussianExponential(Multistep):
    """The default solver: exponential multistep integrator, exact on Gaussian data, order up to 4.

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
        places = _places(process, times, data, self.knee)
        rule = partial(_weights, places)
        steps = len(times) - 1
        order = max(1, min(4, (steps + 1) // 2))
        # The step into the data extrapolates far: two rests do.
        depths = [2 if float(t) == 0 else order for t in times[1:]]
        ahead = alike([newest(i, depth) for i, depth in enumerate(depths)], rule)
        made_again = [[i + 1, *newest(i, order - 1)] for i in range(steps - 1)]
        rows = _rows(places, ahead, alike([*made_again, []], rule), data)
        return rows if data is not None and data.axes is not None else list(map(_squeezed, rows))


class _Places(NamedTuple):
    """Numbers of a grid's times, and of D axes of the data (one where all are alike), float64."""

    alpha: Tensor
    sigma: Tensor
    level: Tensor  # sigma / alpha
    even: Tensor  # in which rests are interpolated
    knee: float
    variance: Tensor


def _places(process: GaussianProcess, times: Tensor, data: Moments | None, knee: float) -> _Places:
    variance = torch.tensor([1.0 if data is None else data.variance]).double()
    if data is not None and data.axes is not None:
        variance = data.variances
    knee = knee * float(variance.mean()) ** 0.5
    # Pure noise is infinitely far away; nothing changes between there and t_max.
    level = process.angle(times.clamp(max=process.t_max)).tan()
    return _Places(*process.scales(times), level, torch.asinh(level / knee), knee, variance)


def _weights(places: _Places, rows: Tensor, at: Tensor) -> Tensor:
    """Of the rests at nodes ``at`` (R, m) in the steps from times[rows], shape (R, m, D)."""
    u, du = _quadrature(places.level[rows], places.level[rows + 1])
    basis = lagrange(places.even[at], torch.asinh(u / places.knee))
    # From here on rows, axes, nodes of the quadrature.
    u, du, shares = u[:, None], du[:, None], places.variance[:, None]
    low = places.level[rows + 1, None, None]
    kernel = (shares + low**2).sqrt() * u / (shares + u**2) ** 1.5 * du
    return places.alpha[rows + 1, None, None] * torch.einsum("rdq,rmq->rmd", kernel, basis)


def _rows(
    places: _Places, ahead: list[list[Any]], again: list[list[Any]], data: Moments | None
) -> list[Combination]:
    """The steps, of their weights and of those that make the step before again."""
    alpha, variance, noise = places.alpha[:, None], places.variance, places.sigma[:-1, None] ** 2
    spread = (alpha**2 * variance + places.sigma[:, None] ** 2).sqrt()
    keep = (spread[1:] / spread[:-1]).unbind()
    seen = (-alpha[:-1] * variance / noise).unbind(), (spread[:-1] ** 2 / noise).unbind()
    alphas: list[float] = places.alpha.tolist()
    return [
        Combination(
            seen=(seen[0][i], seen[1][i]),
            keep=keep[i],
            weights=ahead[i],
            again=(keep[i - 1], again[i - 1]) if i else None,
            frame=Frame(data, alphas[i], alphas[i + 1]),
        )
        for i in range(len(keep))
    ]


def _squeezed(row: Combination) -> Combination:
    """Floats in place of tensors of one axis."""
    return row._replace(
        seen=tuple(map(float, row.seen)),
        keep=float(row.keep),
        weights=list(map(float, row.weights)),
        again=row.again and (float(row.again[0]), list(map(float, row.again[1]))),
    )


def _even(high: float, low: float, count: int) -> Tensor:
    """Logarithms of ``count`` levels, even from ``high`` to ``low``."""
    return torch.linspace(math.log(high), math.log(low), count, dtype=torch.float64)


@register("grid", "auto")
@final
@dataclass(frozen=True)
class AutoGrid(Grid):
    """The default time grid: few steps at high noise, then steps even in log(sigma / alpha).

    With std the data's standard deviation and N steps: N / 10 steps (at least one) from the start
    down to sigma / alpha = 4 std sqrt(N / 5), at most 16 std; the others, even in log(sigma /
    alpha), down to std max(0.6 / N, 6 / N^2). The rule was fitted on mixtures of Gaussians to the
    solver "auto".
    """

    def times(self, process: Any, start: float, count: int, data: Moments | None) -> Tensor:
        std = 1.0 if data is None else data.variance**0.5
        first, least = levels(process, start)
        last = max(least, std * max(0.6 / count, 6 / count**2))
        knee = min(first, std * min(4 * math.sqrt(count / 5), 16.0))
        above = min(max(1, round(count / 10)), count - 1) if knee < first else 0
        if last >= knee:
            last, above = min(last, first / 2), 0
        below = _even(knee if above else first, last, count - above)
        logs = torch.cat([_even(first, knee, above + 1)[:-1], below])
        times = process.time(torch.atan(logs.exp()))
        times[0] = start
        return times
