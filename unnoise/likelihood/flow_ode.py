"""Exact log-likelihood by the probability-flow ODE.

In coordinates y where the data's own Gaussian stands still (``Whitened``), the density follows from
the instantaneous change of variables: ``log p(y_0) = log p(y_1) + int div(dy / dk) dk`` (Chen et
al., Neural ordinary differential equations, 2018, eq. 8; Song et al., ICLR 2021, eq. 39). The walk
is an Adams predictor-corrector with one call of the denoiser a step.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from unnoise.catalogue.ranges import MOST_STEPS, real, whole
from unnoise.catalogue.registry import member
from unnoise.core.condition import Condition
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.likelihood.coordinates import coordinates
from unnoise.likelihood.divergence import Divergence, usual
from unnoise.likelihood.given import check_answer, check_data
from unnoise.spaces.moments import Moments
from unnoise.system.progress import counting


@dataclass(frozen=True)
class Likelihood:
    """Log-likelihood of data, with its standard error, the latent and the denoiser calls.

    Arguments:
        log_prob: log p_t(x) in nats, shape (B,), float64.
        standard_error: of ``log_prob`` from the probes, shape (B,); 0 with an exact trace,
            infinite with a single probe.
        latent: the state at the other end, shape (B, *event).
        calls: evaluations of the denoiser.
        kind: "exact" (up to its standard error) or "bound"; figures of two kinds do not compare.
        of: what it is the logarithm of: a "density" or the probability of "levels".
    """

    log_prob: Tensor
    standard_error: Tensor
    latent: Tensor
    calls: int
    kind: Literal["exact", "bound"] = "exact"
    of: Literal["density", "levels"] = "density"


# Adams-Bashforth of the newest one, two, three slopes, and Adams-Moulton, the next one first.
AHEAD = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12))
AGAIN = ((1 / 2, 1 / 2), (5 / 12, 8 / 12, -1 / 12), (9 / 24, 19 / 24, -5 / 24, 1 / 24))
# Gregory's corrections of the trapezoidal rule at either end, up to third differences.
ENDS = (251 / 720, 299 / 240, 211 / 240, 739 / 720)


def adams(before: Tensor, factors: tuple[float, ...], slopes: list[Tensor], step: float) -> Tensor:
    """Adams update: before + step sum_j factors[j] slopes[j], newest slope first."""
    for factor, slope in zip(factors, slopes, strict=False):
        before = torch.add(before, slope, alpha=step * factor)
    return before


def log_prob(
    denoiser: Any,
    x: Tensor,
    cond: Condition | None = None,
    *,
    t: float | None = None,
    end: float | None = None,
    steps: int = 128,
    divergence: Divergence | str | None = None,
    noise: Noise | None = None,
    data: Moments | None = None,
    progress: bool | None = None,
) -> Likelihood:
    """Log-likelihood (log-density) of data under a denoiser's probability-flow ODE.

    Arguments:
        denoiser: a GaussianDenoiser, or any other ScoreModel.
        x: modelled values (not stored ones), shape (B, *event); for discrete data dequantised.
        cond: conditions, one row for each sample.
        t: the time whose density is asked about, in (0, end): that of the data with noise sigma(t)
            in it. None takes the process's t_min.
        end: where the walk ends and the density is taken for known; None takes t_max.
        steps: steps of the walk, one denoiser call each, even in log(sigma / alpha).
        divergence: ``Hutchinson(probes)`` or "exact"; None is exact for events of at most 16
            numbers, and 8 probes for larger ones (an exact trace of 64 numbers costs 8 times more).
        noise: streams for the probes; seed 0 and samples 0 ... B-1 when absent.
        data: mean and covariance of the data, for the coordinates of the walk and for the density
            at its end, N(alpha mean, alpha^2 covariance + sigma^2); N(0, sigma^2) when absent.
        progress: whether a line shows how far it is, as of ``unnoise.progress``.

    Returns:
        Likelihood, of p at time ``t``.

    Raises:
        InputError: x holds NaN, steps < 1, or times that do not rise.
        NumbersError: the answer would be NaN or infinite.
    """
    check_data(x)
    steps = whole(steps, "steps", 1, MOST_STEPS)
    process = denoiser.process
    asked = usual(math.prod(x.shape[1:])) if divergence is None else divergence
    rule: Divergence = member(Divergence, asked)
    noise = Noise(0, range(len(x))) if noise is None else noise
    begin = process.t_min if t is None else real(t, "t")
    last = process.t_max if end is None else real(end, "end")
    if not 0 < begin < last <= process.t_max:
        raise InputError(
            f"t = {begin:g}, end = {last:g}: accepted are times above 0, t before end, and end up "
            f"to {process.t_max:g}."
        )
    frame = coordinates(denoiser, begin, last, steps, tuple(x.shape[1:]), data)
    y = ahead = frame.inward(x)
    directions = rule.directions(y, noise.child("probe"))
    total: Tensor | None = None
    slopes: list[Tensor] = []
    with counting("likelihood", steps + 1, "calls", progress) as count:
        for i, weight in enumerate(_gregory(steps)):
            with torch.enable_grad():
                state = ahead.detach().requires_grad_()
                slope = frame.slope(state, i, cond)
                change = rule(slope, state, directions).double() * (weight * frame.step)
            total = change if total is None else total + change
            slopes = [slope.detach(), *slopes[:3]]
            if i:
                y = adams(y, AGAIN[min(i, 3) - 1], slopes, frame.step)
            ahead = adams(y, AHEAD[min(i, 2)], slopes, frame.step)
            count()
    latent = frame.outward(y)
    assert total is not None
    scale = frame.log_scale(-1) - frame.log_scale(0)
    values = frame.terminal(latent) + total + scale
    check_answer(values, "log p", x)
    return Likelihood(values.mean(0), rule.standard_error(values), latent, steps + 1)


def _gregory(steps: int) -> list[float]:
    """Weights of steps + 1 even values in an integral: trapezoids, better at the ends if many."""
    weights = [1.0] * (steps + 1)
    if steps < 7:
        weights[0] = weights[-1] = 0.5
        return weights
    for i, weight in enumerate(ENDS):
        weights[i] = weights[-1 - i] = weight
    return weights
