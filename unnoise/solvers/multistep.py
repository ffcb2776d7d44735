"""Multistep solvers: a step combines the newest prediction with those of earlier steps."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from unnoise.core.condition import Given
from unnoise.core.distributions import Normal
from unnoise.core.noise import Noise
from unnoise.processes import GaussianProcess
from unnoise.solvers.base import Leg, Moved, Solver
from unnoise.spaces.moments import Moments

NODES, WEIGHTS = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(24))
DEEPEST = 4  # as many predictions as any of them looks back on


class Frame(NamedTuple):
    """Coordinates along the data's principal axes: ``w = axes^T (x - alpha mean)``.

    Arguments:
        data: whose mean and axes; None is x as it is.
        alpha, next_alpha: where the step begins and ends.
    """

    data: Moments | None = None
    alpha: float = 1.0
    next_alpha: float = 1.0

    def inward(self, x: Tensor, alpha: float) -> Tensor:
        """Transform a state, of scale ``alpha``, into these coordinates."""
        if self.data is None:
            return x
        away = torch.sub(x, self.data.mean.to(x), alpha=alpha)
        return away if self.data.axes is None else away.flatten(1) @ self.data.axes.to(x)

    def outward(self, w: Tensor, like: Tensor) -> Tensor:
        """Transform back (the inverse of ``inward``), at the end of the step."""
        if self.data is None:
            return w
        axes = self.data.axes
        turned = w if axes is None else (w @ axes.to(w).T).reshape(like.shape)
        return torch.add(turned, self.data.mean.to(w), alpha=self.next_alpha)


class Combination(NamedTuple):
    """Coefficients of one multistep step, each a float or one number for each axis of its frame.

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
    """Memory of a multistep solver: the (corrected) state before the last step, and predictions."""

    w: Tensor
    predictions: list[Tensor]

    def begun_at(self, x: Tensor) -> "Remembered":
        return self._replace(w=x)


class Multistep(Solver, ABC):
    """Multistep solver: ``x_s = keep x_t + sum_j weights[j] p_j (+ spread z)``, predictions p_j.

    A step that knows how the one before could have been made better makes it again first, at no
    network call.
    """

    looks_back = True

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
        cond: Given,
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
    """Linear combination keep w + sum_j weights[j] predictions[j]; inputs are not changed."""
    fresh = isinstance(keep, Tensor) or keep != 1
    total = w * (keep.to(w) if isinstance(keep, Tensor) else keep) if fresh else w
    for weight, prediction in zip(weights, predictions, strict=False):
        if isinstance(weight, Tensor):
            weight = weight.to(prediction)
            add = total.addcmul_ if fresh else total.addcmul
            total = add(weight, prediction)
        elif weight:
            add = total.add_ if fresh else total.add
            total = add(prediction, alpha=weight)
        else:
            continue
        fresh = True
    return total


def lagrange(nodes: Tensor, at: Tensor) -> Tensor:
    """Lagrange basis polynomials of ``nodes`` (..., m) at points ``at`` (..., q): (..., m, q)."""
    count = nodes.shape[-1]
    rows: list[Tensor] = []
    for i in range(count):
        row = torch.ones_like(at)
        for j in range(count):
            if j != i:
                node, other = nodes[..., i, None], nodes[..., j, None]
                row = row * ((at - other) / (node - other))
        rows.append(row)
    return torch.stack(rows, -2)


def gauss_legendre(low: Tensor | float, high: Tensor | float) -> tuple[Tensor, Tensor]:
    """Gauss-Legendre nodes and weights from ``low`` to ``high`` (...), float64, shape (..., 24)."""
    low, high = torch.as_tensor(low)[..., None], torch.as_tensor(high)[..., None]
    half = (high - low) / 2
    return low + half * (NODES + 1), half * WEIGHTS


def newest(i: int, count: int) -> list[int]:
    """Indices of the predictions available to step i, newest first, at most ``count``."""
    return list(range(i, max(i - count, -1), -1))


def alike(
    histories: Sequence[Sequence[int]], rule: Callable[[Tensor, Tensor], Tensor]
) -> list[list[Any]]:
    """Weights of the predictions for every step, batched over steps of equal history length.

    Arguments:
        histories: the nodes of each step; a step without any has no weights.
        rule: from steps (R,) and their nodes (R, m) to weights, shape (R, m) or (R, m, D).

    Returns:
        For each step as many weights as it has nodes: floats, or tensors (D,).
    """
    found: list[list[Any]] = [[] for _ in histories]
    for length in {len(nodes) for nodes in histories} - {0}:
        steps = [i for i, nodes in enumerate(histories) if len(nodes) == length]
        weights = rule(torch.tensor(steps), torch.tensor([histories[i] for i in steps]))
        rows = weights.tolist() if weights.ndim == 2 else [list(row) for row in weights]
        for i, row in zip(steps, rows, strict=True):
            found[i] = row
    return found


def clean_weights(
    place: Tensor, histories: Sequence[list[int]], rate: float, scale: Tensor
) -> list[list[float]]:
    """Exponential Adams method: weights of x0_hat at the nodes of each step.

    With u = sigma / alpha and lambda = -log u, half the log SNR, the probability-flow ODE is

        ``x_s = (sigma_s / sigma_t) x_t + alpha_s int e^-(lambda_s - lambda) x0_hat dlambda``.

    The integral is ``scale rate int e^-rate(lambda_s - lambda) x0_hat dlambda`` over the step.
    ``place`` is lambda on the grid, -inf for noise alone and +inf for the data; noise alone is no
    node to interpolate through, and the step into the data takes the newest x0_hat as it is. A
    straight interpolant is taken at the middle of the step, as the authors of the solvers do; bent
    ones are integrated by quadrature.
    """
    far = torch.isinf(place).tolist()
    nodes = [
        list(known[:1]) if far[i] or far[i + 1] else [node for node in known if not far[node]]
        for i, known in enumerate(histories)
    ]

    def rule(steps: Tensor, at: Tensor) -> Tensor:
        start, end, by = place[steps], place[steps + 1], scale[steps, None]
        whole = -torch.expm1(-rate * (end - start))[:, None]
        if at.shape[1] == 1:
            return by * whole
        if at.shape[1] == 2:
            middle = ((start + end) / 2)[:, None]
            return by * whole * lagrange(place[at], middle)[..., 0]
        q, width = gauss_legendre(start, end)
        kernel = rate * torch.exp(-rate * (end[:, None] - q)) * width
        return by * (lagrange(place[at], q) * kernel[:, None]).sum(2)

    return alike(nodes, rule)
