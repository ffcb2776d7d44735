"""Base class of data sets, batches, and the description of data (``DataInfo``)."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Annotated, Any, ClassVar, NotRequired, TypeVar, cast, final, overload

import torch
from annotated_types import Interval, MinLen
from torch import Tensor
from typing_extensions import TypedDict

from unnoise.catalogue.ranges import NotNegative
from unnoise.catalogue.registry import build, spec
from unnoise.core.condition import Condition
from unnoise.core.errors import InputError, short
from unnoise.core.noise import Noise, permutation
from unnoise.data.clouds import Clouds
from unnoise.data.names import Refusal, shown
from unnoise.spaces import Affine, Display, Labels, Moments, Space
from unnoise.spaces.space import Modelled
from unnoise.system.documents import Whole, checked

Maker = TypeVar("Maker")


def opens_nothing(maker: Maker) -> Maker:
    """Decorator (below ``register``) of data sets without file or URL: model files may name one."""
    setattr(maker, "opens_nothing", True)  # noqa: B010  (what is marked may be of any type)
    return maker


@dataclass(frozen=True)
class DataInfo(Modelled):
    """Description of training data (shape, classes, levels, moments); part of every model file.

    Arguments:
        name: of the data set.
        shape: event shape (C, H, W), (C, L) or (D,).
        classes: number of labels, None for none.
        levels: number of levels of a stored value, None for continuous data.
        offset, scale: of the affine map, see ``Modelled``; a number each, or one for each channel.
        mean: of the modelled values, shape ``shape``.
        variance: of the modelled values around their mean, averaged over the event.
        covariance: of the flattened modelled values, shape (D, D), where D <= 1024.
        count: number of training examples.
        sha256: of the stored values and labels.
        licence: of the data, with its source.
        class_names: what the labels 0, 1 ... are called, None where they have no names.
        class_counts: training examples of each class, None where nobody counted.
        display: how an event is shown, None where its shape decides (``unnoise show display``).

    Raises:
        InputError: the display cannot show events of this shape.
    """

    name: str
    shape: tuple[int, ...]
    classes: int | None
    levels: int | None
    offset: Affine
    scale: Affine
    mean: Tensor = field(repr=False)
    variance: float
    covariance: Tensor | None = field(repr=False)
    count: int
    sha256: str
    licence: str
    class_names: tuple[str, ...] | None = None
    class_counts: tuple[int, ...] | None = None
    display: Display | None = None

    def __post_init__(self) -> None:
        if self.display is not None and not self.display.takes(self.shape):
            raise InputError(
                f"events of shape {short(self.shape)} cannot be shown as display = "
                f"{short(spec(self.display)['kind'])}; without it, their shape decides."
            )

    @property
    def channels(self) -> int:
        return self.shape[0]

    @cached_property
    def space(self) -> Space:
        """What an event is."""
        moments = Moments(self.mean, self.variance, self.covariance)
        return Space(self.shape, self.levels, self.offset, self.scale, moments, self.display)

    @property
    def labels(self) -> Labels | None:
        """The classes, their names and counts; None where there are none."""
        if self.classes is None:
            return None
        return Labels(self.classes, self.class_names, self.class_counts)

    def label(self, text: str) -> int:
        """The number of a class, given by its number or name; see ``Labels.number``."""
        return (self.labels or Labels(1, self.class_names)).number(text)

    def moments(self) -> Moments:
        """Mean, variance and, where it is known, covariance of the modelled data."""
        assert self.space.moments is not None
        return self.space.moments


@dataclass(frozen=True)
class Batch:
    """A batch of examples: modelled values and their conditions.

    Arguments:
        x: modelled values, shape (B, *event), float32.
        cond: their conditions, or None.
    """

    x: Tensor
    cond: Condition | None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def label(self) -> Tensor | None:
        return None if self.cond is None else self.cond.label


class Dataset(ABC):
    """Base class of data sets (map-style): examples by index, in any order, without a cursor.

    Attributes:
        info: what is known of it.
        law: of the modelled values, where it is known.
        refused: files that were left out, and why; it may grow where files are read as they come.
        stretches: lengths of stretches of examples that are dear to jump between (a tar file each);
            empty where any order costs the same.
        together: stretches that are mixed with each other within an epoch.
        told: what was decided of its source (classes, what is held out), in a line; "" for none.
    """

    family: ClassVar[str] = "dataset"
    info: DataInfo
    law: Clouds | None = None
    refused: Sequence[Refusal] = ()
    stretches: tuple[int, ...] = ()
    together: int = 1
    told: str = ""

    def __repr__(self) -> str:
        info = self.info
        levels = "" if info.levels is None else f", {info.levels} levels"
        classes = "" if info.labels is None else f", {info.labels.told()}"
        what = f"{len(self):,} of shape {short(tuple(info.shape), 40)}{levels}{classes}"
        return f"<data {shown(info.name, 40)}: {what}>"

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def batch(self, index: Tensor, noise: Noise | None = None) -> Batch:
        """Load a batch of examples by index.

        Arguments:
            index: numbers of examples, shape (B,), int64, from 0.
            noise: one stream for each, for what is random in an example (dequantisation);
                None gives each example as it is.
        """

    @final
    def order(self, noise: Noise) -> Tensor:
        """Shuffled indices of all examples for one epoch, shape (N,), int64.

        Where examples lie in stretches, some of these are taken at random and their examples mixed.

        Arguments:
            noise: the epoch's own stream.
        """
        if not self.stretches:
            return permutation(noise, len(self))
        which = permutation(noise.child("stretches"), len(self.stretches))
        ends = torch.tensor(self.stretches).cumsum(0)
        parts: list[Tensor] = []
        for group in which.split(self.together):
            spans = [(int(ends[i]), self.stretches[i]) for i in group.tolist()]
            rows = torch.cat([torch.arange(end - length, end) for end, length in spans])
            parts.append(rows[permutation(noise.child("rows").child(len(parts)), len(rows))])
        return torch.cat(parts)

    @overload
    def __getitem__(self, index: int) -> tuple[Tensor, ...]: ...

    @overload
    def __getitem__(self, index: slice) -> Batch: ...

    @final
    def __getitem__(self, index: int | slice) -> Batch | tuple[Tensor, ...]:
        """Of a number the example itself, (x, label) or (x,), as torch's data sets give it, so that
        a ``torch.utils.data.DataLoader`` takes this one; of a slice a Batch."""
        chosen = range(len(self))[index]
        if isinstance(chosen, range):
            return self.batch(torch.tensor(list(chosen), dtype=torch.int64))
        one = self.batch(torch.tensor([chosen], dtype=torch.int64))
        return (one.x[0],) if one.label is None else (one.x[0], one.label[0])


def info_fields(info: DataInfo) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Serialise a DataInfo: plain values for a header, and tensors for a payload."""
    known = {f.name: getattr(info, f.name) for f in fields(info)}
    values = {k: v for k, v in known.items() if not isinstance(v, Tensor) and v is not None}
    if info.display is not None:
        values["display"] = spec(info.display)
    tensors = {k: v for k, v in known.items() if isinstance(v, Tensor)}
    return values, tensors


def info_from(values: object, tensors: Mapping[str, Tensor]) -> DataInfo:
    """Deserialise a DataInfo: the inverse of ``info_fields``.

    Raises:
        InputError: a field is missing, unknown, of the wrong type or out of range.
    """
    what = "the description of the data"
    if isinstance(values, Mapping):
        given = cast(Mapping[str, object], values)
        values = {k: list(cast(Any, v)) if isinstance(v, tuple) else v for k, v in given.items()}
    known = checked(_Values, values, what)
    wrong = _wrong_among(known, tensors)
    if wrong is not None:
        raise InputError(f"{what} is damaged: {wrong}.")
    read: dict[str, Any] = {"classes": None, "levels": None, "covariance": None, **known, **tensors}
    listed = {k: tuple(cast(list[Any], v)) for k, v in read.items() if isinstance(v, list)}
    read.update(listed)
    if read.get("display") is not None:
        read["display"] = build("display", read["display"], f"{what}: display")
    return DataInfo(**read)


_Length = Annotated[int, Interval(ge=1, le=2**31)]


class _Values(TypedDict):
    """What ``info_fields`` gives as plain values."""

    name: str
    shape: Annotated[list[_Length], MinLen(1)]
    classes: NotRequired[_Length | None]
    levels: NotRequired[Annotated[int, Interval(ge=2, le=2**31)] | None]
    offset: float | list[float]
    scale: float | list[float]
    variance: NotNegative
    count: Whole
    sha256: str
    licence: str
    class_names: NotRequired[list[str] | None]
    class_counts: NotRequired[list[Whole] | None]
    display: NotRequired[dict[str, Any] | None]


def _wrong_among(values: _Values, tensors: Mapping[str, Tensor]) -> str | None:
    """What does not fit together, if anything."""
    shape = tuple(values["shape"])
    unknown = sorted(set(tensors) - {"mean", "covariance"})
    if unknown:
        return f"tensor {short(unknown[0])} is not known"
    if "mean" not in tensors:
        return "mean is missing"
    if not _are_finite(tensors["mean"], shape):
        return f"mean must be finite numbers of shape {short(shape)}"
    size = math.prod(shape)
    if "covariance" in tensors and not _are_finite(tensors["covariance"], (size, size)):
        return f"covariance must be finite numbers of shape {(size, size)}"
    if _wrong_map(values["offset"], values["scale"], shape[0], values.get("levels")):
        return f"offset and scale must be finite and scale not 0, not {short(values['scale'], 40)}"
    names, classes = values.get("class_names"), values.get("classes")
    for what, listed in (("class_names", names), ("class_counts", values.get("class_counts"))):
        if listed is not None and classes is not None and len(listed) != classes:
            return f"{what} must be as many as classes, {classes}, not {len(listed)}"
    if names is None:
        return None
    return None if letters_fit(names) else f"class_names must have at most {_MOST_LETTERS} letters"


def _wrong_map(offset: Any, scale: Any, channels: int, levels: int | None) -> bool:
    """Whether offset and scale are no affine map: one number each, or one for each channel."""
    many = isinstance(offset, list | tuple)
    if many != isinstance(scale, list | tuple):
        return True
    if many and (levels is not None or {len(offset), len(scale)} != {channels}):
        return True
    pairs = zip(offset, scale, strict=True) if many else [(offset, scale)]
    return any(s == 0 or not math.isfinite(o + s) for o, s in pairs)


def _are_finite(tensor: Tensor, shape: tuple[int, ...]) -> bool:
    sound = tensor.is_floating_point() and tuple(tensor.shape) == shape
    return sound and bool(torch.isfinite(tensor).all())


_MOST_LETTERS = 8 << 20


def letters_fit(names: Sequence[str]) -> bool:
    """Whether class names fit into a model file."""
    return sum(map(len, names)) <= _MOST_LETTERS
