"""Drawings: what makes sheets, films and strips of the values that a display shows."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

from torch import Tensor

from unnoise.catalogue.ranges import Count
from unnoise.catalogue.registry import register
from unnoise.plots.film import animate
from unnoise.plots.labels import SampleLabels
from unnoise.plots.points import scatter, scatter_strip, walk_film
from unnoise.plots.sheet import check_frames, class_sheet, sheet, strip

if TYPE_CHECKING:
    from PIL.Image import Image

Frames = Sequence[Tensor]
Words = Sequence[str] | None
Labels = SampleLabels | None


class Drawing(ABC):
    """Base class of drawings, which a display names: sheets, films, strips of what it shows.

    Attributes:
        least: samples below which it shows nothing of their law.
    """

    family: ClassVar[str] = "drawing"
    least: ClassVar[int] = 1

    @abstractmethod
    def sheet(self, shown: Tensor, columns: int | None, labels: Labels) -> "Image":
        """All samples in one image: ``columns`` in a row, in order; where that is None as it
        suits them, those of a class together under its name, or in its colour."""

    @abstractmethod
    def film(self, frames: Frames, labels: Labels) -> bytes:
        """A sampling trajectory as an animated GIF, a batch for each state, laid out like the
        sheet; see ``animate``."""

    @abstractmethod
    def strip(self, frames: Frames, captions: Words, names: Words, labels: Labels) -> "Image":
        """A sampling trajectory in one image: a column for each state with a line above, a row for
        each sample with its name on the left."""


@register("drawing", "pixels")
@final
@dataclass(frozen=True)
class Pixels(Drawing):
    """Contact sheets of images: uint8, shape (N, 1 or 3, H, W).

    Arguments:
        cell: what an image aims at, in pixels of the sheet.
        columns: images in a row of every sheet; absent: what is asked for, or near square.
    """

    cell: Count = 56
    columns: Count | None = None

    def sheet(self, shown: Tensor, columns: int | None, labels: Labels) -> "Image":
        columns = self.columns or columns
        if labels is None or columns is not None:
            return sheet(shown, columns, cell=self.cell)
        return class_sheet(shown, labels, self.cell)

    def film(self, frames: Frames, labels: Labels) -> bytes:
        check_frames(frames)
        return animate([self.sheet(frame, None, labels) for frame in frames], None, 80, 1500)

    def strip(self, frames: Frames, captions: Words, names: Words, labels: Labels) -> "Image":
        return strip(frames, captions, names, cell=self.cell * 8 // 7)


@register("drawing", "points")
@final
@dataclass(frozen=True)
class Points(Drawing):
    """Scatter plots of points in the plane, shape (N, 2), coloured by label."""

    least = 1000

    def sheet(self, shown: Tensor, columns: int | None, labels: Labels) -> "Image":
        return scatter(shown, _numbers(labels), names=_names(labels))

    def film(self, frames: Frames, labels: Labels) -> bytes:
        return walk_film(frames, labels=_numbers(labels))

    def strip(self, frames: Frames, captions: Words, names: Words, labels: Labels) -> "Image":
        return scatter_strip(frames, captions, _numbers(labels))


def _numbers(labels: Labels) -> Tensor | None:
    return None if labels is None else labels.numbers


def _names(labels: Labels) -> dict[int, str] | None:
    """What the classes that are there are called; None where they have no names."""
    if labels is None or labels.names is None:
        return None
    return {label: labels.heading(label) for label in labels.numbers.unique().tolist()}
