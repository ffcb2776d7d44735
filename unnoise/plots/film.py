"""Animated GIFs of sampling trajectories, small enough for a README."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from unnoise.core.errors import InputError
from unnoise.plots.sheet import check_frames, sheet
from unnoise.system.files import write_atomic

if TYPE_CHECKING:
    from PIL.Image import Image

_GREYS = 32
_COLOURS = 64


def film(
    frames: Sequence[Tensor],
    path: Path | None = None,
    duration_ms: int = 80,
    hold_last_ms: int = 1500,
    *,
    columns: int | None = None,
    titles: Sequence[str] | None = None,
    scale: int | None = None,
) -> bytes:
    """Animated GIF (endless) of a trajectory: one contact sheet for each state.

    Arguments:
        frames: one uint8 batch for each state, all of shape (N, C, H, W).
        path: where to write it; None writes nothing.
        duration_ms: how long a frame stays, >= 20 (browsers slow down shorter ones); GIF counts
            in steps of 10.
        hold_last_ms: how long the last one stays.
        columns: images in a row of the sheet; None chooses.
        titles: a line above each frame, such as "sigma 3.1".
        scale: side of the square that a pixel becomes; None chooses.

    Returns:
        The GIF's bytes: the same frames always give the same.

    Raises:
        InputError: no frames, frames of different shapes, titles that do not count up.
        StorageError: the disk refuses.
    """
    check_frames(frames, titles)
    lines = [None] * len(frames) if titles is None else titles
    sheets = [
        sheet(frame, columns, scale=scale, title=line)
        for frame, line in zip(frames, lines, strict=True)
    ]
    return animate(sheets, path, duration_ms, hold_last_ms)


def forward_reverse(forward: Sequence[Tensor], reverse: Sequence[Tensor]) -> list[Tensor]:
    """Frames of the forward and the reverse process, data to noise and back, for one film.

    Arguments:
        forward: states from data to noise, each of shape (N, C, H, W).
        reverse: states from noise to data, each of the same shape.

    Returns:
        All frames in order; where the reverse walk starts at the very noise that the forward one
        ended in, it is shown once.

    Raises:
        InputError: no frames, or frames of different shapes.
    """
    for half in (forward, reverse):
        check_frames(half)
    frames = [*forward, *reverse]
    check_frames(frames)
    if bool((forward[-1] == reverse[0]).all()):
        del frames[len(forward)]
    return frames


def animate(
    pictures: "Sequence[Image]", path: Path | None, duration_ms: int, hold_last_ms: int
) -> bytes:
    """Animated GIF (endless) of images of one size, in at most 32 greys or 64 colours.

    Arguments:
        pictures: of one size and mode, L or RGB.
        path, duration_ms, hold_last_ms: as of ``film``.

    Raises:
        InputError: a duration that GIF cannot hold.
        StorageError: the disk refuses.
    """
    for duration in (duration_ms, hold_last_ms):
        if not 20 <= duration <= 600_000:
            raise InputError(f"a frame of {duration} ms; accepted are 20 to 600,000.")
    paletted = _grey(pictures) if pictures[0].mode == "L" else _coloured(pictures)
    buffer = io.BytesIO()
    paletted[0].save(
        buffer,
        "GIF",
        save_all=True,
        append_images=paletted[1:],
        duration=[duration_ms] * (len(paletted) - 1) + [hold_last_ms],
        loop=0,
        disposal=1,
        comment=b"unnoise",
        optimize=True,  # else codes of eight bits, whatever the palette
    )
    if path is not None:
        write_atomic(path, buffer.getvalue())
    return buffer.getvalue()


def _grey(pictures: "Sequence[Image]") -> "list[Image]":
    """One palette of 32 greys for all: few of them make short codes, and noise does not compress.

    The digits' 17 greys stay what they are, and the edges of letters move to the nearest one;
    pictures with more greys than that are rounded to 32 even steps.
    """
    from PIL import Image

    counts = [sum(seen) for seen in zip(*(p.histogram() for p in pictures), strict=True)]
    common = sorted(range(256), key=lambda grey: (-counts[grey], grey))[:_GREYS]
    if sum(counts[grey] for grey in common) >= 0.97 * sum(counts):
        used = sorted(grey for grey in common if counts[grey])
    else:
        used = [round(i * 255 / (_GREYS - 1)) for i in range(_GREYS)]
    place = [min(range(len(used)), key=lambda i, g=g: abs(used[i] - g)) for g in range(256)]
    found: list[Image.Image] = []
    for picture in pictures:
        numbers = Image.frombytes("P", picture.size, picture.point(place).tobytes())
        numbers.putpalette([grey for grey in used for _ in range(3)])
        found.append(numbers)
    return found


def _coloured(pictures: "Sequence[Image]") -> "list[Image]":
    """One palette of 64 colours for all, from the first, middle and last picture.

    The four commonest colours, paper among them, are kept exactly.
    """
    from PIL import Image

    width, height = pictures[0].size
    joined = Image.new("RGB", (width, 3 * height))
    for i, picture in enumerate((pictures[0], pictures[len(pictures) // 2], pictures[-1])):
        joined.paste(picture, (0, i * height))
    colours, counts = _pixels(joined).unique(return_counts=True)
    exact = _split(colours[counts.argsort(descending=True, stable=True)[:4]])
    rest = torch.tensor(joined.quantize(_COLOURS - len(exact)).getpalette()).reshape(-1, 3)
    palette = torch.cat([exact, rest])
    found: list[Image.Image] = []
    for picture in pictures:
        # Pillow's own search stops at the first colour that is near: white would turn bluish.
        colours, place = _pixels(picture).unique(return_inverse=True)
        nearest = torch.cdist(_split(colours).double(), palette.double()).argmin(1).to(torch.uint8)
        numbers = Image.frombytes("P", picture.size, nearest[place].numpy().tobytes())
        numbers.putpalette(palette.flatten().tolist())
        found.append(numbers)
    return found


def _pixels(picture: "Image") -> Tensor:
    """Colours of an RGB picture as one number each, shape (height * width,), int64."""
    flat = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).long()
    return (flat.reshape(-1, 3) << torch.tensor([16, 8, 0])).sum(1)


def _split(colours: Tensor) -> Tensor:
    """Such numbers as red, green and blue, shape (N, 3)."""
    return (colours[:, None] >> torch.tensor([16, 8, 0])) & 255
