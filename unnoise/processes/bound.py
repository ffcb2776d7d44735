"""Terms of the variational bound (ELBO) of a chain, and their continuous-time limit.

``-log p(x_0) <= L_T + sum_i L_i + L_0``: how far the last law is from the prior, how far each step
back is from the bridge that knows x_0, and how badly the last step guesses the data itself. All
of it in float64: a thousand terms near zero are summed.
"""

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from unnoise.core.broadcast import Time, match
from unnoise.core.distributions import Normal
from unnoise.core.errors import InputError
from unnoise.processes.base import Process
from unnoise.processes.gaussian import GaussianProcess


def snr_fall(process: GaussianProcess, t: Time) -> Tensor:
    """Rate at which the SNR falls: ``-d(alpha^2 / sigma^2)/dt = g^2 alpha^2/sigma^4``.

    Half of it times ``|mean - x_0|^2`` is the limit of ``step_kl`` for a unit of time.

    Arguments:
        t: times in (0, 1], any shape.

    Returns:
        Of the shape of ``t``, float64, not negative.

    References:
        Kingma et al., Variational diffusion models, NeurIPS 2021, eq. 15.
    """
    (alpha, sigma), (alpha_rate, sigma_rate) = process.scales(t), process.rates(t)
    fall = 2 * alpha * (alpha * sigma_rate - alpha_rate * sigma) / sigma**3
    return fall.clamp(min=0)


@final
@dataclass(frozen=True)
class Bins:
    """Quantisation levels of discrete data: intervals of equal width between ``low`` and ``high``.

    Arguments:
        levels: number of levels, >= 1.
        low, high: ends of the modelled range.

    Raises:
        InputError: no levels, or an empty range.
    """

    levels: int
    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if self.levels < 1 or not self.high > self.low:
            raise InputError(
                f"levels = {self.levels} in [{self.low:g}, {self.high:g}] is no discrete range; "
                "give at least one level and low below high."
            )

    def log_prob(self, law: Normal, x: Tensor) -> Tensor:
        """Discretised Gaussian log-likelihood of the levels ``x`` lies in, in nats, shape (B,).

        The first and the last level reach to infinity, so that the levels' sum is one.

        Arguments:
            law: independent normals, their variances above 0, shape (B, *event).
            x: modelled values, shape (B, *event).

        References:
            Ho et al., Denoising diffusion probabilistic models, NeurIPS 2020, eq. 13.
        """
        width = (self.high - self.low) / self.levels
        level = ((x - self.low) / width).floor().clamp(0, self.levels - 1)
        std = law.variance.sqrt()
        below = (self.low + level * width - law.mean) / std
        above = (self.low + (level + 1) * width - law.mean) / std
        # Left of the middle nothing cancels: an interval to the right is looked at in the mirror.
        right = below > 0
        less, more = torch.where(right, -above, below), torch.where(right, -below, above)
        ends = torch.special.log_ndtr(less), torch.special.log_ndtr(more)
        inner = ends[1] + torch.log(-torch.expm1(ends[0] - ends[1]))
        first, last = level == 0, level == self.levels - 1
        terms = torch.where(first, torch.special.log_ndtr(above), inner)
        terms = torch.where(last, torch.special.log_ndtr(-below), terms)
        return torch.where(first & last, 0.0, terms).flatten(1).sum(1)


def prior_kl(process: Process, x0: Tensor) -> Tensor:
    """Prior term of the bound, L_T = KL(q(x_1 | x_0) || prior), in nats, shape (B,), float64.

    Arguments:
        x0: clean data, shape (B, *event).
    """
    # Priors are made on the CPU.
    away = process.forward(x0.detach().cpu().double(), 1.0).kl(process.prior(x0.shape))
    return away if x0.device.type == "mps" else away.to(x0.device)


def step_kl(process: Process, x0: Tensor, belief: Any, x: Tensor, t: Time, s: Time) -> Tensor:
    """Term of one step of the bound: KL(q(x_s | x_t, x_0) || p(x_s | x_t)), both by ``bridge``.

    Arguments:
        x0: clean data, shape (B, *event).
        belief: what is believed of it at (x, t), a Distribution of shape (B, *event).
        x: states at time t, shape (B, *event).
        t, s: times, shape () or (B,), 0 < s < t <= 1.

    Returns:
        Nats, shape (B,), float64, differentiable in the belief.

    References:
        Ho et al., Denoising diffusion probabilistic models, NeurIPS 2020, eq. 5.
    """
    x0, x = _wide(x0), _wide(x)
    known = process.bridge(process.forward(x0, 0.0), x, t, s)
    return known.kl(process.bridge(belief, x, t, s))


def decoder_loss(
    process: GaussianProcess, x0: Tensor, belief: Any, x: Tensor, t: Time, bins: Bins | None = None
) -> Tensor:
    """Decoder (reconstruction) term L_0 = -log p(x_0 | x_t), in nats, shape (B,), float64.

    The law is the bridge to time 0, ``N(mean, Var[x_0 | x_t])``. A belief of variance 0 has no
    density there; it is given the noise's own variance ``sigma^2 / alpha^2`` (DDPM's beta_1).

    Arguments:
        x0: clean data, shape (B, *event).
        belief: what is believed of it at (x, t).
        x: states at time t, shape (B, *event).
        t: the chain's first time, shape () or (B,).
        bins: levels of discrete data, whose probability is then taken; None takes the density.

    References:
        Ho et al., Denoising diffusion probabilistic models, NeurIPS 2020, section 3.3.
    """
    x0, x = _wide(x0), _wide(x)
    law = process.bridge(belief, x, t, 0.0)
    alpha, sigma = (match(c, x).to(x) for c in process.scales(t))
    var = torch.where(law.variance > 0, law.variance, (sigma / alpha) ** 2)
    law = Normal(law.mean, var)
    return -(law.log_prob(x0) if bins is None else bins.log_prob(law, x0))


def _wide(x: Tensor) -> Tensor:
    return x if x.device.type == "mps" else x.double()
