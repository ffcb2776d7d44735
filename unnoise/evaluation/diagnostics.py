"""Diagnostics without samples: score error, loss by noise level, prior mismatch, round trip."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unnoise.core.condition import Given
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.denoisers import GaussianDenoiser
from unnoise.denoisers.base import ScoreModel
from unnoise.models.ode_model import OdeModel
from unnoise.processes import GaussianProcess
from unnoise.spaces.moments import Moments


def score_error(
    model: ScoreModel, truth: ScoreModel, x: Tensor, t: Tensor, cond: Given = None
) -> Tensor:
    """Error of a score function, ``|score(x, t) - known(x, t)|``, at each state.

    Arguments:
        model: whose score.
        truth: the score that is known, e.g. of a Mixture.
        x: states at time ``t``, shape (B, *event).
        t: times, shape () or (B,).
        cond: what the model is asked under; the truth is asked the same.

    Returns:
        Shape (B,).
    """
    with torch.no_grad():
        gap = model.score(x, t, cond) - truth.score(x, t, cond).to(x)
    return gap.flatten(1).norm(dim=1)


@dataclass(frozen=True)
class Levels:
    """Loss by noise level (log SNR), with standard errors.

    Arguments:
        log_snr: of each level, shape (L,), float64.
        loss: ``|eps_hat - eps|^2`` a dimension, mean over the data, shape (L,).
        standard_error: of ``loss``, shape (L,).
    """

    log_snr: Tensor
    loss: Tensor
    standard_error: Tensor


def loss_by_level(
    denoiser: GaussianDenoiser,
    x0: Tensor,
    cond: Given = None,
    *,
    log_snr: Sequence[float],
    noise: Noise,
) -> Levels:
    """Noise-prediction loss (MSE of eps) of a denoiser by noise level, each on the same noise.

    Arguments:
        denoiser: what is measured.
        x0: modelled values, shape (B, *event), B at least 2.
        cond: conditions, one row for each.
        log_snr: levels to measure at, each a number that the process reaches.
        noise: streams, one for each datum.
    """
    if len(x0) < 2:
        raise InputError("give at least 2 examples; an error bar of one is unknown.")
    process, z = denoiser.process, noise.normal(x0)
    levels = torch.tensor(log_snr, dtype=torch.float64)
    means: list[float] = []
    errors: list[float] = []
    for t in process.time(torch.atan(torch.exp(-0.5 * levels))):
        alpha, sigma = process.scales(t, x0)
        with torch.no_grad():
            mean = denoiser(alpha * x0 + sigma * z, t, cond).mean
        each = ((mean - x0) * (alpha / sigma)).square().flatten(1).mean(1).double()
        means.append(float(each.mean()))
        errors.append(float(each.std()) / math.sqrt(len(each)))
    return Levels(levels, torch.tensor(means), torch.tensor(errors))


def prior_mismatch(process: GaussianProcess, data: Moments) -> tuple[float, float]:
    """Bounds of KL(p_1 || prior): what sampling from the prior costs, whatever the network.

    From below by the Gaussian with the data's mean and covariance, for which the divergence is
    least; from above by its mean over the data, ``E KL(N(alpha x_0, sigma^2) || prior)``, the
    prior's term in the variational bound.

    Arguments:
        process: how data becomes noise.
        data: mean and covariance of the data.

    Returns:
        (lower, upper) in nats of a whole event; equal where alpha(1) = 0.

    References:
        Sohl-Dickstein et al., ICML 2015, eq. 14; Song et al., NeurIPS 2021, theorem 1.
    """
    last = torch.tensor(1.0, dtype=torch.float64)
    alpha, sigma = (float(c) for c in process.scales(last))
    prior = float(torch.as_tensor(process.prior((1, *data.mean.shape)).var).flatten()[0])
    squares = alpha**2 * float(data.mean.double().square().sum())
    ended = (alpha**2 * data.variances + sigma**2) / prior
    lower = 0.5 * float((ended - 1 - ended.log()).sum()) + 0.5 * squares / prior
    kept, spread = sigma**2 / prior, alpha**2 * float(data.variances.sum())
    upper = 0.5 * (data.size * (kept - 1 - math.log(kept)) + (spread + squares) / prior)
    return lower, upper


def kernel_gaussianity(
    log_density: Callable[[Tensor], Tensor],
    betas: Sequence[float],
    span: tuple[float, float],
    count: int = 4001,
) -> list[float]:
    """Non-Gaussianity of the reverse step: E KL(p(x | y) || N), ``y = sqrt(1 - beta) x + ...``.

    The diffusion model stands on this going to 0 with beta (Feller, 1949). Exact, by
    quadrature, for densities on the line.

    Arguments:
        log_density: of the data in one dimension, (N,) -> (N,), up to a constant.
        betas: variances of the noise of a step, each in (0, 1).
        span: ends of the line beyond which there is nothing.
        count: points of the quadrature; kernels narrower than a few of them are refused.

    Returns:
        For each beta the mean over y of KL(p(x | y) || the normal law of its mean and variance),
        in nats.

    References:
        Sohl-Dickstein et al., ICML 2015, section 2.2.
    """
    x = torch.linspace(*span, count, dtype=torch.float64)
    width = float(x[1] - x[0])
    found: list[float] = []
    for beta in betas:
        if not 0 < beta < 1 or math.sqrt(beta / (1 - beta)) < 3 * width:
            least = (3 * width) ** 2
            raise InputError(f"beta = {beta:g}: accepted are numbers from {least:.2g} to below 1.")
        keep = math.sqrt(1 - beta)
        reach = 4 * math.sqrt(beta)
        y = torch.linspace(keep * span[0] - reach, keep * span[1] + reach, 301).double()
        joint = log_density(x) - (y[:, None] - keep * x) ** 2 / (2 * beta)
        total = joint.logsumexp(1, keepdim=True)
        log_q = joint - total - math.log(width)
        q = log_q.exp() * width
        mean = q @ x
        variance = (q * (x - mean[:, None]) ** 2).sum(1)
        entropy = -(q * log_q).sum(1)
        gap = 0.5 * torch.log(2 * math.pi * math.e * variance) - entropy
        weights = (total[:, 0] - total.max()).exp()
        found.append(float(weights @ gap.clamp(min=0) / weights.sum()))
    return found


def round_trip(model: OdeModel, x: Tensor, cond: Given = None, **how: Any) -> float:
    """Reconstruction error of the ODE: root mean square of ``decode(encode(x)) - x``.

    Arguments:
        model: whose probability-flow ODE.
        x: modelled values, shape (B, *event).
        cond: conditions, one row for each.
        how: arguments of ``encode``: label, guidance, solver, steps.
    """
    back = model.decode(model.encode(x, cond, **how), cond, **how)
    return float((back - x.to(back)).square().mean().sqrt())
