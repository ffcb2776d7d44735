"""The grid that goes with the default solver."""

import math
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from unnoise.catalogue.registry import register
from unnoise.core.moments import Moments
from unnoise.solvers.grids import Grid


def _even(high: float, low: float, count: int) -> Tensor:
    """Logarithms of ``count`` levels, even from ``high`` to ``low``."""
    return torch.linspace(math.log(high), math.log(low), count, dtype=torch.float64)


@register("grid", "auto")
@final
@dataclass(frozen=True)
class AutoGrid(Grid):
    """Few steps while the data is a Gaussian under the noise, even log steps where it is more.

    With std the data's standard deviation and N steps: N / 10 steps (at least one) from the start
    down to sigma / alpha = 4 std sqrt(N / 5), at most 16 std; the others, even in log(sigma /
    alpha), down to std max(0.6 / N, 6 / N^2). The rule was fitted on mixtures of Gaussians to the
    solver "auto".
    """

    def times(self, process: Any, start: float, count: int, data: Moments | None) -> Tensor:
        process.check()
        std = 1.0 if data is None else data.variance**0.5
        ends = torch.tensor([min(start, process.t_max), process.t_min], dtype=torch.float64)
        first, least = process.angle(ends).tan().tolist()
        last = max(least, std * max(0.6 / count, 6 / count**2))
        knee = min(first, std * min(4 * math.sqrt(count / 5), 16.0))
        above = min(max(1, round(count / 10)), count - 1) if knee < first else 0
        if last >= knee:
            last, above = min(last, first / 2), 0
        below = _even(knee if above else first, last, count - above)
        levels = torch.cat([_even(first, knee, above + 1)[:-1], below])
        times = process.time(torch.atan(levels.exp()))
        times[0] = start
        return times
