"""Twisted diffusion sampler (TDS): sequential Monte Carlo with several particles per sample."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import torch
from torch import Tensor

from unnoise.catalogue.ranges import Draws
from unnoise.core.condition import Given
from unnoise.core.distributions import Normal
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.denoisers import Tilt, Tilted
from unnoise.processes import GaussianProcess
from unnoise.solvers.base import Leg, Moved, Solver
from unnoise.spaces.moments import Moments


class Swarm(NamedTuple):
    """Particles of a TDS step, shape (B, K, *event), and their log-weights so far."""

    x: Tensor
    log_weight: Tensor


@final
@dataclass(frozen=True)
class TDS(Solver):
    """Twisted diffusion sampler: ancestral steps of K particles a sample, weighted and resampled.

    Each particle walks by the tilted belief (``Posterior``, ``Guided``); its weight is what that
    walk and the law that is meant differ by. Where weights have grown uneven, heavy particles are
    doubled and light ones dropped. With growing K the samples' law is the model's own ancestral
    law given what is known: exact, where a tilted belief alone is not. Of K particles one is
    returned, by weight; the states on the way are those of the first.

    Arguments:
        particles: K.

    References:
        Wu et al., Practical and asymptotically exact conditional sampling in diffusion models,
        NeurIPS 2023, algorithm 1.
    """

    particles: Draws = 16

    def __post_init__(self) -> None:
        object.__setattr__(self, "calls", self.particles)

    def numbers(self, process: Any, times: Tensor, data: Moments | None) -> Sequence[Any]:
        return process.bridges(times)

    def step(
        self, denoiser: Any, x: Tensor, leg: Leg, *, cond: Given, noise: Noise, memory: Any = None
    ) -> Moved:
        if not isinstance(denoiser, Tilted):
            raise InputError(
                f"TDS weighs particles by what is known of them, and {type(denoiser).__name__} "
                "knows nothing; give it a Posterior or a Guided."
            )
        swarm: Swarm = self._born(denoiser.process, x, leg.t, noise) if memory is None else memory
        tilt, known = _weigh(denoiser, swarm, leg.t, cond)
        if leg.s == 0:
            number = _pick(known, noise.child("choose"))
        else:
            number, known = resample(known, noise.child("resample"))
        index = number + torch.arange(len(x), device=x.device)[:, None] * self.particles
        states = swarm.x.flatten(0, 1)
        laws = (leg.numbers(belief, states) for belief in (tilt.plain, tilt.tilted))
        plain, tilted = (_taken(law, index.flatten()) for law in laws)
        here = _move(tilted, x.new_empty(*number.shape, *x.shape[1:]), noise)
        belief = Normal(tilt.tilted.mean[index[:, 0]])
        if leg.s == 0:
            return Moved(here[:, 0], belief)
        known = _reweigh(known, tilt.log_weight[index], here, plain, tilted)
        return Moved(here[:, 0], belief, Swarm(here, known))

    def _born(self, process: GaussianProcess, x: Tensor, t: Tensor, noise: Noise) -> Swarm:
        """The given state, and K - 1 others: of the prior, or, where the walk begins later and so
        near something, at that state too."""
        shape = (len(x), self.particles)
        even = x.new_zeros(shape, dtype=torch.float64)
        if float(t) < process.t_max:
            return Swarm(x[:, None].expand(*shape, *x.shape[1:]), even)
        prior = process.prior((len(x), *x.shape[1:]))
        z = noise.child("born").normal(x.new_empty(*shape, *x.shape[1:]))
        mean, spread = (c.to(x)[:, None] for c in (prior.mean, prior.variance.sqrt()))
        others = mean + spread * z
        others[:, 0] = x
        return Swarm(others, even)


def _weigh(denoiser: Tilted, swarm: Swarm, t: Tensor, cond: Given) -> tuple[Tilt, Tensor]:
    """Beliefs of all particles, (B K, *event), and what is known of their weights, (B, K)."""
    rows, count = swarm.log_weight.shape
    every = torch.arange(rows, device=swarm.x.device).repeat_interleave(count)
    tilt = denoiser.tilt(swarm.x.flatten(0, 1), t, None if cond is None else cond[every])
    return tilt, swarm.log_weight + tilt.log_weight.double().reshape(rows, count)


def resample(known: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
    """Numbers of the particles that go on, (B, K), and what is then known of their weights.

    Systematic resampling, of samples whose particles count for fewer than half their number.
    """
    count, weight = known.shape[1], known.softmax(1)
    uneven = 1 / weight.square().sum(1, keepdim=True) < count / 2
    u = noise.uniform(known.new_empty(len(known), 1))
    numbers = torch.arange(count, device=known.device)
    number = torch.where(uneven, _at(weight, (u + numbers) / count), numbers)
    return number, torch.where(uneven, 0.0, known)


def _pick(known: Tensor, noise: Noise) -> Tensor:
    """The number of one particle by its weight, (B, 1)."""
    return _at(known.softmax(1), noise.uniform(known.new_empty(len(known), 1)))


def _move(law: Normal, like: Tensor, noise: Noise) -> Tensor:
    """States drawn of the particles' laws, of the shape of ``like``, (B, M, *event)."""
    z = noise.normal(like).flatten(0, 1)
    return (law.mean + law.variance.sqrt() * z).unflatten(0, like.shape[:2])


def _reweigh(known: Tensor, used: Tensor, here: Tensor, plain: Normal, tilted: Normal) -> Tensor:
    """What is known of weights, less what was ``used``, after moves of one law for the other's."""
    moved = here.flatten(0, 1)
    gain = plain.log_prob(moved) - tilted.log_prob(moved) - used.flatten()
    return known + gain.double().reshape(known.shape)


def _at(weight: Tensor, u: Tensor) -> Tensor:
    """Numbers whose share of the summed weights holds ``u``, of the shape of ``u``."""
    return torch.searchsorted(weight.cumsum(1), u).clamp(max=weight.shape[1] - 1)


def _taken(law: Any, index: Tensor) -> Normal:
    """Rows of a law."""
    return Normal(law.mean[index], law.variance[index])
