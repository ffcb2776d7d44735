"""Time grids (discretisation schedules) for sampling: timesteps from 1 (noise) to 0 (data)."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from unnoise.catalogue.ranges import MOST_STEPS, Positive, whole
from unnoise.catalogue.registry import member, register
from unnoise.core.errors import InputError, short
from unnoise.processes import SDE, GaussianProcess
from unnoise.solvers.base import check_times
from unnoise.spaces.moments import Moments


class Grid(ABC):
    """Time grid (discretisation schedule): how timesteps are spaced between a process's ends."""

    family: ClassVar[str] = "grid"
    needs: ClassVar[type] = GaussianProcess

    @abstractmethod
    def times(self, process: Any, start: float, count: int, data: Moments | None) -> Tensor:
        """Noisy timesteps of a trajectory: ``count`` of them, descending from ``start``, float64.

        Arguments:
            process: of the type that ``needs`` names.
            start: the first time.
            count: at least 1.
            data: mean and covariance of the data where known.

        Raises:
            InputError: the process has no such times.
        """


def levels(process: GaussianProcess, start: float) -> tuple[float, float]:
    """sigma / alpha at the first time where alpha is positive, and at t_min."""
    process.check()
    ends = torch.tensor([min(start, process.t_max), process.t_min], dtype=torch.float64)
    first, last = process.angle(ends).tan().tolist()
    return first, last


@register("grid", "uniform")
@final
@dataclass(frozen=True)
class UniformGrid(Grid):
    """Time grid with uniform timesteps, as in score SDE."""

    needs: ClassVar[type] = SDE

    def times(self, process: Any, start: float, count: int, data: Moments | None) -> Tensor:
        return torch.linspace(start, process.t_min, count, dtype=torch.float64)


@register("grid", "logsnr")
@final
@dataclass(frozen=True)
class LogSNRGrid(Grid):
    """Time grid with even steps of the log signal-to-noise ratio (log SNR)."""

    def times(self, process: Any, start: float, count: int, data: Moments | None) -> Tensor:
        first, last = levels(process, start)
        steps = torch.linspace(math.log(first), math.log(last), count, dtype=torch.float64)
        return _pinned(process.time(torch.atan(steps.exp())), start, process.t_min)


@register("grid", "angle")
@final
@dataclass(frozen=True)
class AngleGrid(Grid):
    """Time grid with even steps of the angle atan2(sigma, alpha)."""

    def times(self, process: Any, start: float, count: int, data: Moments | None) -> Tensor:
        process.check()
        first, last = process.angle(start).item(), process.angle(process.t_min).item()
        steps = torch.linspace(first, last, count, dtype=torch.float64)
        return _pinned(process.time(steps), start, process.t_min)


@register("grid", "karras")
@final
@dataclass(frozen=True)
class KarrasGrid(Grid):
    """Karras (EDM) time grid: even steps of (sigma / alpha)^(1 / rho).

    Arguments:
        rho: larger values put more steps near the data.
        sigma_min: level sigma / alpha of the last noisy time; the process's own when absent.

    References:
        Karras et al., Elucidating the design space of diffusion-based generative models,
        NeurIPS 2022, eq. 5.
    """

    rho: Positive = 7.0
    sigma_min: Positive | None = None

    def times(self, process: Any, start: float, count: int, data: Moments | None) -> Tensor:
        first, last = levels(process, start)
        end = process.t_min
        if self.sigma_min is not None:
            last = max(last, self.sigma_min)
            end = float(process.time(math.atan(last)))
        if last >= first:
            raise InputError(f"sigma_min = {last:g} is not below the first level, {first:g}.")
        power = 1 / self.rho
        steps = torch.linspace(first**power, last**power, count, dtype=torch.float64)
        return _pinned(process.time(torch.atan(steps**self.rho)), start, end)


@register("grid", "edm")
def edm_grid(rho: Positive = 7.0, sigma_min: Positive = 0.002) -> KarrasGrid:
    """EDM time grid (Karras et al. 2022): Karras steps that end at sigma = 0.002.

    Arguments:
        rho: larger values put more steps near the data.
        sigma_min: level of the last noisy time.

    References:
        Karras et al., NeurIPS 2022, table 1.
    """
    return KarrasGrid(rho, sigma_min)


@register("grid", "native")
@final
@dataclass(frozen=True)
class NativeGrid(Grid):
    """The process's own timesteps t = i / N, all of them or evenly strided (respacing).

    References:
        Nichol and Dhariwal, Improved denoising diffusion probabilistic models, ICML 2021, section 4
        (strided respacing).
    """

    needs: ClassVar[type] = SDE

    def times(self, process: Any, start: float, count: int, data: Moments | None) -> Tensor:
        chain: int | None = process.steps
        if chain is None:
            raise InputError(
                f"{type(process).__name__} is continuous and has no chain of its own; use another "
                'grid, such as "uniform".'
            )
        last = round(start * chain)
        if count > last:
            raise InputError(
                f"{count} steps but the chain of {type(process).__name__} has {last} up to t = "
                f"{start:g}; ask for at most as many."
            )
        return torch.linspace(last, 1, count, dtype=torch.float64).round() / chain


def _pinned(times: Tensor, start: float, end: float) -> Tensor:
    """The same times with their ends exactly as they were asked for."""
    if len(times) > 1:
        times[-1] = end
    times[0] = start
    return times


def _listed(times: Any) -> Tensor:
    """Times that somebody wrote out, whatever they are."""
    try:
        found = torch.as_tensor(times, dtype=torch.float64, device="cpu").to_dense()
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise InputError(
            f"grid = {short(times)}: a list of times holds numbers, such as [1, 0.5, 0]."
        ) from error
    if found.numel() > MOST_STEPS + 1:
        raise InputError(f"a grid of {found.numel():,} times; at most {MOST_STEPS + 1:,} will do.")
    return found


def grid(
    process: Any,
    steps: int,
    rule: Grid | str | Sequence[float] | Tensor = "logsnr",
    start: float = 1.0,
    data: Moments | None = None,
) -> Tensor:
    """Make the timesteps for ``trajectory``, descending: start, ..., the last noisy time, 0.

    Arguments:
        process: the process to walk back.
        steps: number of steps, 1 to 100,000.
        rule: how to space them: "logsnr", "karras", "edm", "angle", "uniform", "native", "auto", a
            Grid, or the times themselves (then ``steps`` and ``start`` are not looked at).
        start: the first time, in (t_min, 1].
        data: mean and covariance of the data, for rules that can use them.

    Returns:
        Shape (steps + 1,), float64.

    Raises:
        InputError: no such rule, too few steps, or times that do not fall.
    """
    if not isinstance(rule, Grid | str | Mapping):
        return check_times(_listed(rule))
    steps = whole(steps, "steps", 1, MOST_STEPS)
    if not process.t_min < start <= 1:
        raise InputError(f"start = {start:g}: accepted are times above {process.t_min:g}, up to 1.")
    chosen: Grid = member(Grid, rule)
    if not isinstance(process, chosen.needs):
        raise InputError(
            f"grid {type(chosen).__name__} needs a {chosen.needs.__name__}; "
            f'{type(process).__name__} is none. Use "uniform".'
        )
    noisy = chosen.times(process, start, steps, data)
    return check_times(torch.cat([noisy, torch.zeros(1, dtype=torch.float64)]))
