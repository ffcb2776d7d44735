"""Displays: how events are shown - as pictures, points, signals, planes, or rows of a table."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, final

import torch
from annotated_types import Interval
from torch import Tensor
from torch.nn import functional

from unnoise.catalogue.registry import register

if TYPE_CHECKING:
    from unnoise.spaces.space import Space

Side = Annotated[int, Interval(ge=16, le=2048)]
_INKS = ((31, 95, 168), (200, 85, 61), (58, 125, 68), (138, 90, 158), (184, 134, 11))


class Display(ABC):
    """Base class of displays: which numbers of an event are shown, and what draws them.

    Attributes:
        drawing: the kind of drawing, or its table (``unnoise show drawing`` lists them).
        whole: whether the visible pixels are the event itself, so that a PNG keeps it.
    """

    family: ClassVar[str] = "display"
    drawing: ClassVar[Any] = "pixels"
    whole: ClassVar[bool] = True

    @abstractmethod
    def takes(self, shape: Sequence[int]) -> bool:
        """Whether events of this shape can be shown so."""

    @abstractmethod
    def visible(self, space: "Space", x: Tensor) -> Tensor:
        """What the drawing draws of modelled values (N, *event) of a space, on the CPU.

        Of the drawing "pixels" this is uint8, shape (N, 1 or 3, H, W).
        """


def stretched(space: "Space", x: Tensor) -> Tensor:
    """Modelled values (N, *event) from 0 to 1: levels over their range, continuous values over
    mean +- 3 standard deviations of all numbers of the data, clamped."""
    if space.levels is not None:
        return space.to_stored(x) / (space.levels - 1)
    mean, std = 0.0, 1.0
    if space.moments is not None:
        means = space.moments.mean.double()
        mean = float(means.mean())
        std = math.sqrt(space.moments.variance + float(means.var(correction=0)))
    return ((x - mean) / (6 * std) + 0.5).nan_to_num().clamp(0, 1)


def to_pixels(space: "Space", x: Tensor) -> Tensor:
    """Modelled values (N, *event) as uint8 pixels of the same shape; see ``stretched``."""
    if space.levels is not None:
        return space.to_bytes(x)
    return (255 * stretched(space, x)).round().to(torch.uint8)


@register("display", "picture")
@final
@dataclass(frozen=True)
class Picture(Display):
    """Image, grey (1, H, W) or RGB (3, H, W)."""

    def takes(self, shape: Sequence[int]) -> bool:
        return len(shape) == 3 and shape[0] in (1, 3)

    def visible(self, space: "Space", x: Tensor) -> Tensor:
        return to_pixels(space, x)


@register("display", "plane")
@final
@dataclass(frozen=True)
class InPlane(Display):
    """Point in the plane (2,), drawn as a scatter plot of modelled values."""

    drawing = "points"
    whole = False

    def takes(self, shape: Sequence[int]) -> bool:
        return tuple(shape) == (2,)

    def visible(self, space: "Space", x: Tensor) -> Tensor:
        return x


@register("display", "signal")
@final
@dataclass(frozen=True)
class Signal(Display):
    """Signal (time series) of C channels (C, L), drawn as a line plot, its channels in colours.

    Arguments:
        height, width: of a plot, in pixels; a column of pixels shows the signal's span there.
    """

    drawing: ClassVar[Any] = {"kind": "pixels", "cell": 1}
    whole = False

    height: Side = 48
    width: Side = 120

    def takes(self, shape: Sequence[int]) -> bool:
        return len(shape) == 2

    def visible(self, space: "Space", x: Tensor) -> Tensor:
        fine = max(8, math.ceil(x.shape[2] / self.width))  # points in a column of pixels
        size = fine * self.width + 1
        y = 2 + (1 - stretched(space, x).float()) * (self.height - 5)
        y = functional.interpolate(y, size, mode="linear", align_corners=True)
        top = -functional.max_pool1d(-y, fine + 1, fine)[..., None, :]
        bottom = functional.max_pool1d(y, fine + 1, fine)[..., None, :]
        row = torch.arange(self.height)[:, None]
        image = torch.full((len(x), 3, self.height, self.width), 255.0)
        image[:, :, self.height // 2] = 228
        for i in range(x.shape[1]):
            away = torch.maximum(top[:, i] - row, row - bottom[:, i])
            ink = (1.2 - away.clamp(min=0)).clamp(0, 1)[:, None]
            image = image + ink * (torch.tensor(_INKS[i % len(_INKS)])[:, None, None] - image)
        return image.round().to(torch.uint8)


@register("display", "planes")
@final
@dataclass(frozen=True)
class Planes(Display):
    """Feature maps or latents (C, H, W): a grey image a channel, at most eight in a row."""

    drawing: ClassVar[Any] = {"kind": "pixels", "cell": 140}

    def takes(self, shape: Sequence[int]) -> bool:
        return len(shape) == 3

    def visible(self, space: "Space", x: Tensor) -> Tensor:
        across = max(n for n in range(1, 9) if x.shape[1] % n == 0)
        # Of a contact sheet's own grey: so planes lie nearer to each other than samples do.
        cells = functional.pad(to_pixels(space, x), (1, 0, 1, 0), value=208)
        rows = cells.unflatten(1, (-1, across)).transpose(2, 3)
        return functional.pad(rows.flatten(3).flatten(1, 2)[:, None], (0, 1, 0, 1), value=208)


@register("display", "table")
@final
@dataclass(frozen=True)
class Table(Display):
    """Numbers of any shape, drawn as a heat map: a row a sample, a column a number (of more than
    320 numbers, the means of neighbours)."""

    drawing: ClassVar[Any] = {"kind": "pixels", "cell": 1}
    whole = False

    def takes(self, shape: Sequence[int]) -> bool:
        return True

    def visible(self, space: "Space", x: Tensor) -> Tensor:
        row = to_pixels(space, x).flatten(1)[:, None]
        if row.shape[2] > 320:
            row = functional.adaptive_avg_pool1d(row.float(), 320).round().to(torch.uint8)
        row = row.repeat_interleave(max(1, min(32, 240 // row.shape[2])), 2)
        return row[:, :, None].expand(-1, -1, 12, -1)


_BY_SHAPE = (Picture(), InPlane(), Signal(), Planes(), Table())


def display_of(space: "Space") -> Display:
    """How events of a space are shown: the data set's own word, else what suits their shape."""
    if space.display is not None:
        return space.display
    return next(display for display in _BY_SHAPE if display.takes(space.shape))
