"""Helpers of the contract tests: errors, test times, random draws, finite differences."""

from abc import ABC
from collections.abc import Callable

import torch
from torch import Tensor

from unnoise.catalogue.registry import build, names
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.processes import GaussianProcess


class ManyProcesses(ABC):
    """Base class of contract tests that hold under many noise processes."""

    def processes(self) -> list[GaussianProcess]:
        """Noise processes to test under: every registered one."""
        return [build("process", name) for name in names("process")]


def worst(got: Tensor, wanted: Tensor, scale: Tensor | float | None = None) -> float:
    """Largest relative error |got - wanted| / scale (default |wanted|); infinite with any NaN."""
    got, wanted = got.detach(), wanted.detach()
    scale = wanted.abs() if scale is None else torch.as_tensor(scale).detach().to(wanted)
    error = (got - wanted).abs() / scale
    # 0 / 0: both are zero, and agree.
    error = torch.where(got == wanted, torch.zeros_like(error), error)
    return float(torch.nan_to_num(error, nan=torch.inf).max())


def refusal(call: Callable[[], object]) -> str:
    """Message of the InputError that a call raises; empty if it raises none."""
    try:
        call()
    except InputError as error:
        return str(error)
    return ""


def draw(*shape: int, name: str = "draw", dtype: torch.dtype = torch.float64) -> Tensor:
    """Reproducible standard normal numbers."""
    return Noise(0, range(shape[0])).child(name).normal(torch.empty(shape, dtype=dtype))


def times_of(process: GaussianProcess, count: int = 41, end: float = 1.0) -> Tensor:
    """Times from t_min to ``end``, half of them crowded towards t_min, float64."""
    even = torch.linspace(process.t_min, end, count, dtype=torch.float64)
    share = torch.logspace(-6, -0.01, count, dtype=torch.float64)
    return torch.cat([even, process.t_min + (end - process.t_min) * share]).unique()


def smooth_times(process: GaussianProcess, end: float = 0.999) -> Tensor:
    """Times after t_min where a schedule is smooth: the middles of the segments of a chain."""
    t = times_of(process, end=end)[1:]
    if process.steps is None:
        return t
    return ((t * process.steps).floor().clamp(1, process.steps - 1) + 0.5).unique() / process.steps


def slope(function: Callable[[Tensor], Tensor], t: Tensor) -> Tensor:
    """Derivative on (0, 1) by central differences of fourth order."""
    h = 3e-4 * torch.minimum(t, 1 - t)
    near = function(t + h) - function(t - h)
    far = function(t + 2 * h) - function(t - 2 * h)
    return (8 * near - far) / (12 * h)
