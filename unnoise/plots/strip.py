"""Sampling trajectory in one image, from noise on the left to data on the right."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from unnoise.core.errors import InputError
from unnoise.plots.sheet import sheet

if TYPE_CHECKING:
    from PIL.Image import Image


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
        row_labels: a line left of each row, such as the label.
        scale: side of the square that a pixel becomes; None chooses.
        cell: what an image aims at where ``scale`` is None, in pixels.

    Returns:
        A Pillow image, N rows by len(frames) columns.

    Raises:
        InputError: no frames, frames of different shapes, labels that do not count up.
    """
    check_frames(frames)
    cells = torch.stack(list(frames), 1).flatten(0, 1)
    return sheet(cells, len(frames), None, row_labels, scale, column_labels=captions, cell=cell)


def check_frames(frames: Sequence[Tensor]) -> None:
    """Check that a trajectory has frames, all of one shape.

    Raises:
        InputError: for either.
    """
    if not frames:
        raise InputError("there are no frames; give at least one batch of images or points.")
    for i, frame in enumerate(frames):
        if frame.shape != frames[0].shape:
            raise InputError(
                f"frame {i} has shape {tuple(frame.shape)}, frame 0 has {tuple(frames[0].shape)}; "
                "all frames show the same samples."
            )


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
