"""Loss curves and clouds of points."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.data import moons
from unnoise.plots import loss_curve, scatter, scatter_strip
from unnoise.plots.curves import by_level, smoothed
from unnoise.plots.points import view_of

ACCENT = (0x1F, 0x5F, 0xA8)


def records(count: int, levels: bool = False) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = [{"event": "start", "loss": 1e9}]
    for i in range(count):
        row: dict[str, object] = {"event": "step", "step": i, "loss": 0.1 + math.exp(-i / 20)}
        if levels:
            row["by_level"] = [[x, (1 + x * x) / (1 + i)] for x in (-4.0, 0.0, 4.0)]
        rows.append(row)
    return rows


def where(image: Image.Image, colour: tuple[int, int, int], close: int = 40) -> np.ndarray:
    """Rows and columns of the pixels near a colour, shape (N, 2)."""
    return np.argwhere(abs(np.array(image).astype(int) - colour).max(2) < close)


def test_smoothed():
    values = [4.0, 1.0, 7.0, 2.0, 2.0]
    r = 2 ** (-1 / 1.5)
    wanted = [
        sum(r ** abs(i - j) * v for j, v in enumerate(values))
        / sum(r ** abs(i - j) for j in range(5))
        for i in range(5)
    ]
    assert smoothed(values, 1.5) == pytest.approx(wanted, abs=1e-12)
    assert smoothed([3.0] * 50, 7) == pytest.approx([3.0] * 50)
    assert smoothed(values, 0) == pytest.approx(values)
    assert smoothed(values[::-1], 3) == pytest.approx(smoothed(values, 3)[::-1])  # no lag
    assert smoothed([], 3) == []


def test_by_level():
    found = by_level([[[1.0, 2.0], [-1.0, 4.0]], [[1.0, 6.0], [0.0, math.nan]]])
    assert found == [(-1.0, 4.0), (1.0, 4.0)]
    many = [[[i / 100, 5.0]] for i in range(1000)]
    binned = by_level(many)
    assert len(binned) == 24
    assert all(loss == 5 for _, loss in binned)
    assert binned == sorted(binned) and 0 < binned[0][0] < binned[-1][0] < 9.99


def test_loss_curve(tmp_path: Path):
    image = loss_curve(records(200), tmp_path / "loss.png")
    assert image.size == (1000, 450)
    with Image.open(tmp_path / "loss.png") as read:
        assert np.array_equal(np.array(read), np.array(image))
    content = (tmp_path / "loss.png").read_bytes()
    loss_curve(records(200), tmp_path / "loss.png")
    assert (tmp_path / "loss.png").read_bytes() == content
    line = where(image, ACCENT)
    start, end = line[line[:, 1].argmin()], line[line[:, 1].argmax()]
    assert end[1] - start[1] > 700  # over the whole width,
    assert end[0] > start[0] + 200  # and falling
    # The event that is no step leaves no trace; canary: as a step its loss of 1e9 would.
    assert np.array_equal(np.array(loss_curve(records(200)[1:])), np.array(image))
    steps = [row | {"event": "step", "step": row.get("step", 0)} for row in records(200)]
    assert not np.array_equal(np.array(loss_curve(steps)), np.array(image))


def test_loss_by_level():
    image = loss_curve(records(40, levels=True))
    assert image.size == (1000, 450)
    right = where(image, ACCENT)
    right = right[right[:, 1] > 700]  # beside the legend, from the middle to the end
    lowest, highest = right[right[:, 0].argmax()], right[right[:, 0].argmin()]
    assert abs(lowest[1] - 772) < 15  # the loss is least at log-SNR 0
    assert highest[1] > 960 and lowest[0] - highest[0] > 100
    assert not np.array_equal(np.array(image), np.array(loss_curve(records(40))))


def test_few_or_odd_losses():
    assert loss_curve(records(1)).size == (1000, 450)
    assert loss_curve(records(1, levels=True)).size == (1000, 450)
    odd: list[dict[str, object]] = [
        {"event": "step", "step": i, "loss": x} for i, x in enumerate([1.0, math.nan, -2.0, None])
    ]
    assert loss_curve(odd).size == (1000, 450)  # below zero there is no logarithm
    with pytest.raises(InputError, match="no step with a loss"):
        loss_curve(odd[1:2])
    with pytest.raises(InputError, match="no step with a loss"):
        loss_curve([])
    nothing: list[dict[str, object]] = [{**odd[0], "by_level": [[0.0, math.nan]]}]
    assert loss_curve(nothing).size == (1000, 450)


def test_scatter(tmp_path: Path):
    corner = torch.tensor([[1.0, 1.0]]).repeat(30, 1)
    image = scatter(corner, path=tmp_path / "a.png")
    assert image.size == (600, 600)
    assert (tmp_path / "a.png").exists()
    row, column = where(image, ACCENT, 70).mean(0)
    assert row < 150 and column > 450  # (1, 1) is top right
    data = moons(500)
    assert data.labels is not None
    plain, coloured = scatter(data[:].x), scatter(data[:].x, data.labels, data[:].x)
    orange = (255, 127, 14)
    assert len(where(coloured, orange, 70)) > 300 and len(where(plain, orange, 70)) == 0
    assert np.array_equal(np.array(plain), np.array(scatter(data[:].x)))


def test_view():
    z = Noise(0, range(1000)).normal(torch.empty(1000, 2))
    assert view_of(100 * z) == pytest.approx(100 * view_of(z), rel=1e-5)
    assert 2.5 < view_of(z) < 4.5
    z[0] = 1e6  # one lost point does not shrink the others to a dot
    assert view_of(z) < 5
    assert view_of(torch.zeros(3, 2)) > 0


def test_scatter_strip(tmp_path: Path):
    data = moons(300)
    z = Noise(0, range(300)).normal(data[:].x)
    frames = [data[:].x + s * z for s in (5.0, 1.0, 0.1, 0.0)]
    image = scatter_strip(frames, ["a", "b", "c", "d"], path=tmp_path / "a.png")
    assert image.size == (960, 258)
    columns = where(image, ACCENT, 70)[:, 1]
    assert all(((columns >= 240 * i) & (columns < 240 * (i + 1))).sum() > 200 for i in range(4))
    assert scatter_strip(frames * 3).width <= 1000


def test_refused():
    with pytest.raises(InputError, match="Choose two columns"):
        scatter(torch.zeros(3, 3))
    with pytest.raises(InputError, match="NaN"):
        scatter(torch.full((3, 2), torch.nan))
    with pytest.raises(InputError, match="for 3 points"):
        scatter(torch.zeros(3, 2), torch.zeros(2))
    with pytest.raises(InputError, match="1 titles for 2 frames"):
        scatter_strip([torch.zeros(3, 2)] * 2, ["a"])


def test_guests_come_late():
    """Neither Pillow nor matplotlib is loaded before a picture is made, pyplot never."""
    program = (
        "import json, sys, unnoise.plots as p\n"
        "before = [m for m in ('PIL', 'matplotlib') if m in sys.modules]\n"
        "p.loss_curve([{'event': 'step', 'step': 1, 'loss': 1.0}])\n"
        "after = [m for m in ('PIL', 'matplotlib', 'matplotlib.pyplot') if m in sys.modules]\n"
        "print(json.dumps([before, after]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[], ["PIL", "matplotlib"]]
