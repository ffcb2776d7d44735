"""Base classes of models, and the training phases that the engine optimises."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, final, runtime_checkable

from torch import Tensor, nn

from unnoise.catalogue.construction import changed, note_of
from unnoise.core.condition import GUIDED, Condition
from unnoise.core.errors import LONGEST, short, within
from unnoise.core.noise import Noise
from unnoise.data import DataInfo
from unnoise.data.names import shown
from unnoise.objectives import Loss
from unnoise.spaces import Labels, Space


@dataclass(frozen=True)
class Phase:
    """Training phase: one module to optimise by one loss, in turn with the others of a step.

    Arguments:
        name: for the log, e.g. "diffusion".
        module: whose parameters the optimiser may change.
        loss: ``loss(x0, cond, noise)`` of each sample.
        rate: learning rate as a multiple of the training's.
        betas, weight_decay: of its optimiser; None takes the training's.
        repeats: optimiser steps in each training step, all on the same examples.
    """

    name: str
    module: nn.Module
    loss: Callable[[Tensor, Condition | None, Noise], Loss]
    rate: float = 1.0
    betas: tuple[float, float] | None = None
    weight_decay: float | None = None
    repeats: int = 1


@runtime_checkable
class Begins(Protocol):
    """A model whose first values come from data, such as the scales of ActNorm.

    Attributes:
        begun: a buffer of one bool, False in a new model; training sets it.
    """

    begun: Tensor

    def begin(self, x0: Tensor, cond: Condition | None) -> None:
        """Set the first values by examples (B, *event), before any step and any average."""
        ...


class Model(nn.Module, ABC):
    """Base class of models: what the engine trains and a file holds.

    Attributes:
        info: what is known of its data; None before it was trained.
        sampling: defaults of ``sample``; None for a model that does not draw.
        sampling_kind: kind of its [sampling] table: "walk", "draw", or None where it has none.
        recipe: tables of the recipe that trained it, for its file; empty where there was none.
        origin: the file it was read from; None for a model that was made in this process. What a
            file says of its data is a stranger's word: it opens nothing by itself.
        hidden: share of the examples in which training hid a slot of the condition, by slot; None
            where that is not known.
        reads: slots of the condition that it reads.
        guided: those that training hides in some rows, for guidance.
    """

    family: ClassVar[str] = "model"
    # What a pickle keeps beside the weights.
    kept: ClassVar[tuple[str, ...]] = ("info", "sampling", "recipe", "origin", "hidden")
    info: DataInfo | None
    sampling: Any = None
    sampling_kind: ClassVar[str | None] = None
    recipe: dict[str, Any]
    origin: Path | None = None
    hidden: Mapping[str, float] | None = None
    reads: frozenset[str] = frozenset()
    guided: frozenset[str] = GUIDED

    @final
    def __repr__(self) -> str:
        """In a line: its parts, what its events are, and what it was trained on."""
        # Of a model that is not whole, such as one whose __init__ failed, what there is.
        shape, classes = getattr(self, "shape", ()), getattr(self, "classes", None)
        info: DataInfo | None = getattr(self, "info", None)
        events = " x ".join(map(str, shape)) + ("" if classes is None else f", {classes:,} classes")
        data = "" if info is None else f"trained on {shown(info.name, 40)}, {info.count:,} examples"
        told = "; ".join(filter(None, [", ".join(_parts(self)), events, data or "not trained"]))
        return within(f"{type(self).__name__}({told})", LONGEST)

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Event shape."""

    @property
    @abstractmethod
    def classes(self) -> int | None:
        """Number of labels; None for a model without."""

    @final
    @property
    def labels(self) -> Labels | None:
        """The classes it knows, with names and counts where they are known; None for a model
        without. Of a class that its data never had the count is 0."""
        classes = self.classes
        known = None if self.info is None else self.info.labels
        if classes is None or known is None or known.classes > classes:
            return None if classes is None else Labels(classes)
        more = (0,) * (classes - known.classes)
        counts = None if known.counts is None else known.counts + more
        return Labels(classes, None if more else known.names, counts)

    @final
    @property
    def space(self) -> Space:
        """What its events are; before training no more than their shape."""
        return Space(self.shape) if self.info is None else self.info.space

    @abstractmethod
    def phases(self) -> list[Phase]:
        """What there is to train."""

    @final
    def forward(self, x0: Tensor, cond: Condition | None, noise: Noise, phase: int = 0) -> Loss:
        """The loss of one phase: the way the engine calls a model, wrapped or not."""
        return self.phases()[phase].loss(x0, cond, noise)


def _parts(model: Model) -> list[str]:
    """What it was built from: networks and processes by class, what else was chosen by kind."""
    note = note_of(model)
    if note is None:
        return []
    chosen, told = changed(*note), list[str]()
    for name, value in note[1].items():
        made = note_of(value)
        if made is not None and made[0].family in ("network", "classifier", "process"):
            told.append(type(value).__name__)
        elif name in chosen:
            told.append(f"{name}={short(value)}" if made is None else f"{name} {made[0].kind}")
    return told


class Generative(Model, ABC):
    """Base class of generative models: those that draw samples."""

    sampling_kind: ClassVar[str | None] = "draw"

    @final
    @property
    def sampling(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Defaults of ``sample``; its chunk is a number as soon as the model knows its events."""
        held = self.__dict__.get("_sampling")
        if held is not None and getattr(held, "chunk", 0) is None:
            self._sampling = held = replace(held, chunk=Space(self.shape).together)
        return held

    @sampling.setter
    def sampling(self, value: Any) -> None:
        self._sampling = value

    @abstractmethod
    def sample(self, n: int, cond: Condition | None = None, *, seed: int = 0) -> Tensor:
        """``n`` samples as modelled values, shape (n, *event), float32."""
