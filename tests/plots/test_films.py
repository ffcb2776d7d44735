"""Films, read back frame by frame."""

import io
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.data import digits, moons
from unnoise.plots import film, forward_reverse, sheet, walk_film


def walk(samples: int, steps: int) -> list[Tensor]:
    """Real digits under noise that falls, as pictures."""
    data = digits("train")
    x = data[:samples].x
    z = Noise(0, range(samples)).normal(x)
    sigmas = [20 * 0.005 ** (i / (steps - 2)) for i in range(steps - 1)] + [0.0]
    return [data.info.to_bytes((x + s * z) / math.sqrt(1 + 4 * s * s)) for s in sigmas]


def frames_of(content: bytes) -> tuple[list[Image.Image], list[int]]:
    found: list[Image.Image] = []
    durations: list[int] = []
    with Image.open(io.BytesIO(content)) as gif:
        assert gif.format == "GIF"
        assert gif.info["loop"] == 0
        for i in range(gif.n_frames):
            gif.seek(i)
            found.append(gif.convert("RGB"))
            durations.append(gif.info["duration"])
    return found, durations


def difference(a: Image.Image, b: Image.Image) -> int:
    pair = [np.array(x.convert("RGB")).astype(int) for x in (a, b)]
    return int(abs(pair[0] - pair[1]).max())


def test_frames_and_durations(tmp_path: Path):
    frames = walk(12, 6)
    content = film(frames, tmp_path / "walk.gif", duration_ms=70, hold_last_ms=900)
    assert (tmp_path / "walk.gif").read_bytes() == content
    assert film(frames, duration_ms=70, hold_last_ms=900) == content
    found, durations = frames_of(content)
    assert durations == [70] * 5 + [900]
    # The digits' 17 greys are kept exactly, in every frame.
    assert [difference(a, sheet(b)) for a, b in zip(found, frames, strict=True)] == [0] * 6
    # Canary: neighbouring frames are not alike, so an order gone wrong would be seen.
    assert difference(found[1], sheet(frames[2])) > 30


def test_frames_that_stand_still():
    """GIF holds equal neighbours once; the film lasts as long as it should all the same."""
    frames = walk(4, 9)[2:8:2]
    found, durations = frames_of(film([frames[0], *frames, frames[-1]], None, 40, 500))
    assert len(found) == 3
    assert durations == [80, 40, 540]


def test_titles():
    frames = walk(9, 3)
    titles = ["sigma 20", "sigma 0.5", "sigma 0"]
    found, _ = frames_of(film(frames, titles=titles, columns=3, scale=5))
    for image, frame, title in zip(found, frames, titles, strict=True):
        wanted = sheet(frame, 3, scale=5, title=title)
        assert image.size == wanted.size
        assert difference(image, wanted) <= 30  # edges of letters move to the nearest grey


def test_many_greys():
    frames = [torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).roll(i, 3) for i in (0, 5)]
    found, _ = frames_of(film(frames))
    for image, frame in zip(found, frames, strict=True):
        assert difference(image, sheet(frame)) <= 5


def test_colour():
    grey = walk(6, 4)[:3]
    frames = [torch.cat([f, 255 - f, f // 2], 1) for f in grey]
    found, _ = frames_of(film(frames))
    for image, frame in zip(found, frames, strict=True):
        assert difference(image, sheet(frame)) < 110
        error = np.array(image).astype(int) - np.array(sheet(frame))
        assert abs(error).mean() < 6
        assert image.getpixel((0, 0)) == sheet(frame).getpixel((0, 0))  # background is exact


def test_small_enough_for_a_readme():
    frames = walk(32, 20)
    both = forward_reverse(frames[::-1], frames)
    content = film(both, titles=["sigma 1"] * len(both), columns=8)
    assert len(frames_of(content)[0]) == 39
    assert len(content) < 400_000


def test_forward_reverse():
    frames = walk(4, 5)
    back = forward_reverse(frames[::-1], frames)
    assert len(back) == 9  # the shared noise is shown once
    assert all(torch.equal(a, b) for a, b in zip(back, back[::-1], strict=True))
    assert torch.equal(back[4], frames[0]) and torch.equal(back[0], frames[-1])
    other = [255 - frame for frame in frames]
    assert len(forward_reverse(frames[::-1], other)) == 10
    with pytest.raises(InputError, match="frame 5 has shape"):
        forward_reverse(frames, [frame[:2] for frame in frames])


def test_walk_in_the_plane(tmp_path: Path):
    data = moons(300)
    x = data[:].x
    z = Noise(0, range(300)).normal(x)
    frames = [x + s * z for s in (20.0, 1.0, 0.0)]
    content = walk_film(
        frames, tmp_path / "walk.gif", 50, 500, titles=["a", "b", "c"], labels=data.labels
    )
    assert (tmp_path / "walk.gif").read_bytes() == content
    assert walk_film(frames, None, 50, 500, titles=["a", "b", "c"], labels=data.labels) == content
    found, durations = frames_of(content)
    assert durations == [50, 50, 500]
    # White stays white: the commonest colour is kept exactly.
    assert all((255, 255, 255) in {c for _, c in f.getcolors(1 << 20) or []} for f in found)
    blue = [sum(n for n, (r, _, b) in f.getcolors(1 << 20) or [] if b > r + 60) for f in found]
    assert min(blue) > 100  # points of the first class are there, also in the widest view


def test_refused():
    frames = walk(2, 3)
    with pytest.raises(InputError, match="2 titles for 3 frames"):
        film(frames, titles=["a", "b"])
    with pytest.raises(InputError, match="a frame of 5 ms"):
        film(frames, duration_ms=5)
    with pytest.raises(InputError, match="no frames"):
        film([])
    with pytest.raises(InputError, match="1 titles for 2 frames"):
        walk_film([torch.zeros(3, 2)] * 2, titles=["a"])
