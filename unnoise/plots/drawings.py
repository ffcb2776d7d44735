"""Drawings: what makes sheets, films and strips of the values that a display shows."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

from torch import Tensor

from unnoise.catalogue.ranges import Count
from unnoise.catalogue.registry import register
from unnoise.plots.film import animate
from unnoise.plots.points import scatter, scatter_strip, walk_film
from unnoise.plots.sheet import check_frames, sheet, strip

if TYPE_CHECKING:
    from PIL.Image import Image

Frames = Sequence[Tensor]
Words = Sequence[str] | None
Labels = Tensor | None


class Drawing(ABC):
    """Base class of drawings, which a display names: sheets, films, strips of what it shows.

    Attributes:
        least: samples below which it shows nothing of their law.
    """

    family: ClassVar[str] = "drawing"
    least: ClassVar[int] = 1

    @abstractmethod
    def sheet(self, shown: Tensor, columns: int | None, labels: Labels) -> "Image":
        """All samples in one image, ``columns`` in a row; ``labels`` (N,) may colour them."""

    @abstractmethod
    def film(self, frames: Frames, labels: Labels) -> bytes:
        """A sampling trajectory as an animated GIF, a batch for each state; see ``animate``."""

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
        columns: images in a row of every sheet; absent: whatever is asked for.
    """

    cell: Count = 56
    columns: Count | None = None

    def sheet(self, shown: Tensor, columns: int | None, labels: Labels) -> "Image":
        return sheet(shown, self.columns or columns, cell=self.cell)

    def film(self, frames: Frames, labels: Labels) -> bytes:
        check_frames(frames)
        return animate([self.sheet(frame, None, None) for frame in frames], None, 80, 1500)

    def strip(self, frames: Frames, captions: Words, names: Words, labels: Labels) -> "Image":
        return strip(frames, captions, names, cell=self.cell * 8 // 7)


@register("drawing", "points")
@final
@dataclass(frozen=True)
class Points(Drawing):
    """Scatter plots of points in the plane, shape (N, 2), coloured by label."""

    least = 1000

    def sheet(self, shown: Tensor, columns: int | None, labels: Labels) -> "Image":
        return scatter(shown, labels)

    def film(self, frames: Frames, labels: Labels) -> bytes:
        return walk_film(frames, labels=labels)

    def strip(self, frames: Frames, captions: Words, names: Words, labels: Labels) -> "Image":
        return scatter_strip(frames, captions, labels)
