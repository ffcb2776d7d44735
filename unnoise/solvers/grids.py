"""Where a walk sets its feet: descending times from 1 (noise) to 0 (data)."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from unnoise.core.errors import InputError
from unnoise.core.ranges import Positive
from unnoise.core.registry import member, register
from unnoise.processes import GaussianProcess
from unnoise.solvers.base import check_times


class Grid(ABC):
    """A rule that spaces times between the process's ends."""

    family: ClassVar[str] = "grid"

    @abstractmethod
    def times(self, process: GaussianProcess, start: float, count: int) -> Tensor:
        """``count`` descending times from ``start`` to t_min, float64; their ends are replaced by
        exactly these."""


def _levels(process: GaussianProcess, start: float) -> tuple[float, float]:
    """sigma / alpha at the first time where alpha is positive, and at t_min."""
    ends = torch.tensor([min(start, process.t_max), process.t_min], dtype=torch.float64)
    first, last = process.angle(ends).tan().tolist()
    return first, last


@register("grid", "uniform")
@final
@dataclass(frozen=True)
class UniformGrid(Grid):
    """Even steps of time, as in score SDE."""

    def times(self, process: GaussianProcess, start: float, count: int) -> Tensor:
        return torch.linspace(start, process.t_min, count, dtype=torch.float64)


@register("grid", "logsnr")
@final
@dataclass(frozen=True)
class LogSNRGrid(Grid):
    """Even steps of the log signal-to-noise ratio."""

    def times(self, process: GaussianProcess, start: float, count: int) -> Tensor:
        first, last = _levels(process, start)
        steps = torch.linspace(math.log(first), math.log(last), count, dtype=torch.float64)
        return process.time(torch.atan(steps.exp()))


@register("grid", "angle")
@final
@dataclass(frozen=True)
class AngleGrid(Grid):
    """Even steps of the angle atan2(sigma, alpha)."""

    def times(self, process: GaussianProcess, start: float, count: int) -> Tensor:
        first, last = process.angle(start).item(), process.angle(process.t_min).item()
        return process.time(torch.linspace(first, last, count, dtype=torch.float64))


@register("grid", "karras")
@final
@dataclass(frozen=True)
class KarrasGrid(Grid):
    """Even steps of (sigma / alpha)^(1 / rho).

    Arguments:
        rho: larger values put more steps near the data.

    References:
        Karras et al., Elucidating the design space of diffusion-based generative models,
        NeurIPS 2022, eq. 5.
    """

    rho: Positive = 7.0

    def times(self, process: GaussianProcess, start: float, count: int) -> Tensor:
        first, last = _levels(process, start)
        power = 1 / self.rho
        steps = torch.linspace(first**power, last**power, count, dtype=torch.float64)
        return process.time(torch.atan(steps**self.rho))


def grid(
    process: GaussianProcess,
    steps: int,
    rule: Grid | str | Sequence[float] | Tensor = "logsnr",
    start: float = 1.0,
) -> Tensor:
    """Descending times for ``trajectory``: start, ..., t_min, 0.

    Arguments:
        process: the process to walk back.
        steps: number of steps, at least 1.
        rule: how to space them: "logsnr", "karras", "angle", "uniform", a Grid, or the times
            themselves (then ``steps`` and ``start`` are not looked at).
        start: the first time, in (t_min, 1].

    Returns:
        Shape (steps + 1,), float64.

    Raises:
        InputError: no such rule, too few steps, or times that do not fall.
    """
    if not isinstance(rule, Grid | str | Mapping):
        return check_times(torch.as_tensor(rule, dtype=torch.float64))
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise InputError(f"steps = {steps!r}: give a whole number of at least 1.")
    if not process.t_min < start <= 1:
        raise InputError(f"start = {start:g}: accepted are times above {process.t_min:g}, up to 1.")
    process.check()
    times = torch.zeros(steps + 1, dtype=torch.float64)
    if steps > 1:
        times[:-1] = member(Grid, rule).times(process, start, steps)
        times[-2] = process.t_min
    times[0] = start
    return check_times(times)
