"""Variational bound (ELBO, VLB) as a loss, alone and with the simple loss (hybrid)."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, final

import torch
from torch import Tensor

from unnoise.catalogue.ranges import ChainSteps, Count, NotNegative
from unnoise.catalogue.registry import register
from unnoise.core.condition import Given
from unnoise.core.noise import Noise
from unnoise.denoisers import GaussianDenoiser
from unnoise.objectives.base import Loss, Objective
from unnoise.objectives.weights import EpsWeight, Weight
from unnoise.processes import GaussianProcess
from unnoise.processes.bound import Bins, decoder_loss, prior_kl, step_kl

_LENGTH = 1000  # of the chain that a process in continuous time is cut into


class _Drawn(NamedTuple):
    """One step of the chain for each sample: its number (1 is the last), chance, times, state."""

    number: Tensor
    chance: Tensor
    t: Tensor
    s: Tensor
    x: Tensor


def _alike(count: int) -> Tensor:
    """All steps alike, as the simple loss has them, shape (T,)."""
    return torch.full((count,), 1 / count, dtype=torch.float64)


def _by_share(process: GaussianProcess, count: int) -> Tensor:
    """Chances in proportion to the terms on Gaussian data of variance 1, shape (T,).

    There L_i is about half the fall of log(SNR + 1). A quarter is kept for L_0, which has another
    sign, and a tenth is spread evenly, so that no weight grows beyond ten times the even one's.
    """
    i = torch.arange(1, count + 1, dtype=torch.float64)
    level = process.log_snr(i / count).exp().log1p()
    falls = -level.diff()
    later = falls / falls.sum() * (0.65 if count > 1 else 0.0)
    return torch.cat([(1 - later.sum() - 0.1).reshape(1), later]) + 0.1 / count


def _draw(process: GaussianProcess, x0: Tensor, chances: Tensor, noise: Noise) -> _Drawn:
    count = len(chances)
    u = noise.child("time").uniform(torch.empty(len(x0), dtype=torch.float64))
    edges = chances.cumsum(0)[:-1].contiguous()
    number = torch.searchsorted(edges, u, right=True) + 1
    t = number.double() / count
    # The first step ends at the data, where no KL is asked for: any time keeps numbers finite.
    s = torch.where(number > 1, (number - 1).double() / count, t / 2)
    x = process.forward(x0, t).sample(noise.child("forward"))
    return _Drawn(number, chances[number - 1], t, s, x)


def _length(process: GaussianProcess, steps: int | None) -> int:
    return steps or process.steps or _LENGTH


def _terms(
    process: GaussianProcess, x0: Tensor, belief: Any, drawn: _Drawn, bins: Bins | None
) -> dict[str, Tensor]:
    """Unbiased estimates of L_T, the sum of the L_i, and L_0, in nats a dimension, each (B,)."""
    number, chance, t, s, x = drawn
    first = (number == 1).to(x0.device)
    share = 1 / (chance * x0[0].numel()).to(x0.device)
    decoder = share * decoder_loss(process, x0, belief, x, t, bins)
    between = share * step_kl(process, x0, belief, x, t, s)
    return {
        "prior": prior_kl(process, x0) / x0[0].numel(),
        "steps": torch.where(first, 0.0, between),
        "decoder": torch.where(first, decoder, 0.0),
    }


def _bins(levels: int | None, low: float, high: float) -> Bins | None:
    return None if levels is None else Bins(levels, low, high)


@register("objective", "elbo")
@final
@dataclass(frozen=True)
class Elbo(Objective):
    """ELBO: variational bound of ``-log p(x_0)``, in nats per dimension, L_T + sum_i L_i + L_0.

    One step of the chain is drawn for each sample (importance sampling) and stands for all of
    them; ``prior``, ``steps`` and ``decoder`` are logged, each an unbiased estimate of its part.
    The minimiser is the exact denoiser, doubt included where the belief has any.

    Arguments:
        steps: length of the chain; None takes the process's own, else 1000.
        levels: number of levels of discrete data, whose probability is then bounded; None bounds
            the density of continuous data.
        low, high: ends of the modelled range, for levels.

    Raises:
        InputError: high is not above low.

    References:
        Sohl-Dickstein et al., ICML 2015, eq. 14; Ho et al., Denoising diffusion probabilistic
        models, NeurIPS 2020, eq. 5 and 13.
    """

    steps: ChainSteps | None = None
    levels: Count | None = None
    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        _bins(self.levels, self.low, self.high)

    def __call__(self, denoiser: GaussianDenoiser, x0: Tensor, cond: Given, noise: Noise) -> Loss:
        process = denoiser.process
        chances = _by_share(process, _length(process, self.steps))
        drawn = _draw(process, x0, chances, noise)
        belief = denoiser(drawn.x, drawn.t, cond)
        terms = _terms(process, x0, belief, drawn, _bins(self.levels, self.low, self.high))
        value = torch.stack(list(terms.values())).sum(0).to(x0)
        return Loss(value, _logs(process, drawn, value, terms))


@register("objective", "hybrid")
@final
@dataclass(frozen=True)
class Hybrid(Objective):
    """Hybrid loss of iDDPM: the simple loss of the mean, and a little ELBO for the variance alone.

    ``w |mean - x_0|^2 / D + weight Elbo(mean held fixed)``, at one step of the chain drawn for each
    sample, with one denoiser call for both.

    Arguments:
        weight: of the bound.
        error: the weight w of the squared error.
        steps, levels, low, high: as of Elbo.

    Raises:
        InputError: high is not above low.

    References:
        Nichol and Dhariwal, Improved denoising diffusion probabilistic models, ICML 2021, eq. 16.
    """

    weight: NotNegative = 1e-3
    error: Weight = EpsWeight()
    steps: ChainSteps | None = None
    levels: Count | None = None
    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        _bins(self.levels, self.low, self.high)

    def __call__(self, denoiser: GaussianDenoiser, x0: Tensor, cond: Given, noise: Noise) -> Loss:
        process = denoiser.process
        chances = _alike(_length(process, self.steps))
        drawn = _draw(process, x0, chances, noise)
        belief = denoiser(drawn.x, drawn.t, cond)
        error = (belief.mean - x0).float().square().flatten(1).mean(1)
        simple = self.error(process, drawn.t).to(error) * error
        held = replace(belief, mean=belief.mean.detach())
        terms = _terms(process, x0, held, drawn, _bins(self.levels, self.low, self.high))
        bound = torch.stack(list(terms.values())).sum(0)
        value = simple + (self.weight * bound).to(simple)
        return Loss(value, _logs(process, drawn, simple, terms))


def _logs(
    process: GaussianProcess, drawn: _Drawn, loss: Tensor, terms: dict[str, Tensor]
) -> dict[str, Tensor]:
    found = {"log_snr": process.log_snr(drawn.t), "loss": loss.detach()}
    return {**found, **{name: term.detach() for name, term in terms.items()}}
