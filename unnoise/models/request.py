"""Sampling requests: everything that a sample can be asked to be, as one value."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, fields
from typing import Any, TypedDict, final

from torch import Tensor

from unnoise.catalogue.ranges import LAST_SAMPLE, MOST, whole
from unnoise.catalogue.registry import member
from unnoise.catalogue.schema import check_keywords
from unnoise.core.condition import Condition
from unnoise.core.errors import InputError, short
from unnoise.core.noise import check_seed
from unnoise.denoisers import Guidance
from unnoise.models.conditions import Asked
from unnoise.models.measurement import Measurement
from unnoise.solvers import Grid, Solver


class SampleKeywords(TypedDict, total=False):
    """The keywords of ``sample``; ``SampleRequest`` says what each means."""

    seed: int
    label: Asked
    guidance: Guidance | float | None
    solver: Solver | str | None
    steps: int | None
    grid: Grid | str | Sequence[float] | None
    first: int
    exact: bool
    given: Measurement | None
    near: tuple[Tensor, float] | None
    guide: Any


@final
@dataclass(frozen=True, eq=False)
class SampleRequest:
    """What is asked of a model that walks from noise to data; it checks itself.

    Arguments:
        n: how many samples.
        cond: conditions, one row for each; ``label`` is short for Condition(label=...).
        seed: any integer.
        label: one class for all, by number or name, or one for each; "uniform" takes the classes
            that training had examples of in turn, by sample number; None draws each sample's class
            by the training data's frequencies. Meaningless for a model without labels.
        guidance: how strongly to lean towards the condition: a scale (1 plain conditional, 0
            unconditional), or ``GuidanceInterval``, ``GuidanceRescale``.
        solver, steps, grid: as in ``trajectory`` and ``grid``; None takes the model's own.
        first: number of the first sample: ``sample(1, first=17)`` is row 17 of ``sample(64)``.
        exact: compute in padded chunks of one size, so that the bits do not depend on ``n``;
            False uses one batch: the same noise, equal up to rounding.
        given: what is known of the samples. Without a condition the model is then asked
            unconditionally, and without a solver it walks by ``Ancestral()``.
        near: ``(x, strength)``: samples begin as noised ``x``, shape (n, *event), and not as
            noise; see ``vary``.
        guide: what to lean by: None is the model itself without its condition (classifier-free);
            a ``Classifier`` of noisy events, for models with labels or without, which is asked
            for ``label`` while the model is asked unconditionally; a weaker model (autoguidance);
            or a function ``log_prob(x, t, cond)``, shape (n,).

    Raises:
        InputError: a value is of the wrong type or out of range.
    """

    n: int
    cond: Condition | None = None
    _: KW_ONLY
    seed: int = 0
    label: Asked = None
    guidance: Guidance | float | None = None
    solver: Solver | str | None = None
    steps: int | None = None
    grid: Grid | str | Sequence[float] | None = None
    first: int = 0
    exact: bool = True
    given: Measurement | None = None
    near: tuple[Tensor, float] | None = None
    guide: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", whole(self.n, "n", 1, MOST, " of samples"))
        object.__setattr__(self, "first", whole(self.first, "first", 0, LAST_SAMPLE))
        check_seed(self.seed)
        if self.given is not None and not isinstance(self.given, Measurement):
            raise InputError(f"given = {short(self.given)}: give a Measurement(operator, value).")
        if self.near is not None and not (isinstance(self.near, tuple) and len(self.near) == 2):
            raise InputError(f"near = {short(self.near)}: give a pair, (data, strength).")
        for name, base in (("solver", Solver), ("guidance", Guidance)):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, member(base, getattr(self, name)))

    @classmethod
    def of(cls, n: int, cond: Condition | None, keywords: SampleKeywords) -> "SampleRequest":
        """A request from the arguments of a method; an unknown one is refused by name."""
        check_keywords("sample", keywords, [f.name for f in fields(cls) if f.name != "_"])
        return cls(n, cond, **keywords)
