"""Contact sheets: many small images in one image grid, with captions; strips of trajectories."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from unnoise.core.errors import InputError
from unnoise.plots.labels import SampleLabels
from unnoise.plots.layout import GUTTER, MARGIN, by_class, near_square, scale_for
from unnoise.plots.text import HEIGHT, fitting, width_of, write

if TYPE_CHECKING:
    from PIL.Image import Image

BACKGROUND = 208


def sheet(
    images: Tensor,
    columns: int | None = None,
    captions: Sequence[str] | None = None,
    row_labels: Sequence[str] | None = None,
    scale: int | None = None,
    *,
    column_labels: Sequence[str] | None = None,
    title: str | None = None,
    cell: int = 56,
) -> "Image":
    """Contact sheet (image grid), row by row, every pixel a square of the same size.

    Arguments:
        images: uint8, shape (N, C, H, W), C = 1 (grey) or 3 (RGB).
        columns: images in a row; None chooses, so that the sheet is near square.
        captions: a line under each image, N of them.
        row_labels: a line left of each row.
        scale: side of the square that a pixel becomes; None makes an image about ``cell`` pixels
            wide, and the sheet no wider than 1,000 where that can be.
        column_labels: a line above each column.
        title: a line above all.
        cell: what an image aims at where ``scale`` is None, in pixels.

    Returns:
        A Pillow image, mode L or RGB.

    Raises:
        InputError: no images, another type or number of channels, labels that do not count up.
    """
    from PIL import Image, ImageDraw

    check_images(images)
    count, _, height, width = images.shape
    columns = near_square(count, height, width, cell) if columns is None else columns
    if columns < 1 or (scale is not None and scale < 1):
        raise InputError(
            f"columns = {columns}, scale = {scale}; accepted are whole numbers from 1."
        )
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    _check_labels("captions", captions, count)
    _check_labels("row labels", row_labels, rows)
    _check_labels("column labels", column_labels, columns)
    above, below = column_labels or (), captions or ()

    left = MARGIN + (0 if not row_labels else 8 + max(map(width_of, row_labels)))
    top = MARGIN + HEIGHT * ((title is not None) + (column_labels is not None))
    if scale is None:
        scale = scale_for(columns, height, width, cell, left + MARGIN)
    step_x = width * scale + GUTTER
    step_y = height * scale + GUTTER + HEIGHT * (captions is not None)
    size = (left + columns * step_x - GUTTER + MARGIN, top + rows * step_y - GUTTER + MARGIN)
    corners = [(left + i % columns * step_x, top + i // columns * step_y) for i in range(count)]
    picture = Image.fromarray(_pasted(images, scale, corners, size).contiguous().numpy())

    draw = ImageDraw.Draw(picture)
    small = fitting([*above, *below], width * scale)
    if title is not None:
        write(draw, title, MARGIN, MARGIN - 4, size[0] - 2 * MARGIN, "left")
    for i, label in enumerate(above):
        write(draw, label, left + i * step_x, top - HEIGHT, width * scale, size=small)
    for i, label in enumerate(row_labels or ()):
        middle = top + i * step_y + (height * scale - HEIGHT) // 2
        write(draw, label, MARGIN, middle, left - MARGIN - 8, "right")
    for (x, y), caption in zip(corners, below, strict=False):
        write(draw, caption, x, y + height * scale, width * scale, size=small)
    return picture


def class_sheet(images: Tensor, labels: SampleLabels, cell: int = 56) -> "Image":
    """Contact sheet with the images of a class together under its name, near square.

    Arguments:
        images: uint8, shape (N, C, H, W), C = 1 (grey) or 3 (RGB).
        labels: of the images, N of them.
        cell: what an image aims at, in pixels.

    Returns:
        A Pillow image, mode L or RGB.

    Raises:
        InputError: no images, another type or number of channels, labels that do not count up.
    """
    from PIL import Image, ImageDraw

    check_images(images)
    height, width = images.shape[2:]
    _check_labels("labels", labels.numbers.tolist(), len(images))
    placed = by_class(labels.numbers.tolist(), height, width, cell)
    pasted = _pasted(images, placed.scale, placed.corners, placed.size)
    picture = Image.fromarray(pasted.contiguous().numpy())
    draw = ImageDraw.Draw(picture)
    names = [labels.heading(heading.label) for heading in placed.headings]
    narrowest = min(heading.room for heading in placed.headings)
    size = fitting(names, narrowest)
    for name, (label, left, top, room) in zip(names, placed.headings, strict=True):
        # Over a narrow column no more than a letter or two would be left of a long name.
        told = name if width_of(name, size) <= max(room, 40) else str(label)
        if width_of(told, size) <= max(room + GUTTER, 40):
            write(draw, told, left, top, room, size=size)
    return picture


def _check_labels(name: str, labels: Sequence[object] | None, wanted: int) -> None:
    if labels is not None and len(labels) != wanted:
        raise InputError(f"{len(labels)} {name}; here are {wanted} needed, one for each.")


def _pasted(
    images: Tensor, scale: int, corners: Sequence[tuple[int, int]], size: tuple[int, int]
) -> Tensor:
    """Pixels of a sheet of a size, with images enlarged at their corners."""
    _, channels, height, width = images.shape
    canvas = torch.full((channels, size[1], size[0]), BACKGROUND, dtype=torch.uint8)
    large = images.detach().cpu().repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    for (x, y), image in zip(corners, large, strict=True):
        canvas[:, y : y + height * scale, x : x + width * scale] = image
    return canvas[0] if channels == 1 else canvas.permute(1, 2, 0)


def strip(
    frames: Sequence[Tensor],
    captions: Sequence[str] | None = None,
    row_labels: Sequence[str] | None = None,
    scale: int | None = None,
    cell: int = 64,
) -> "Image":
    """Samples at several times of a trajectory: a row is a sample, a column is a time.

    Arguments:
        frames: one uint8 batch for each time, all of shape (N, C, H, W).
        captions: a line above each column, such as "sigma 20".
        row_labels, scale, cell: as of ``sheet``.

    Returns:
        A Pillow image, N rows by len(frames) columns.

    Raises:
        InputError: no frames, frames of different shapes, labels that do not count up.
    """
    check_frames(frames)
    cells = torch.stack(list(frames), 1).flatten(0, 1)
    return sheet(cells, len(frames), None, row_labels, scale, column_labels=captions, cell=cell)


def check_images(images: Tensor) -> None:
    """Check that images are a uint8 batch, grey or RGB.

    Raises:
        InputError: type, shape or number of channels.
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or min(images.shape) < 1:
        raise InputError(
            f"images of shape {tuple(images.shape)} and type {images.dtype}; accepted is uint8 of "
            "shape (N, C, H, W), N >= 1. DataInfo.to_bytes makes it."
        )
    if images.shape[1] not in (1, 3):
        raise InputError(
            f"images have {images.shape[1]} channels; only 1 (grey) or 3 (RGB) can be shown. Show "
            "one channel at a time: images[:, :1]."
        )


def check_frames(frames: Sequence[Tensor], titles: Sequence[str] | None = None) -> None:
    """Check that a trajectory has frames, all of one shape, and a title for each or none at all.

    Raises:
        InputError: for any of it.
    """
    if not frames:
        raise InputError("there are no frames; give at least one batch of images or points.")
    for i, frame in enumerate(frames):
        if frame.shape != frames[0].shape:
            raise InputError(
                f"frame {i} has shape {tuple(frame.shape)}, frame 0 has {tuple(frames[0].shape)}; "
                "all frames show the same samples."
            )
    if titles is not None and len(titles) != len(frames):
        raise InputError(f"{len(titles)} titles for {len(frames)} frames; give one for each.")


def evenly(count: int, most: int) -> list[int]:
    """Evenly spaced indices out of 0 ... count - 1, at most ``most``, both ends among them.

    Arguments:
        count: of the states of a walk, >= 1.
        most: columns or frames to show, >= 2.
    """
    if count < 1 or most < 2:
        raise InputError(f"{most} of {count} states; accepted are at least 2 of at least 1.")
    shown = min(count, most)
    return [round(i * (count - 1) / max(1, shown - 1)) for i in range(shown)]
