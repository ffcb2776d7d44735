"""The space of events: shape, levels, the affine map from stored to modelled values; classes."""

import math
from abc import ABC
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor

from unnoise.core.errors import InputError, short, within
from unnoise.spaces.display import Display
from unnoise.spaces.moments import Moments

_TOGETHER = 4096  # places of all events that are computed together
_MOST_TOGETHER = 64  # of them


Affine = float | tuple[float, ...]
"""One number for all values, or one for each channel (place along an event's first axis)."""


def along_channels(numbers: Affine, x: Tensor) -> Tensor | float:
    """Numbers that broadcast against events (B, C, ...): one for all, or one for each channel."""
    if not isinstance(numbers, tuple):
        return numbers
    each = torch.tensor(numbers, dtype=torch.float64).to(x.device, x.dtype)
    return each.reshape(-1, *[1] * (x.ndim - 2))


def _precise(x: Tensor) -> Tensor:
    """In float64: a spread may be small beside its mean. (MPS has none.)"""
    return x.float() if x.device.type == "mps" else x.double()


def affine(values: Tensor, offset: Affine, scale: Affine) -> Tensor:
    """offset + scale values, of events (B, C, ...)."""
    return along_channels(offset, values) + along_channels(scale, values) * values


class Modelled(ABC):
    """Base class of what knows the affine map between stored and modelled values.

    Discrete data has levels k = 0 ... levels - 1 and is modelled as
    ``offset + scale (k + u)``, u in [0, 1) (1/2 is the middle of a level); continuous data as
    ``offset + scale stored``, with numbers of each channel where it is standardised.

    Attributes:
        shape: of an event.
        levels: number of levels of a stored value, None for continuous data.
        offset, scale: of the affine map: one number, or one for each channel.
    """

    shape: tuple[int, ...]
    levels: int | None
    offset: Affine
    scale: Affine

    def to_model(self, stored: Tensor, u: Tensor | float = 0.5) -> Tensor:
        """Modelled values (B, *shape), float32, of stored ones; ``u`` is the place in a level."""
        if isinstance(self.scale, tuple):
            return affine(_precise(stored), self.offset, self.scale).float()
        values = stored.float() + u if self.levels is not None else stored.float()
        return affine(values, self.offset, self.scale)

    def to_stored(self, x: Tensor) -> Tensor:
        """Stored values of modelled ones: the level that ``x`` lies in (int64), or a float."""
        wide = _precise(x) if isinstance(self.scale, tuple) else x
        away = wide - along_channels(self.offset, wide)
        values = (away / along_channels(self.scale, wide)).to(x.dtype)
        if self.levels is None:
            return values
        # float32 keeps x to a few parts in 2^23 of the range: a value made from the lower end of a
        # level must not fall into the level below.
        slack = 4 * torch.finfo(torch.float32).eps * self.levels
        return (values + slack).floor().clamp(0, self.levels - 1).long()

    def to_bytes(self, x: Tensor) -> Tensor:
        """Levels as uint8, shape (B, *shape), stretched over 0 ... 255.

        Raises:
            InputError: the data is continuous.
        """
        if self.levels is None:
            raise InputError("continuous data has no levels; it cannot be shown as a picture.")
        return (self.to_stored(x).float() * (255 / (self.levels - 1))).round().to(torch.uint8)

    @property
    def ends(self) -> tuple[float, float] | None:
        """Modelled values where discrete data begins (below level 0) and ends (above the last
        level); None of continuous data."""
        if self.levels is None or isinstance(self.offset, tuple) or isinstance(self.scale, tuple):
            return None
        return self.offset, self.offset + self.scale * self.levels

    @property
    def level_width(self) -> float:
        """Width of a level in modelled values; 0 of continuous data."""
        return 0.0 if self.levels is None or isinstance(self.scale, tuple) else abs(self.scale)

    @property
    def range(self) -> tuple[float, float] | None:
        """Least and greatest modelled value of discrete data; None of continuous data."""
        ends = self.ends
        return None if ends is None else (min(ends), max(ends))

    @property
    def log_scale(self) -> float:
        """sum log|scale| over the numbers of an event: what a log-density of modelled values gains
        as one of stored values, in nats."""
        size = math.prod(self.shape)
        if not isinstance(self.scale, tuple):
            return size * math.log(abs(self.scale))
        each = size // len(self.scale)
        return each * math.fsum(math.log(abs(scale)) for scale in self.scale)

    def check_range(self, x: Tensor, what: str, slack: float = 0.0) -> None:
        """Refuse modelled values that are none, such as pixels from 0 to 255.

        Arguments:
            x: any number of modelled values.
            what: they are called in the refusal.
            slack: how far beyond the range they may lie, beside half of its width.

        Raises:
            InputError: discrete data lies in another range.
        """
        if self.range is None or not x.numel():
            return
        low, high = self.range
        room = (high - low) / 2 + slack
        least, most = float(x.min()), float(x.max())
        if least < low - room or most > high + room:
            raise InputError(
                f"{what} runs from {least:g} to {most:g}; this model's data lies in {low:g} to "
                f"{high:g}. Use model.info.to_model(levels)."
            )


@final
@dataclass(frozen=True)
class Space(Modelled):
    """What an event is: all that a model takes and gives lies in *modelled values* of its space.

    Arguments:
        shape: (C, H, W), (C, L), (D,) or any other.
        levels, offset, scale: how stored values are modelled, see ``Modelled``.
        moments: of the modelled values, where they are known.
        display: how an event is shown, where the data set says so (see ``display_of``).
    """

    shape: tuple[int, ...]
    levels: int | None = None
    offset: Affine = 0.0
    scale: Affine = 1.0
    moments: Moments | None = field(default=None, compare=False, repr=False)
    display: Display | None = field(default=None, compare=False)

    @property
    def together(self) -> int:
        """Events that are best computed together: 64 at 8x8, 16 at 16x16, 1 from 64x64 on."""
        return min(_MOST_TOGETHER, max(1, _TOGETHER // math.prod(self.shape[1:])))


@final
@dataclass(frozen=True)
class Labels:
    """Classes 0 ... classes - 1.

    Arguments:
        classes: how many.
        names: what they are called, None where they have no names.
        counts: training examples of each, None where nobody counted.
    """

    classes: int
    names: tuple[str, ...] | None = None
    counts: tuple[int, ...] | None = None

    @property
    def frequencies(self) -> Tensor | None:
        """Share of the training examples that each class has, shape (classes,), float64."""
        if self.counts is None:
            return None
        counts = torch.tensor(self.counts, dtype=torch.float64)
        return counts / counts.sum()

    def called(self, number: int) -> str:
        """A class as a message calls it: by name, with its number where the name is another."""
        name = str(number) if self.names is None else self.names[number]
        return name if name == str(number) else f"{name!r} ({number})"

    def shares_of(self, n: int) -> Tensor:
        """Classes of ``n`` examples in proportion to the counts, by largest remainder,
        evenly mixed; where nobody counted, as even as can be.

        Returns:
            Shape (n,), int64.
        """
        even = torch.full((self.classes,), 1 / self.classes, dtype=torch.float64)
        exact = n * (even if self.frequencies is None else self.frequencies)
        each = exact.floor()
        rest = n - int(each.sum())
        each[(exact - each).argsort(descending=True, stable=True)[:rest]] += 1
        label = torch.arange(self.classes).repeat_interleave(each.long())
        # Member j of the m of a class stands at (j + 1/2) / m of the way, so that any first few
        # have about the whole's proportions.
        member = torch.arange(n) - (each.cumsum(0) - each)[label]
        return label[((member + 0.5) / each[label]).argsort(stable=True)]

    def told(self, most: int = 80) -> str:
        """The classes in words of about ``most`` letters: "2 classes: cat 70, dog 36"."""
        head = f"{self.classes:,} class{'' if self.classes == 1 else 'es'}"
        names, counts = self.names, self.counts
        if names is None or all(name == str(i) for i, name in enumerate(names)):
            if counts is None:
                return head
            least, greatest = min(counts), max(counts)
            return f"{head} of {least:,}{f' to {greatest:,}' if greatest > least else ''}"
        told: list[str] = []
        for i, name in enumerate(names):
            # Escaped as Python does: a name is whatever a folder was called.
            word = within(repr(within(name, 24))[1:-1], 24)
            told.append(word if counts is None else f"{word} {counts[i]:,}")
            if len(", ".join(told)) > most:
                more = f"{len(names) - i:,} more"
                return f"{head}: {', '.join([*told[:-1], more])}"
        return f"{head}: {', '.join(told)}"

    def number(self, text: str) -> int:
        """The number of a class, given by its number or name.

        Raises:
            InputError: there is none.
        """
        if text in (self.names or ()):
            return (self.names or ()).index(text)
        if text.isascii() and text.isdigit() and len(text) < 19:
            return int(text)
        if self.names is None:
            raise InputError(f"label {short(text)}: give a number, 0 to {self.classes - 1}.")
        known = ", ".join(self.names[:12]) + (", ..." if len(self.names) > 12 else "")
        raise InputError(f"label {short(text)}: no such class. Known: {known}.")
