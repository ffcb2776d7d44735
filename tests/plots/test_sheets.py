"""Sheets, strips and files: every pixel lands where it should."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from unnoise.core.errors import InputError, StorageError
from unnoise.data import digits
from unnoise.plots import evenly, image_metadata, png_bytes, save_image, sheet, strip
from unnoise.plots.layout import GUTTER, MARGIN, WIDEST
from unnoise.plots.sheet import BACKGROUND
from unnoise.plots.text import HEIGHT, can_write, fitting, plain, width_of


def real(count: int) -> Tensor:
    data = digits("train")
    return data.info.to_bytes(data[:count].x)


def counted(count: int, channels: int = 1, height: int = 2, width: int = 3) -> Tensor:
    """Images in which no two pixels are alike (as long as there are few)."""
    size = channels * height * width
    return torch.arange(count * size, dtype=torch.uint8).reshape(count, channels, height, width)


def pixels(picture: Image.Image) -> Tensor:
    """Shape (C, H, W)."""
    array = torch.from_numpy(np.array(picture))
    return array[None] if array.ndim == 2 else array.permute(2, 0, 1)


def cell(picture: Image.Image, row: int, column: int, shape: torch.Size, scale: int, top: int = 0):
    """One image out of a sheet without row labels, shrunk back; fails if a square is not even."""
    height, width = shape[-2] * scale, shape[-1] * scale
    y, x = MARGIN + top + row * (height + GUTTER), MARGIN + column * (width + GUTTER)
    large = pixels(picture)[:, y : y + height, x : x + width]
    small = large[:, ::scale, ::scale]
    assert torch.equal(small.repeat_interleave(scale, 1).repeat_interleave(scale, 2), large)
    return small


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_land(channels: int):
    images = counted(7, channels)
    picture = sheet(images, columns=3, scale=4)
    assert picture.mode == ("L" if channels == 1 else "RGB")
    assert picture.size == (2 * MARGIN + 3 * 12 + 2 * GUTTER, 2 * MARGIN + 3 * 8 + 2 * GUTTER)
    for i in range(7):
        assert torch.equal(cell(picture, i // 3, i % 3, images.shape, 4), images[i])
    assert (cell(picture, 2, 1, images.shape, 4) == BACKGROUND).all()
    # Canary: rows and columns swapped would be seen.
    assert not torch.equal(cell(picture, 1, 0, images.shape, 4), images[1])
    # All that is not an image is background.
    inside = 7 * 12 * 8 * channels
    assert int((pixels(picture) == BACKGROUND).sum()) == pixels(picture).numel() - inside


def test_size_chosen():
    picture = sheet(real(64))
    assert picture.size == (2 * MARGIN + 8 * 56 + 7 * GUTTER,) * 2  # 8 x 8 digits of 56 pixels
    for count in (1, 10, 40, 100, 1000):
        assert sheet(real(count)).width <= WIDEST
    assert sheet(real(12)).width == 2 * MARGIN + 4 * 56 + 3 * GUTTER  # no ragged row
    large = sheet(torch.zeros(40, 3, 256, 256, dtype=torch.uint8))
    assert large.size == (2 * MARGIN + 7 * 259 - GUTTER, 2 * MARGIN + 6 * 259 - GUTTER)
    wide = sheet(torch.zeros(20, 1, 100, 100, dtype=torch.uint8), columns=20)
    assert wide.width == 2 * MARGIN + 20 * 100 + 19 * GUTTER  # never smaller than it is


def test_labels():
    images = torch.full((4, 1, 8, 8), 255, dtype=torch.uint8)
    bare = sheet(images, 2)
    named = sheet(images, 2, captions=["a", "", "", "d"], row_labels=["", "two"], title="Title")
    assert named.width > bare.width
    assert named.height == bare.height + HEIGHT + 2 * HEIGHT
    ink = pixels(named)[0] < 100
    rows, columns = ink.any(1).nonzero()[:, 0], ink.any(0).nonzero()[:, 0]
    left = MARGIN + 8 + width_of("two")
    assert int(rows[0]) < HEIGHT  # the title
    assert ink[:, : left - 4].any()  # the row label is left of the images
    first, second = MARGIN + HEIGHT, MARGIN + HEIGHT + 56 + GUTTER + HEIGHT
    captions = ink[:, left:]
    middle = 56 + GUTTER // 2
    assert captions[first + 56 : first + 56 + HEIGHT, :middle].any()  # "a" under the first
    assert not captions[first + 56 : first + 56 + HEIGHT, middle:].any()
    assert captions[second + 56 :, middle:].any()
    assert int(columns[-1]) < named.width - MARGIN
    assert not (pixels(bare) < 100).any()
    # No letter is written over an image.
    for row in (first, second):
        for x in (left, left + 56 + GUTTER):
            assert (pixels(named)[0, row : row + 56, x : x + 56] == 255).all()


def test_long_labels_stay_in_their_cells():
    images = torch.zeros(3, 1, 8, 8, dtype=torch.uint8)
    picture = sheet(images, 3, captions=["", "a very long caption indeed", ""])
    ink = (pixels(picture)[0] < 100)[MARGIN + 56 :].any(0).nonzero()[:, 0]
    start = MARGIN + 56 + GUTTER
    assert start <= int(ink[0]) and int(ink[-1]) < start + 56
    assert fitting(["ab", "a very long caption indeed"], 56) == 9 < fitting(["ab"], 56)


def test_letters_the_font_lacks():
    assert plain("σ → 0 − ½ château") == "sigma to 0 - 1\u20442 chateau"
    assert plain("숫자 3") == "?? 3"
    assert [can_write(text) for text in ("château ±1 a\u0302", "숫자", "a\n", "ß")] == [
        True,
        *[False] * 3,
    ]


def test_strip():
    frames = [counted(2) + 20 * i for i in range(3)]  # two samples at three times
    picture = strip(frames, ["σ 20", "σ 3", "σ 0"], scale=4)
    for sample in range(2):
        for time in range(3):
            found = cell(picture, sample, time, frames[0].shape, 4, HEIGHT)
            assert torch.equal(found, frames[time][sample])
    assert (pixels(picture)[0, : MARGIN + HEIGHT] < 100).any()
    assert strip([real(6)] * 12).width <= WIDEST
    # Canary: time down and samples across would have another shape.
    assert picture.width > picture.height - HEIGHT


def test_evenly():
    assert evenly(21, 5) == [0, 5, 10, 15, 20]
    assert evenly(3, 8) == [0, 1, 2]
    assert evenly(1, 5) == [0]
    for count in range(2, 40):
        found = evenly(count, 7)
        assert found[0] == 0 and found[-1] == count - 1
        assert found == sorted(set(found)) and len(found) == min(count, 7)


def test_file(tmp_path: Path):
    picture = sheet(real(12))
    recipe = {"seed": 3, "grid": {"kind": "karras", "rho": 7.0}, "name": "숫자"}
    save_image(picture, tmp_path / "a.png", recipe)
    assert image_metadata(tmp_path / "a.png") == recipe
    with Image.open(tmp_path / "a.png") as read:
        assert read.mode == "L"
        assert torch.equal(pixels(read), pixels(picture))
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
    # The same bytes each time, whatever the order of the metadata; others for other values.
    content = (tmp_path / "a.png").read_bytes()
    assert png_bytes(sheet(real(12)), dict(reversed(recipe.items()))) == content
    assert png_bytes(picture, recipe | {"seed": 4}) != content
    save_image(picture, tmp_path / "b.png")
    assert image_metadata(tmp_path / "b.png") is None


def test_file_refused(tmp_path: Path):
    picture = sheet(real(1))
    with pytest.raises(InputError, match="JSON"):
        save_image(picture, tmp_path / "a.png", {"x": object()})
    with pytest.raises(InputError, match="JSON"):
        save_image(picture, tmp_path / "a.png", {"x": float("nan")})
    with pytest.raises(StorageError, match="cannot write"):
        save_image(picture, tmp_path / "none" / "a.png")
    with pytest.raises(InputError, match="cannot read"):
        image_metadata(tmp_path / "a.png")
    (tmp_path / "a.png").write_text("hello", "utf-8")
    with pytest.raises(InputError, match="is no picture"):
        image_metadata(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (torch.zeros(2, 1, 8, 8), "float32; accepted is uint8"),
        (torch.zeros(1, 8, 8, dtype=torch.uint8), "(1, 8, 8)"),
        (torch.zeros(0, 1, 8, 8, dtype=torch.uint8), "N >= 1"),
        (torch.zeros(2, 2, 8, 8, dtype=torch.uint8), "2 channels"),
    ],
)
def test_images_refused(images: Tensor, says: str):
    with pytest.raises(InputError, match=re.escape(says)):
        sheet(images)


def test_arguments_refused():
    images = real(4)
    with pytest.raises(InputError, match="3 captions; here are 4 needed"):
        sheet(images, captions=["a", "b", "c"])
    with pytest.raises(InputError, match="1 row labels; here are 2 needed"):
        sheet(images, 2, row_labels=["a"])
    with pytest.raises(InputError, match="columns = 0"):
        sheet(images, 0)
    with pytest.raises(InputError, match="no frames"):
        strip([])
    with pytest.raises(InputError, match="frame 1 has shape"):
        strip([images, images[:2]])
    with pytest.raises(InputError, match="2 column labels; here are 1 needed"):
        strip([images], ["a", "b"])
    with pytest.raises(InputError, match="1 of 3 states"):
        evenly(3, 1)
