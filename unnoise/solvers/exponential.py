"""Exponential multistep: the data's Gaussian is solved exactly, the rest is interpolated."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from unnoise.core.condition import Condition
from unnoise.core.distributions import Normal
from unnoise.core.moments import Moments
from unnoise.core.noise import Noise
from unnoise.core.ranges import Positive
from unnoise.core.registry import register
from unnoise.processes import GaussianProcess
from unnoise.solvers.base import Leg, Moved, Solver

NODES, WEIGHTS = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(24))


class Coefficients(NamedTuple):
    """The numbers of one step, each a float or, where the data's covariance is known, (D,).

    With w = axes^T (x - alpha mean): the rest of the belief is ``rest = scale (x0_hat - mean -
    gain w)``; ``w_s = keep w + sum_j weights[j] rest_j`` over the newest rests; ``again`` holds
    the weights that re-do the step before with the newest rest known, None at the first.
    """

    alpha: float
    next_alpha: float
    data: Moments | None
    gain: Any
    scale: Any
    keep: Any
    weights: list[Any]
    last_keep: Any
    again: list[Any] | None


class Remembered(NamedTuple):
    """The corrected state that the last step left from, and the rests, newest first."""

    w: Tensor
    rests: list[Tensor]


def _basis(nodes: Tensor, at: Tensor) -> Tensor:
    """Lagrange's polynomials of ``nodes`` (m,), at the places ``at`` (q,), shape (m, q)."""
    rows: list[Tensor] = []
    for i, node in enumerate(nodes):
        others = torch.cat([nodes[:i], nodes[i + 1 :]])
        rows.append(((at[None] - others[:, None]) / (node - others[:, None])).prod(0))
    return torch.stack(rows)


def _quadrature(high: float, low: float) -> tuple[Tensor, Tensor]:
    """Gauss-Legendre nodes and weights of an integral over u from ``low`` to ``high``."""
    half = 0.5 * (NODES + 1)
    if low == 0:  # u = high v^2 crowds the nodes where the integrand bends
        return high * half**2, WEIGHTS * high * half
    v = math.log(low) + half * math.log(high / low)
    u = v.exp()
    return u, 0.5 * WEIGHTS * math.log(high / low) * u


@register("solver", "auto")
@final
@dataclass(frozen=True)
class Auto(Solver):
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
    ) -> list[Coefficients]:
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
            u, du = _quadrature(float(level[i]), float(level[i + 1]))
            total = variance[:, None] + u**2
            kernel = (variance[:, None] + level[i + 1] ** 2).sqrt() * u / total**1.5 * du
            basis = _basis(place[nodes], torch.asinh(u / knee))
            return [plain(alpha[i + 1] * (kernel * row).sum(1)) for row in basis]

        spread = (alpha[:, None] ** 2 * variance + sigma[:, None] ** 2).sqrt()
        rows: list[Coefficients] = []
        for i in range(steps):
            # The step into the data extrapolates far: two rests do.
            depth = min(i + 1, 2 if times[i + 1] == 0 else order)
            before = [] if i == 0 else list(range(i, max(i - order, -1), -1))
            rows.append(
                Coefficients(
                    alpha=float(alpha[i]),
                    next_alpha=float(alpha[i + 1]),
                    data=data,
                    gain=plain(alpha[i] * variance / spread[i] ** 2),
                    scale=plain(spread[i] ** 2 / sigma[i] ** 2),
                    keep=plain(spread[i + 1] / spread[i]),
                    weights=weights(i, list(range(i, i - depth, -1))),
                    last_keep=plain(spread[i] / spread[max(i - 1, 0)]),
                    again=weights(i - 1, before) if before else None,
                )
            )
        return rows

    def step(
        self,
        denoiser: Any,
        x: Tensor,
        leg: Leg,
        *,
        cond: Condition | None,
        noise: Noise,
        memory: Remembered | None = None,
    ) -> Moved:
        c: Coefficients = leg.numbers
        belief: Normal = denoiser(x, leg.t, cond)
        w, ahead = self._inward(x, c.alpha, c.data), self._inward(belief.mean, 1.0, c.data)
        rest = _times(c.scale, torch.sub(ahead, _times(c.gain, w)))
        rests = [rest] if memory is None else [rest, *memory.rests[:3]]
        if memory is not None and c.again is not None:
            w = _combine(memory.w, c.last_keep, c.again, rests)
        moved = _combine(w, c.keep, c.weights, rests)
        return Moved(self._outward(moved, x, c.next_alpha, c.data), belief, Remembered(w, rests))

    def _inward(self, x: Tensor, alpha: float, data: Moments | None) -> Tensor:
        if data is None:
            return x
        if data.axes is None:
            return torch.sub(x, data.mean.to(x), alpha=alpha)
        return torch.sub(x, data.mean.to(x), alpha=alpha).flatten(1) @ data.axes.to(x)

    def _outward(self, w: Tensor, like: Tensor, alpha: float, data: Moments | None) -> Tensor:
        if data is None:
            return w
        turned = w if data.axes is None else (w @ data.axes.to(w).T).reshape(like.shape)
        return torch.add(turned, data.mean.to(w), alpha=alpha)


def _times(factor: Any, x: Tensor) -> Tensor:
    return x * (factor.to(x) if isinstance(factor, Tensor) else factor)


def _combine(w: Tensor, keep: Any, weights: list[Any], rests: list[Tensor]) -> Tensor:
    """keep w + sum_j weights[j] rests[j]."""
    total = _times(keep, w)
    for weight, rest in zip(weights, rests, strict=False):
        if isinstance(weight, Tensor):
            total = torch.addcmul(total, weight.to(rest), rest)
        else:
            total = torch.add(total, rest, alpha=weight)
    return total
