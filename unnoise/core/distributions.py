"""Probability distributions, normal and categorical. A belief p(x_0 | x_t) is one of these."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unnoise.core.noise import Noise


class Distribution(ABC):
    """Probability distribution over a batch of independent samples, shape (B, *event)."""

    mean: Tensor
    """Expected value, shape (B, *event)."""

    @abstractmethod
    def sample(self, noise: Noise) -> Tensor:
        """One draw for each row, shape (B, *event); ``noise`` has one stream for each row."""

    @abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density or log-probability of each row of ``x`` in nats, shape (B,)."""

    @abstractmethod
    def kl(self, other: Any) -> Tensor:
        """KL(self || other) of each row in nats, shape (B,); ``other`` is of the same kind."""


@dataclass(frozen=True)
class Normal(Distribution):
    """Diagonal Gaussian: independent normals, N(mean, var).

    Arguments:
        mean: shape (B, *event).
        var: variance, broadcastable against ``mean``; 0 is a point.
        lean: of a belief about clean data, how much of its doubt enters a step back, from 0 (the
            bridge's own variance) to 1 (all of it), in the logarithm; broadcastable.
    """

    mean: Tensor
    var: Tensor | float = 0.0
    lean: Tensor | float = 1.0

    @property
    def variance(self) -> Tensor:
        """``var`` broadcast to the shape (B, *event)."""
        return self._like(self.var).expand_as(self.mean)

    def _like(self, var: Tensor | float) -> Tensor:
        # Not by way of float32, which a plain number would otherwise take.
        return torch.as_tensor(var, dtype=self.mean.dtype, device=self.mean.device)

    def reverse_var(self, lower: Tensor | float, coef: Tensor | float) -> Tensor | float:
        """Variance of a reverse step: ``lower^(1 - lean) (lower + coef^2 Var[x_0 | x_t])^lean``.

        Arguments:
            lower: variance of the bridge when x_0 is known.
            coef: derivative of the bridge's mean in x_0.
        """
        upper = lower + coef**2 * self.var
        if not isinstance(self.lean, Tensor) and self.lean == 1:
            return upper  # what the powers would give
        return lower ** (1 - self.lean) * upper**self.lean

    def __getitem__(self, rows: slice | Tensor) -> "Normal":
        """The law of some rows."""
        return self._map(lambda value: value[rows] if value.ndim else value)

    def detach(self) -> "Normal":
        """The same law, without the graph of how it was computed: a walk would keep all of it."""
        return self._map(Tensor.detach)

    def _map(self, change: Callable[[Tensor], Tensor]) -> "Normal":
        var, lean = (change(v) if isinstance(v, Tensor) else v for v in (self.var, self.lean))
        return Normal(change(self.mean), var, lean)

    def sample(self, noise: Noise) -> Tensor:
        if not isinstance(self.var, Tensor):
            # A point needs no draw; skipping it is not a special case of the law, only of its cost.
            scale = math.sqrt(self.var)
            return (
                torch.add(self.mean, noise.normal(self.mean), alpha=scale) if scale else self.mean
            )
        return torch.addcmul(self.mean, self.var.sqrt(), noise.normal(self.mean))

    def log_prob(self, x: Tensor) -> Tensor:
        var = self.variance
        terms = (x - self.mean) ** 2 / var + torch.log(2 * math.pi * var)
        return -0.5 * terms.flatten(1).sum(1)

    def kl(self, other: "Normal") -> Tensor:
        # In the own type: of priors, made in float32, the variance is a plain number.
        var, base = self.variance, self._like(other.var)
        terms = (var + (self.mean - other.mean) ** 2) / base - 1 + torch.log(base / var)
        return 0.5 * terms.flatten(1).sum(1)


@dataclass(frozen=True)
class Categorical(Distribution):
    """Independent categorical distributions over K classes.

    Arguments:
        logits: unnormalised log-probabilities, shape (B, *event, K).
    """

    logits: Tensor

    @property
    def log_probs(self) -> Tensor:
        """Normalised log-probabilities, shape (B, *event, K)."""
        return torch.log_softmax(self.logits, -1)

    @property
    def mean(self) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Expected class number, shape (B, *event)."""
        classes = torch.arange(self.logits.shape[-1]).to(self.logits)
        return (self.log_probs.exp() * classes).sum(-1)

    def sample(self, noise: Noise) -> Tensor:
        """Class numbers, shape (B, *event), int64."""
        # Inverse of the cumulative law: one uniform for each choice, whatever K is.
        cumulative = self.log_probs.exp().cumsum(-1)[..., :-1].contiguous()
        u = noise.uniform(cumulative[..., 0] if cumulative.shape[-1] else self.logits[..., 0])
        return (u.unsqueeze(-1) >= cumulative).sum(-1)

    def log_prob(self, x: Tensor) -> Tensor:
        chosen = self.log_probs.gather(-1, x.long().unsqueeze(-1)).squeeze(-1)
        return chosen.flatten(1).sum(1)

    def kl(self, other: "Categorical") -> Tensor:
        p, q = self.log_probs, other.log_probs
        return torch.where(p.exp() > 0, p.exp() * (p - q), 0.0).flatten(1).sum(1)
