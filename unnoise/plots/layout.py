"""Layout of sample sheets: near square, the images of a class together; pure numbers."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple, final

from unnoise.core.errors import InputError
from unnoise.plots.text import HEIGHT

GUTTER = 3
MARGIN = 8
WIDEST = 1000
_BETWEEN = 9  # pixels between blocks of more than one column, beside the gutter


class Heading(NamedTuple):
    """Where a class's name is written.

    Arguments:
        label: number of the class.
        left, top: corner of the line.
        room: its width, that of the class's block.
    """

    label: int
    left: int
    top: int
    room: int


@final
@dataclass(frozen=True)
class Layout:
    """Where the images of a sheet stand, in pixels.

    Arguments:
        scale: side of the square that a pixel becomes.
        size: width and height of the sheet.
        corners: upper left corner of each image, in the order of the images.
        headings: one a class.
    """

    scale: int
    size: tuple[int, int]
    corners: tuple[tuple[int, int], ...]
    headings: tuple[Heading, ...]


def scale_for(columns: int, height: int, width: int, cell: int, taken: int = 2 * MARGIN) -> int:
    """Side of the square that a pixel becomes, so that an image is about ``cell`` pixels wide, and
    the sheet no wider than 1,000 where that can be.

    Arguments:
        columns: images in a row.
        height, width: of an image.
        cell: what an image aims at.
        taken: pixels of the sheet's width that are not for images.
    """
    room = (WIDEST - taken + GUTTER) // columns - GUTTER
    return max(1, min(round(cell / max(height, width)), room // width))


def near_square(count: int, height: int, width: int, cell: int) -> int:
    """Columns of a sheet of ``count`` images whose sides are as 1 to 2 at most."""
    return _best((count,), height, width, cell, 0).columns


def by_class(labels: Sequence[int], height: int, width: int, cell: int) -> Layout:
    """Layout with the images of a class together, in blocks side by side and below each other.

    A block is one column where that comes out near square, else several; the sheet's sides are as
    1 to 2 at most wherever the images' own shape allows it.

    Arguments:
        labels: class of each image, at least one.
        height, width: of an image.
        cell: what an image aims at, in pixels.

    Raises:
        InputError: there are no images.
    """
    if not labels:
        raise InputError("there are no images to lay out; give at least one.")
    members: dict[int, list[int]] = {label: [] for label in sorted(set(labels))}
    for i, label in enumerate(labels):
        members[label].append(i)
    plan = _best(tuple(map(len, members.values())), height, width, cell, HEIGHT)
    step_x, step_y = (side * plan.scale + GUTTER for side in (width, height))
    corners = [(0, 0)] * len(labels)
    headings: list[Heading] = []
    top = MARGIN
    blocks = iter(members.items())
    for shelf in plan.shelves:
        left = MARGIN
        for block in shelf:
            label, rows = next(blocks)
            headings.append(Heading(label, left, top, block.columns * step_x - GUTTER))
            for j, i in enumerate(rows):
                row, column = divmod(j, block.columns)
                corners[i] = (left + column * step_x, top + HEIGHT + row * step_y)
            left += block.columns * step_x + plan.between
        top += HEIGHT + max(block.rows for block in shelf) * step_y
    return Layout(plan.scale, plan.size, tuple(corners), tuple(headings))


class _Block(NamedTuple):
    """The images of a class: columns and rows."""

    columns: int
    rows: int


class _Plan(NamedTuple):
    """Blocks on shelves, and what comes of it."""

    shelves: list[list[_Block]]
    columns: int  # of the widest shelf
    scale: int
    between: int
    size: tuple[int, int]
    cost: tuple[float, float]


@lru_cache(maxsize=8)  # every frame of a film asks for the same
def _best(counts: tuple[int, ...], height: int, width: int, cell: int, heading: int) -> _Plan:
    """The plan nearest to a square without holes, its classes in order on as few shelves as may be.

    Arguments:
        counts: images of each class.
        height, width, cell: as of ``by_class``.
        heading: pixels above each shelf.
    """
    plans = (
        _plan(shelves, sum(counts), height, width, cell, heading)
        for blocks in _blocks(counts)
        for shelves in _shelves(blocks)
    )
    return min(plans, key=lambda plan: plan.cost)


def _blocks(counts: tuple[int, ...]) -> Iterator[list[_Block]]:
    """Blocks of all classes for every number of rows that changes one of them."""
    before: list[int] | None = None
    for rows in _numbers(max(counts)):
        columns = [math.ceil(count / rows) for count in counts]
        if columns != before:
            pairs = zip(counts, columns, strict=True)
            yield [_Block(c, math.ceil(count / c)) for count, c in pairs]
        before = columns


def _shelves(blocks: list[_Block]) -> Iterator[list[list[_Block]]]:
    """Blocks on shelves as long as the first block, the first two, the first three ..."""
    ends = list(accumulate(block.columns for block in blocks))
    widest = max(block.columns for block in blocks)
    for length in dict.fromkeys(max(ends[n - 1], widest) for n in _numbers(len(ends))):
        yield _filled(blocks, length)


def _numbers(most: int) -> Iterator[int]:
    """Whole numbers from 1 to ``most``, from twenty on in steps of a tenth."""
    number = 1
    while number < most:
        yield number
        number = number + 1 if number < 20 else number * 11 // 10
    yield most


def _filled(blocks: list[_Block], length: int) -> list[list[_Block]]:
    """Blocks in order on shelves of ``length`` columns."""
    shelves: list[list[_Block]] = [[]]
    free = length
    for block in blocks:
        if block.columns > free:
            shelves.append([])
            free = length
        shelves[-1].append(block)
        free -= block.columns
    return shelves


def _plan(
    shelves: list[list[_Block]], count: int, height: int, width: int, cell: int, heading: int
) -> _Plan:
    """What comes of shelves: size in pixels, and its cost."""
    widths = {block.columns for shelf in shelves for block in shelf}
    between = 0 if widths == {1} else _BETWEEN
    lengths = [sum(block.columns for block in shelf) for shelf in shelves]
    gaps = [between * (len(shelf) - 1) for shelf in shelves]
    columns, heights = max(lengths), [max(block.rows for block in shelf) for shelf in shelves]
    scale = scale_for(columns, height, width, cell, 2 * MARGIN + max(gaps))
    step_x, step_y = width * scale + GUTTER, height * scale + GUTTER
    across = max(n * step_x + gap for n, gap in zip(lengths, gaps, strict=True)) - GUTTER
    down = sum(n * step_y + heading for n in heights) - GUTTER
    size = across + 2 * MARGIN, down + 2 * MARGIN
    ribbon = abs(math.log(size[0] / size[1]))
    holes = 1 - count / (columns * sum(heights))
    # A class a column reads best, then blocks of one width; a second shelf has to be worth it, a
    # ribbon never is; and screens are wide.
    cost = holes + 0.3 * ribbon + 0.15 * math.log(len(shelves)) + 0.01 * (size[0] < size[1])
    cost += 0.05 * (widths != {1}) + 0.1 * (len(widths) > 1)
    return _Plan(shelves, columns, scale, between, size, (max(ribbon, math.log(2)), cost))
