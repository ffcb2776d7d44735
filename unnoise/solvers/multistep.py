"""Solvers that remember: what was predicted at earlier levels is combined with what is now."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from unnoise.core.condition import Condition
from unnoise.core.distributions import Normal
from unnoise.core.moments import Moments
from unnoise.core.noise import Noise
from unnoise.processes import GaussianProcess
from unnoise.solvers.base import Leg, Moved, Solver

NODES, WEIGHTS = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(24))
DEEPEST = 4  # as many predictions as any of them looks back on


class Frame(NamedTuple):
    """Axes of the data around its moving mean: ``w = axes^T (x - alpha mean)``.

    Arguments:
        data: whose mean and axes; None is x as it is.
        alpha, next_alpha: where the step begins and ends.
    """

    data: Moments | None = None
    alpha: float = 1.0
    next_alpha: float = 1.0

    def inward(self, x: Tensor, alpha: float) -> Tensor:
        """The state, of scale ``alpha``, seen from here."""
        if self.data is None:
            return x
        away = torch.sub(x, self.data.mean.to(x), alpha=alpha)
        return away if self.data.axes is None else away.flatten(1) @ self.data.axes.to(x)

    def outward(self, w: Tensor, like: Tensor) -> Tensor:
        """The inverse, at the end of the step."""
        if self.data is None:
            return w
        axes = self.data.axes
        turned = w if axes is None else (w @ axes.to(w).T).reshape(like.shape)
        return torch.add(turned, self.data.mean.to(w), alpha=self.next_alpha)


class Combination(NamedTuple):
    """The numbers of one step, each a float or one number for each axis of its frame.

    Arguments:
        seen: (a, b): what is remembered is the prediction ``p = a w + b x0_hat``.
        keep, weights: ``w_s = keep w + sum_j weights[j] p_j``, newest prediction first.
        spread: standard deviation of the noise that is added.
        again: (keep, weights) of the step before, made again with the newest prediction known;
            None where nothing is to be made again.
        frame: in which all this is meant.
    """

    seen: tuple[Any, Any]
    keep: Any
    weights: list[Any]
    spread: float = 0.0
    again: tuple[Any, list[Any]] | None = None
    frame: Frame = Frame()


class Remembered(NamedTuple):
    """The state that the last step left from, made again if it was, and the predictions."""

    w: Tensor
    predictions: list[Tensor]


class Multistep(Solver, ABC):
    """``x_s = keep x_t + sum_j weights[j] p_j (+ spread z)`` over the newest predictions p.

    A step that knows how the one before could have been made better makes it again first, at no
    network call.
    """

    @abstractmethod
    def numbers(
        self, process: GaussianProcess, times: Tensor, data: Moments | None
    ) -> list[Combination]: ...

    @final
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
        c: Combination = leg.numbers
        belief: Normal = denoiser(x, leg.t, cond)
        w = c.frame.inward(x, c.frame.alpha)
        prediction = combine(c.seen[1], c.frame.inward(belief.mean, 1.0), [c.seen[0]], [w])
        predictions = [prediction]
        if memory is not None:
            predictions += memory.predictions[: DEEPEST - 1]
            if c.again is not None:
                w = combine(c.again[0], memory.w, c.again[1], predictions)
        moved = c.frame.outward(combine(c.keep, w, c.weights, predictions), x)
        if c.spread:
            moved = torch.add(moved, noise.normal(x), alpha=c.spread)
        return Moved(moved, belief, Remembered(w, predictions))


def combine(keep: Any, w: Tensor, weights: Sequence[Any], predictions: list[Tensor]) -> Tensor:
    """keep w + sum_j weights[j] predictions[j]."""
    total = _times(keep, w)
    for weight, prediction in zip(weights, predictions, strict=False):
        if isinstance(weight, Tensor):
            total = torch.addcmul(total, weight.to(prediction), prediction)
        elif weight:
            total = torch.add(total, prediction, alpha=weight)
    return total


def _times(number: Any, x: Tensor) -> Tensor:
    if isinstance(number, Tensor):
        return x * number.to(x)
    return x if number == 1 else x * number


def lagrange(nodes: Tensor, at: Tensor) -> Tensor:
    """Lagrange's polynomials of ``nodes`` (m,), at the places ``at`` (q,), shape (m, q)."""
    rows: list[Tensor] = []
    for i, node in enumerate(nodes):
        others = torch.cat([nodes[:i], nodes[i + 1 :]])
        rows.append(((at[None] - others[:, None]) / (node - others[:, None])).prod(0))
    return torch.stack(rows)


def gauss_legendre(low: Tensor | float, high: Tensor | float) -> tuple[Tensor, Tensor]:
    """Nodes and weights of an integral from ``low`` to ``high``, float64, 24 of them."""
    half = (high - low) / 2
    return low + half * (NODES + 1), half * WEIGHTS


def newest(i: int, count: int) -> list[int]:
    """Numbers of the predictions that step i can look at, newest first, at most ``count``."""
    return list(range(i, max(i - count, -1), -1))
