"""Inverse problems: inpainting, super-resolution, deblurring ... by posterior sampling."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, final

from torch import Tensor

from unnoise.catalogue.ranges import Draws, NotNegative, Positive, real
from unnoise.catalogue.registry import member, register
from unnoise.core.condition import Condition
from unnoise.core.errors import InputError, short
from unnoise.denoisers import MMPS, GaussianDenoiser, Method, PiGDM, Posterior
from unnoise.likelihood.given import check_data
from unnoise.operators import Operator, Projection
from unnoise.solvers import DPS, TDS, Ancestral, Replacing, Settled, Solver
from unnoise.system.modes import usable


def _settled(solver: Solver, operator: Operator, std: float) -> Solver:
    """What was measured exactly, and can be put in its place, is so at the end."""
    if isinstance(operator, Projection) and std == 0:
        return Settled(solver, operator)
    return solver


class Imputation(ABC):
    """Base class of inverse-problem methods: how a measurement enters the belief or the walk."""

    family: ClassVar[str] = "imputation"

    @abstractmethod
    def arrange(
        self, denoiser: GaussianDenoiser, solver: Solver, operator: Operator, std: float
    ) -> tuple[GaussianDenoiser, Solver]:
        """Denoiser and solver that heed ``Condition.measured``.

        Raises:
            InputError: it cannot be done with this operator or noise.
        """


@final
@dataclass(frozen=True)
class Believed(Imputation):
    """Inverse-problem method made of a belief and a walk, each of which may heed the measurement.

    Arguments:
        method: how the denoiser believes it (``Posterior``); None leaves the belief alone.
        walk: ``walk(solver, operator, std, *settings)`` gives the solver that heeds it.
        settings: further arguments of ``walk``.
    """

    method: Method | None = None
    walk: Callable[..., Solver] = field(default=_settled, repr=False)
    settings: tuple[float, ...] = ()

    def arrange(
        self, denoiser: GaussianDenoiser, solver: Solver, operator: Operator, std: float
    ) -> tuple[GaussianDenoiser, Solver]:
        solver = self.walk(solver, operator, std, *self.settings)
        if self.method is not None:
            denoiser = Posterior(denoiser, operator, self.method, std)
        return denoiser, solver


@register("imputation", "mmps")
def mmps(iterations: Draws = 1) -> Imputation:
    """Moment matching; exact where the data is Gaussian. See ``MMPS``."""
    return Believed(MMPS(iterations))


@register("imputation", "pigdm")
def pigdm(data_std: Positive = 0.5, iterations: Draws = 5) -> Imputation:
    """Pseudo-inverse guidance. See ``PiGDM``."""
    return Believed(PiGDM(data_std, iterations))


@register("imputation", "tds")
def tds(particles: Draws = 16, data_std: Positive = 0.5) -> Imputation:
    """Particles: slow, and with more of them as exact as the model is. See ``TDS``."""
    return Believed(PiGDM(data_std), _by_particles, (particles,))


@register("imputation", "dps")
def dps(step: Positive = 1.0) -> Imputation:
    """Diffusion posterior sampling. See ``DPS``."""
    return Believed(None, _descending, (step,))


@register("imputation", "replacement")
def replacement() -> Imputation:
    """Known values replaced after every step; fast, and too wide. See ``Replacing``."""
    return Believed(None, _replacing)


@register("imputation", "repaint")
def repaint(resample: Draws = 10) -> Imputation:
    """Replacement with every step walked several times. See ``Replacing``."""
    return Believed(None, _replacing, (resample,))


def _by_particles(solver: Solver, operator: Operator, std: float, particles: int) -> Solver:
    if solver != Ancestral():
        raise InputError(
            f"solver {type(solver).__name__}: the particles of tds walk by ancestral steps of "
            "their own; leave the solver out."
        )
    return _settled(TDS(particles), operator, std)


def _descending(solver: Solver, operator: Operator, std: float, step: float) -> Solver:
    return _settled(DPS(solver, operator, step), operator, std)


def _replacing(solver: Solver, operator: Operator, std: float, resample: int = 1) -> Solver:
    if not isinstance(operator, Projection) or std > 0:
        what = f"noise of std {std:g}" if std > 0 else f"{type(operator).__name__}"
        raise InputError(
            f"replacement cannot heed {what}: it puts exact values of a projection (mask, "
            "grey, downscale, random-rows) in their place. Use mmps, pigdm or dps."
        )
    return Replacing(solver, operator, resample)


@final
@dataclass(frozen=True)
class Measurement:
    """Measurement of an inverse problem: ``value = operator(sample) + std eps``.

    Arguments:
        operator: what was measured: ``Mask``, ``Grey``, ``Downscale``, ``Blur``, ``RandomRows``,
            ``LinearOperator``.
        value: modelled values of it, one row for each sample or one row for all, shape
            (N or 1, *measurement).
        by: how samples are made to agree: "mmps", "pigdm", "tds", "dps", "replacement", "repaint",
            a table such as {"kind": "repaint", "resample": 20}, or an Imputation.
        std: standard deviation of its noise, in modelled units.
    """

    operator: Operator
    value: Tensor
    by: Imputation | str | Mapping[str, Any] = "mmps"
    std: NotNegative = 0.0

    def check(self, event: tuple[int, ...], n: int) -> None:
        """Refuse a measurement that is none of such events.

        Raises:
            InputError: its shape is another, or it holds what is no number.
        """
        if not isinstance(self.operator, Operator):
            raise InputError(f"operator = {short(self.operator)}: give one, such as Mask(shown).")
        if real(self.std, "std") < 0:
            raise InputError(f"std = {short(self.std)}: accepted are numbers from 0.")
        check_data(self.value, "the measured value")
        wanted = self.operator(self.value.new_zeros(1, *event)).shape[1:]
        if self.value.shape[1:] != wanted:
            raise InputError(
                f"the measured value has shape {tuple(self.value.shape[1:])}; "
                f"{type(self.operator).__name__} of events {event} gives {tuple(wanted)}."
            )
        if len(self.value) not in (1, n):
            raise InputError(f"{n} samples but {len(self.value)} measurements; give 1, or {n}.")

    def condition(self, cond: Condition | None, index: Tensor) -> Condition:
        """The condition of some samples with the measurement in it."""
        value = usable(self.value)
        rows = value[index if len(value) > 1 else index * 0]
        return replace(cond or Condition(), measured=rows)

    def arrange(
        self, denoiser: GaussianDenoiser, solver: Solver
    ) -> tuple[GaussianDenoiser, Solver]:
        """Denoiser and solver that heed it."""
        by: Imputation = member(Imputation, self.by)
        return by.arrange(denoiser, solver, self.operator, self.std)
