"""Exponential (EMA) and power-function averages of the weights; post-hoc EMA.

An exponential average forgets with a half-life. A power-function average gives the weights of time
tau the share ``(gamma + 1) tau^gamma / t^(gamma + 1)`` at time t: its width is a share of the whole
training. Snapshots of a few of them span nearly every other (Karras et al., Analyzing and improving
the training dynamics of diffusion models, CVPR 2024, section 3).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import final

import numpy as np
import torch
from torch import Tensor

from unnoise.core.errors import InputError
from unnoise.training.shares import local, put

Profile = Callable[[int, int], float]
"""``decay`` of step ``n`` (from 0) and batch: ``average <- decay average + (1 - decay) weight``."""


def exponential(half_life: float) -> Profile:
    """Exponential moving average (EMA) with a half-life and a warm-up.

    ``decay = min(2^(-batch / half_life), (1 + n) / (10 + n))`` at step n.
    The warm-up keeps the first steps from lingering.

    Arguments:
        half_life: in examples; 0 follows the weights without delay.
    """

    def decay(step: int, batch: int) -> float:
        longest = 0.5 ** (batch / half_life) if half_life else 0.0
        return min(longest, (1 + step) / (10 + step)) if longest else 0.0

    return decay


def power(width: float) -> Profile:
    """Power-function EMA, profile tau^gamma: ``decay = (1 - 1 / t)^(gamma + 1)`` at step t >= 1.

    Arguments:
        width: relative standard deviation of the profile, in (0, 0.28].
    """
    gamma = exponent(width)
    return lambda step, batch: (1 - 1 / (step + 1)) ** (gamma + 1)


def exponent(width: float) -> float:
    """Exponent gamma of the power-function EMA of that relative standard deviation.

    ``width^2 = (gamma + 1) / ((gamma + 2)^2 (gamma + 3))``, solved for its largest root.

    Arguments:
        width: standard deviation of tau under the profile, as a share of t.

    Raises:
        InputError: outside (0, 0.28]; the flat profile, gamma = 0, has 12^(-1/2) = 0.289.
    """
    if not 0 < width <= 0.28:
        raise InputError(f"width = {width:g}: accepted are numbers above 0, up to 0.28.")
    inverse = width**-2
    roots = np.roots([1, 7, 16 - inverse, 12 - inverse])
    return float(roots.real.max())


@final
class Average:
    """Moving average (EMA) of weights, by its profile; it starts at their present values.

    Arguments:
        weights: what to average.
        profile: its shape.
    """

    def __init__(self, weights: Mapping[str, Tensor], profile: Profile) -> None:
        self.names = list(weights)
        self.weights = list(weights.values())
        self.profile = profile
        self.values = [w.detach().clone() for w in self.weights]
        # What is computed with: of shared tensors this process's part.
        self._pairs = ([local(v) for v in self.values], [local(w.detach()) for w in self.weights])

    @torch.no_grad()
    def update(self, step: int, batch: int) -> None:
        """Update the average with the weights of step ``step`` (from 0)."""
        torch._foreach_lerp_(*self._pairs, 1 - self.profile(step, batch))  # pyright: ignore

    @torch.no_grad()
    def swap(self) -> None:
        """Swap weights and average in place; a second call undoes it."""
        for value, weight in zip(*self._pairs, strict=True):
            kept = weight.clone()
            weight.copy_(value)
            value.copy_(kept)

    def state(self) -> dict[str, Tensor]:
        return dict(zip(self.names, self.values, strict=True))

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        for name, value in self.state().items():
            put(value, state[name])


def mixture(widths: Sequence[float], times: Sequence[float], width: float, time: float) -> Tensor:
    """Post-hoc EMA: coefficients of snapshots that best fit the average of another width.

    Least squares between profiles, ``int (sum_i x_i p_i - p)^2 dtau``, with ``<p, q> = (g + 1)
    (h + 1) / (g + h + 1) min(s, t)^(g + h + 1) / (s^(g + 1) t^(h + 1))`` for power functions of
    exponents g, h at times s, t.

    Arguments:
        widths, times: of the snapshots, each of length N; times above 0.
        width, time: of the average that is wanted.

    Returns:
        Shape (N,), float64; sums to about 1.
    """
    gammas = torch.tensor([exponent(w) for w in widths], dtype=torch.float64)
    ends = torch.tensor(times, dtype=torch.float64) / time

    def inner(g: Tensor, s: Tensor, h: Tensor, t: Tensor) -> Tensor:
        least, most = torch.minimum(s, t), torch.maximum(s, t)
        # s^-(g + 1) t^-(h + 1) min^(g + h + 1): one of the two ratios is 1.
        later = torch.where(s < t, h, g)
        ratio = (least / most) ** later / most
        return (g + 1) * (h + 1) / (g + h + 1) * ratio

    g, s = gammas[:, None], ends[:, None]
    wanted, one = torch.tensor(exponent(width)).double(), torch.ones((), dtype=torch.float64)
    gram = inner(g, s, gammas[None], ends[None])
    target = inner(gammas, ends, wanted, one)
    return torch.linalg.lstsq(gram, target[:, None], driver="gelsd").solution[:, 0]
