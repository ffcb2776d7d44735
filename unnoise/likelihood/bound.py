"""Variational lower bound of the log-likelihood (ELBO), with all its terms."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from unnoise.catalogue.ranges import MOST, MOST_DRAWS, real, whole
from unnoise.core.condition import Condition
from unnoise.core.noise import Noise
from unnoise.likelihood.bits import Bits, bits_per_dim
from unnoise.likelihood.given import check_answer, check_data
from unnoise.processes import GaussianProcess
from unnoise.processes.bound import Bins, decoder_loss, prior_kl, step_kl
from unnoise.system.progress import counting


@dataclass(frozen=True)
class Bound:
    """Terms of the variational bound (ELBO): ``-log p(x_0) <= total``, in nats, float64.

    Arguments:
        prior: L_T, shape (B,): how far the chain's end is from the prior.
        steps: L_1 ... L_{T-1}, shape (B, T - 1): KL of each step back, that from the chain's end
            last.
        decoder: L_0, shape (B,): what the data's own guess costs. Negative where densities are
            above 1.
        standard_error: of ``total``, shape (B,), from the draws; with a single draw from the
            differences between the terms of neighbouring steps, which is rather too large, and
            infinite where there is one step.
        shape: the event's.
        bins: the data's levels; None where the bound is that of a density.
    """

    prior: Tensor
    steps: Tensor
    decoder: Tensor
    standard_error: Tensor
    shape: tuple[int, ...]
    bins: Bins | None = None

    @property
    def kind(self) -> Literal["bound"]:
        """Figures of a bound do not compare with those of an exact likelihood."""
        return "bound"

    @property
    def of(self) -> Literal["density", "levels"]:
        """What is bounded: a density, or the probability of discrete levels."""
        return "density" if self.bins is None else "levels"

    @property
    def total(self) -> Tensor:
        """Variational bound of -log p(x_0) of each datum in nats, shape (B,)."""
        return self.prior + self.steps.sum(1) + self.decoder

    @property
    def bits(self) -> Bits:
        """Variational bound in bits per dimension; of a density, where the bound is of one."""
        # A density is one level of width 1; a probability needs no width either.
        return bits_per_dim(-self.total, self.shape, levels=1, low=0.0, high=1.0)


@torch.no_grad()
def elbo(
    denoiser: Any,
    x0: Tensor,
    cond: Condition | None = None,
    *,
    steps: int | None = None,
    levels: int | None = None,
    low: float = -1.0,
    high: float = 1.0,
    draws: int = 1,
    noise: Noise | None = None,
    progress: bool | None = None,
) -> Bound:
    """Variational bound (ELBO) of ``-log p(x_0)`` for ancestral sampling in ``steps`` steps.

    Each term is an unbiased estimate from ``draws`` states x_t a datum.

    Arguments:
        denoiser: a GaussianDenoiser.
        x0: modelled values (not stored ones), shape (B, *event). With ``levels`` each is anywhere
            in its level: the middle as in DDPM, or dequantised as in training.
        cond: conditions, one row for each sample.
        steps: length of the chain; None takes the process's own, else 1000. Each costs a denoiser
            call a draw.
        levels: number of levels of discrete data, whose probability is then bounded; None bounds
            the density.
        low, high: ends of the modelled range, for levels.
        draws: states drawn for each term.
        noise: streams for the states; seed 0 and samples 0 ... B-1 when absent.
        progress: whether a line shows how far it is, as of ``unnoise.progress``.

    Returns:
        Bound.

    Raises:
        InputError: x0 holds NaN or no data, steps or draws < 1, or the levels are none.
        NumbersError: the bound would be NaN or infinite.

    References:
        Ho et al., Denoising diffusion probabilistic models, NeurIPS 2020, eq. 5 and 13.
    """
    check_data(x0)
    process: GaussianProcess = denoiser.process
    count = process.steps or 1000 if steps is None else whole(steps, "steps", 1, MOST)
    draws = whole(draws, "draws", 1, MOST_DRAWS)
    bins = None
    if levels is not None:
        bins = Bins(whole(levels, "levels", 1, MOST), real(low, "low"), real(high, "high"))
    noise = Noise(0, range(len(x0))) if noise is None else noise

    def term(number: int, draw: int) -> Tensor:
        t = torch.tensor(number / count, dtype=torch.float64)
        fresh = noise.child("bound").child(draw).child(number)
        x = process.forward(x0, t).sample(fresh)
        belief = denoiser(x, t, cond)
        counted()
        if number == 1:
            return decoder_loss(process, x0, belief, x, t, bins)
        return step_kl(process, x0, belief, x, t, (number - 1) / count)

    with counting("variational bound", count * draws, "terms", progress) as counted:
        found = torch.stack(
            [torch.stack([term(i, k) for i in range(1, count + 1)], 1) for k in range(draws)]
        )
    sums = found.sum(2)
    error = sums.std(0) / math.sqrt(draws) if draws > 1 else _error_of_one(found[0])
    mean = found.mean(0)
    shape = tuple(x0.shape[1:])
    bound = Bound(prior_kl(process, x0), mean[:, 1:], mean[:, 0], error, shape, bins)
    check_answer(bound.total, "the bound", x0)
    return bound


def _error_of_one(terms: Tensor) -> Tensor:
    """Standard error of the sum of independent terms (B, T) whose means change little from one to
    the next, shape (B,): half of each squared difference is a variance. The first term, the
    decoder's, is like none, and takes the variance of its neighbours."""
    count = terms.shape[1]
    if count < 3:
        return torch.full_like(terms[:, 0], math.inf)
    return (terms[:, 1:].diff(dim=1).square().sum(1) / 2 * count / (count - 2)).sqrt()
