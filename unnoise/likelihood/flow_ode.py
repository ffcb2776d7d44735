"""Exact log-likelihood by the probability-flow ODE.

With rho^2 = alpha^2 + sigma^2, y = x / rho, the angle phi and tau = log tan(phi) the ODE is

    dy / dtau = cos(phi) (cos(phi) y - x0_hat),

smooth on every Gaussian process. The density follows from the instantaneous change of variables:
``log p_0(y_0) = log p_1(y_1) + int div(dy / dtau) dtau`` (Chen et al., Neural ordinary
differential equations, 2018, eq. 8; Song et al., ICLR 2021, eq. 39).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unnoise.core.condition import Condition
from unnoise.core.distributions import Normal
from unnoise.core.errors import InputError
from unnoise.core.moments import Moments
from unnoise.core.noise import Noise
from unnoise.core.registry import member
from unnoise.likelihood.divergence import Divergence, Hutchinson
from unnoise.processes import GaussianProcess


@dataclass(frozen=True)
class Likelihood:
    """What ``log_prob`` returns.

    Arguments:
        log_prob: log p_t(x) in nats, shape (B,), float64.
        standard_error: of ``log_prob`` from the probes, shape (B,); NaN with a single probe, 0
            with an exact trace.
        latent: the state at the other end, shape (B, *event).
        calls: evaluations of the denoiser.
    """

    log_prob: Tensor
    standard_error: Tensor
    latent: Tensor
    calls: int


def runge_kutta(
    slope: Callable[[int, Tensor], tuple[Tensor, Tensor]],
    y: Tensor,
    gain: Tensor,
    knots: list[float],
) -> tuple[Tensor, Tensor]:
    """Classical fourth-order Runge-Kutta for a state and an integral that it drives.

    Arguments:
        slope: ``slope(i, y)`` gives (dy / dtau, d gain / dtau) at knots[i].
        y, gain: values at knots[0].
        knots: 2 N + 1 values of tau, evenly spaced; steps go from every other to the next but one.
    """
    for i in range(0, len(knots) - 1, 2):
        h = knots[i + 2] - knots[i]
        first, gain_1 = slope(i, y)
        second, gain_2 = slope(i + 1, y + h / 2 * first)
        third, gain_3 = slope(i + 1, y + h / 2 * second)
        fourth, gain_4 = slope(i + 2, y + h * third)
        y = y + h / 6 * (first + 2 * second + 2 * third + fourth)
        gain = gain + h / 6 * (gain_1 + 2 * gain_2 + 2 * gain_3 + gain_4)
    return y, gain


def log_prob(
    denoiser: Any,
    x: Tensor,
    cond: Condition | None = None,
    *,
    t: float | None = None,
    steps: int = 48,
    divergence: Divergence | str | None = None,
    noise: Noise | None = None,
    data: Moments | None = None,
) -> Likelihood:
    """Log-density of data under a denoiser's probability-flow ODE.

    Arguments:
        denoiser: a GaussianDenoiser.
        x: modelled values (not stored ones), shape (B, *event); for discrete data dequantised.
        cond: conditions, one row for each sample.
        t: the time whose density is asked about, in (0, 1): that of the data with noise sigma(t) in
            it. None takes the process's t_min.
        steps: steps of fourth order, each of four denoiser calls, even in log(sigma / alpha).
        divergence: ``Hutchinson(probes)`` (default, one probe) or "exact".
        noise: streams for the probes; seed 0 and samples 0 ... B-1 when absent.
        data: mean and covariance of the data, for the terminal density
            N(alpha mean, alpha^2 covariance + sigma^2); N(0, sigma^2) when absent.

    Returns:
        Likelihood, of p at time ``t``.

    Raises:
        InputError: x holds NaN, steps < 1, or t is no time before the process's last.
    """
    if not bool(torch.isfinite(x).all()):
        raise InputError("the data holds NaN or infinite numbers; its likelihood is not defined.")
    if steps < 1:
        raise InputError(f"steps = {steps}: give a whole number of at least 1.")
    process: GaussianProcess = denoiser.process
    rule = member(Divergence, Hutchinson() if divergence is None else divergence)
    noise = Noise(0, range(len(x))) if noise is None else noise
    directions = rule.directions(x, noise.child("probe"))
    size = x[0].numel()
    begin = process.t_min if t is None else t
    if not 0 < begin < process.t_max:
        raise InputError(f"t = {begin:g}: accepted are times above 0 and below {process.t_max:g}.")
    ends = torch.tensor([begin, process.t_max], dtype=torch.float64)
    first, last = process.angle(ends).tan().log().tolist()
    taus = torch.linspace(first, last, 2 * steps + 1, dtype=torch.float64)
    times = process.time(torch.atan(taus.exp()))
    times[0], times[-1] = ends
    alpha, sigma = process.scales(times)
    rho = (alpha**2 + sigma**2).sqrt()

    def slope(i: int, y: Tensor) -> tuple[Tensor, Tensor]:
        cosine, length = float(alpha[i] / rho[i]), float(rho[i])
        with torch.enable_grad():
            state = (y * length).detach().requires_grad_()
            mean = denoiser(state, times[i], cond).mean
            traces = rule(mean, state, directions).double()
        change = cosine * (cosine * y - mean.detach())
        return change, cosine * (cosine * size - length * traces)

    estimates = rule.traces(torch.zeros(len(directions), len(x)))
    gain = torch.zeros_like(estimates, dtype=torch.float64, device=x.device)
    y, gain = runge_kutta(slope, x / float(rho[0]), gain, taus.tolist())
    latent = y * float(rho[-1])
    end_alpha, end_sigma = float(alpha[-1]), float(sigma[-1])
    if data is None:
        origin = torch.zeros_like(latent, dtype=torch.float64)
        terminal = Normal(origin, end_sigma**2).log_prob(latent.double())
    else:
        terminal = data.log_prob(latent, end_alpha, end_sigma)
    change_of_scale = size * (math.log(float(rho[-1])) - math.log(float(rho[0])))
    values = terminal + gain + change_of_scale
    return Likelihood(values.mean(0), rule.standard_error(values), latent, 4 * steps)
