"""Sheets by class: every sample once, those of a class together, under its name, near square."""

import io
import math
import random
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from unnoise.core.errors import InputError
from unnoise.data import digits
from unnoise.plots import SampleLabels, scatter, sheet
from unnoise.plots.drawings import Pixels, Points
from unnoise.plots.layout import GUTTER, MARGIN, Layout, by_class, near_square
from unnoise.plots.sheet import class_sheet
from unnoise.plots.text import HEIGHT


def law(labels: list[int], placed: Layout, height: int, width: int) -> None:
    """No image over another or over a heading; a class is one rectangle, below its heading."""
    high, wide = height * placed.scale, width * placed.scale
    across, down = placed.size
    assert len(placed.corners) == len(labels) == len(set(placed.corners))
    assert [heading.label for heading in placed.headings] == sorted(set(labels))
    taken: Counter[tuple[int, int]] = Counter()
    for heading in placed.headings:
        mine = [
            c for c, label in zip(placed.corners, labels, strict=True) if label == heading.label
        ]
        assert mine == sorted(mine, key=lambda corner: corner[::-1])  # row by row, in order
        assert mine[0] == (heading.left, heading.top + HEIGHT)
        assert min(x for x, _ in mine) == heading.left
        assert max(x for x, _ in mine) + wide == heading.left + heading.room
        assert {(x - heading.left) % (wide + GUTTER) for x, _ in mine} == {0}
        assert {(y - heading.top - HEIGHT) % (high + GUTTER) for _, y in mine} == {0}
        bottom = max(y for _, y in mine) + high
        assert heading.left + heading.room + MARGIN <= across and bottom + MARGIN <= down
        # No other class in its rectangle, heading included.
        for (x, y), label in zip(placed.corners, labels, strict=True):
            inside = heading.left <= x < heading.left + heading.room and heading.top <= y < bottom
            assert inside == (label == heading.label)
        taken[heading.left, heading.top] += 1
    assert set(taken.values()) == {1}
    assert max(x for x, _ in placed.corners) + wide + MARGIN == across or len(taken) > 1


COUNTS = st.one_of(
    st.lists(st.integers(1, 8), min_size=1, max_size=30),
    st.lists(st.integers(1, 300), min_size=1, max_size=4),
    st.tuples(st.integers(1, 120), st.integers(1, 5)).map(lambda pair: [pair[1]] * pair[0]),
)


@given(
    COUNTS, st.sampled_from([(8, 8), (32, 32), (28, 20), (48, 120), (64, 64)]), st.integers(0, 99)
)
@settings(deadline=None, max_examples=60)
def test_any_labels(counts: list[int], shape: tuple[int, int], seed: int):
    labels = [3 * c for c, count in enumerate(counts) for _ in range(count)]
    random.Random(seed).shuffle(labels)
    placed = by_class(labels, *shape, 56)
    law(labels, placed, *shape)
    ratio = placed.size[0] / placed.size[1]
    assert 1 / 2.1 < ratio < 2.1 or len(labels) < 4, (counts, placed.size)


@given(st.integers(1, 3000), st.sampled_from([(8, 8), (32, 32), (256, 256), (48, 120), (12, 240)]))
@settings(deadline=None, max_examples=60)
def test_any_number(count: int, shape: tuple[int, int]):
    columns = near_square(count, *shape, 56)
    rows = math.ceil(count / columns)
    ratio = columns * (shape[1] + 3) / (rows * (shape[0] + 3))
    assert 1 <= columns <= count and (0.4 < ratio < 2.5 or count < 4 * shape[1] / shape[0])


def test_canary_law():
    """A sheet with its classes in turn, and one with an image twice in a place, break the law."""
    labels = [0, 1] * 8
    placed = by_class(labels, 8, 8, 56)
    law(labels, placed, 8, 8)
    for broken in (sorted(placed.corners), [placed.corners[0], *placed.corners[:-1]]):
        with pytest.raises(AssertionError):
            law(labels, Layout(placed.scale, placed.size, tuple(broken), placed.headings), 8, 8)


@pytest.mark.parametrize(
    ("labels", "columns"),
    [
        (list(range(10)) * 8, 1),  # digits: a class a column, as ever
        ([0, 1] * 500, 16),  # once a ribbon of 147 x 33,513
        (list(range(100)) * 10, None),
    ],
)
def test_known_sheets(labels: list[int], columns: int | None):
    placed = by_class(labels, 8, 8, 56)
    assert max(placed.size) < 1300 and 0.5 < placed.size[0] / placed.size[1] < 2
    if columns is not None:
        assert {heading.top for heading in placed.headings} == {MARGIN}
        step = 8 * placed.scale + GUTTER
        assert {heading.room for heading in placed.headings} == {columns * step - GUTTER}


def test_nothing_to_lay_out():
    with pytest.raises(InputError, match="no images"):
        by_class([], 8, 8, 56)


# -- pixels ----------------------------------------------------------------------------------------


def pixels(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture))


def real(count: int) -> tuple[Tensor, Tensor]:
    data = digits("train")
    batch = data[:count]
    assert batch.label is not None
    return data.info.to_bytes(batch.x), batch.label


def test_images_stand_where_the_layout_says():
    images, labels = real(40)
    picture = pixels(class_sheet(images, SampleLabels(labels)))
    placed = by_class(labels.tolist(), 8, 8, 56)
    assert picture.shape == (placed.size[1], placed.size[0])
    for image, (x, y) in zip(images, placed.corners, strict=True):
        found = picture[y : y + 8 * placed.scale, x : x + 8 * placed.scale]
        assert torch.equal(found[:: placed.scale, :: placed.scale], image[0])


def test_headings_are_names():
    """Ink over every block, another for another name; Hangul gives the number, no crossed boxes."""
    images, labels = torch.full((12, 1, 8, 8), 208, dtype=torch.uint8), torch.arange(12) % 3

    def drawn(names: tuple[str, ...] | None) -> list[Tensor]:
        picture = pixels(class_sheet(images, SampleLabels(labels, names)))
        headings = by_class(labels.tolist(), 8, 8, 56).headings
        return [picture[h.top : h.top + HEIGHT, h.left : h.left + h.room] for h in headings]

    bare, named = drawn(None), drawn(("cat", "고양이", "  "))
    assert all(int(block.min()) < 100 for block in [*bare, *named])
    same = [torch.equal(a, b) for a, b in zip(bare, named, strict=True)]
    assert same == [False, True, True]
    assert SampleLabels(labels, ("σ\n1", "고양이", "")).heading(0) == "σ 1"
    assert [SampleLabels(labels, ("é", "😀")).heading(i) for i in (0, 1, 2, -1)] == [
        *("é", "1", "2", "-1")
    ]
    assert drawn(("a very long name indeed",) * 3)[0].shape == bare[0].shape


def test_films_lie_like_the_sheet():
    images, labels = real(30)
    drawing, named = Pixels(), SampleLabels(labels, tuple("abcdefghij"))
    film = drawing.film([images.flip(0), images], named)
    picture = drawing.sheet(images, None, named)
    with Image.open(io.BytesIO(film)) as opened:
        opened.seek(1)
        last = pixels(opened.convert("L"))
    assert last.shape == pixels(picture).shape
    assert float((last.float() - pixels(picture).float()).abs().mean()) < 6
    # Canary: in turn it would be another picture.
    other = pixels(sheet(images, 10))
    assert other.shape != last.shape


def test_columns_asked_for_keep_the_order():
    images, labels = real(12)
    asked = Pixels().sheet(images, 4, SampleLabels(labels))
    assert pixels(asked).equal(pixels(sheet(images, 4)))


def test_points_have_a_legend_of_names():
    x, labels = torch.randn(200, 2, generator=torch.Generator().manual_seed(0)), torch.arange(200)
    plain = Points().sheet(x, None, SampleLabels(labels % 2))
    named = Points().sheet(x, None, SampleLabels(labels % 2, ("_cat", "$5$ owl $")))
    assert plain.size == named.size == (600, 600)
    assert not pixels(plain).equal(pixels(named))
    assert pixels(plain).equal(pixels(scatter(x, labels % 2)))
    other = Points().sheet(x, None, SampleLabels(labels % 2, ("_cat", "$6$ owl $")))
    assert not pixels(other).equal(pixels(named))
