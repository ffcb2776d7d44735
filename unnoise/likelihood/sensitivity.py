"""Sensitivity of a log-likelihood to the number of steps and to the start and end times."""

import math
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from unnoise.core.condition import Condition
from unnoise.likelihood.flow_ode import log_prob
from unnoise.system.progress import counting


@dataclass(frozen=True)
class Sensitivity:
    """Sensitivity of log p to settings: mean changes in nats (or the unit made by ``scaled``).

    Arguments:
        steps: with half the steps; the error of the walk is well below.
        end: with the density taken for known at half the last noise level.
        begin: as the density of the data with twice the noise: which level is asked about matters.
        count: data it was measured on.
    """

    steps: float
    end: float
    begin: float
    count: int

    def scaled(self, by: float) -> "Sensitivity":
        """Convert to another unit, such as bits per dimension."""
        return replace(self, steps=by * self.steps, end=by * self.end, begin=by * self.begin)


def sensitivity(
    denoiser: Any,
    x: Tensor,
    cond: Condition | None = None,
    *,
    t: float | None = None,
    steps: int = 128,
    progress: bool | None = None,
    **how: Any,
) -> Sensitivity:
    """Sensitivity of log p, recomputed with one setting changed at a time: four likelihoods.

    Arguments:
        denoiser: a GaussianDenoiser.
        x, cond, t, steps, progress, how: as in ``log_prob``.
    """
    process = denoiser.process
    begin = process.t_min if t is None else t

    def level(at: float, factor: float) -> float:
        return float(process.time(math.atan(factor * math.tan(float(process.angle(at))))))

    def ask(**other: Any) -> Tensor:
        changed = {"t": begin, "steps": steps, **other}
        found = log_prob(denoiser, x, cond, **changed, **how).log_prob
        count()
        return found

    with counting("sensitivity", 4, "likelihoods", progress) as count:
        plain = ask()
        return Sensitivity(
            steps=float((ask(steps=max(1, steps // 2)) - plain).mean()),
            end=float((ask(end=level(process.t_max, 0.5)) - plain).mean()),
            begin=float((ask(t=level(begin, 2.0)) - plain).mean()),
            count=len(x),
        )
