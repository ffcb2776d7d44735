"""Rows of a list of pictures: CSV in any dialect, or JSON lines, as tables by column."""

import csv
import io
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from unnoise.core.errors import InputError
from unnoise.data.codepages import guessed
from unnoise.system.documents import reason_of

Cells = Mapping[str, Any]
Numbered = tuple[int, Cells | str]  # a text in place of cells says what is wrong

_FILES = """
    filename file path filepath image imagename imagepath imagefile img imgname picture photo fname
    name imageid id
"""
_LABELS = "label labels class classname category categoryname target cls classid labelname"
_TEXTS = "text caption prompt description"
_FILE, _LABEL, _TEXT = _FILES.split(), _LABELS.split(), _TEXTS.split()
_SEPARATORS = ",;\t|"
_LOOKED_AT = 100


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a list, in the order in which they are tried.

    Arguments:
        file: of the file's name; empty where no column holds such.
        label: of the class.
        text: of the caption.
    """

    file: tuple[str, ...]
    label: tuple[str, ...]
    text: tuple[str, ...]


def plain(column: object) -> str:
    """A column's name without what programs write differently: case, blanks, underscores."""
    return "".join(c for c in str(column).casefold() if c.isalnum())


def text_of(name: str, content: bytes) -> tuple[str, str]:
    """Text of a list, and the code page it is written in where that was guessed ("" otherwise).

    Raises:
        InputError: it is written in none that is known.
    """
    marked = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    if marked or content[1:2] == b"\0" or content[:1] == b"\0":
        little, big = "utf-16-le", "utf-16-be"
        page = "utf-16" if marked else (big if content[:1] == b"\0" else little)
        try:
            return content.decode(page), ""
        except UnicodeDecodeError as error:
            raise InputError(f"{name} is not written in UTF-16: {error}.") from error
    try:
        return content.decode("utf-8-sig"), ""
    except UnicodeDecodeError as error:
        page = guessed([content])
        if page is None:
            raise InputError(f"{name} is not written in UTF-8: {error}.") from error
        return content.decode(page), page  # which the guess has tried


def rows_of(
    name: str, text: str, is_there: Callable[[str], bool]
) -> tuple[list[Numbered], Columns]:
    """Rows of a list by number, and its columns.

    Arguments:
        name: of the list; it says the form.
        text: of the list.
        is_there: whether a picture of that name is there.

    Raises:
        InputError: its first line names no columns.
    """
    if name.lower().endswith(".jsonl"):
        rows = list(_json_rows(text))
    else:
        rows = list(_csv_rows(name, text, is_there))
    return rows, _columns(
        [row for _, row in rows[:_LOOKED_AT] if not isinstance(row, str)], is_there
    )


def _columns(rows: Sequence[Cells], is_there: Callable[[str], bool]) -> Columns:
    known = dict.fromkeys(itertools.chain.from_iterable(rows))

    def among(names: Sequence[str]) -> list[str]:
        return [key for each in names for key in known if plain(key) == each]

    def hits(column: str) -> int:
        cells = (row.get(column) for row in rows)
        return sum(isinstance(cell, str) and is_there(cell) for cell in cells)

    # The first of them that is known, unless another names more files that are there.
    file = sorted(among(_FILE), key=hits, reverse=True)
    label, text = among(_LABEL), among(_TEXT)
    if len(known) == 2 and file and not (label or text):
        # A single other column, such as "breed", is the label where its values come again.
        other = next(key for key in known if key != file[0])
        values = [str(row.get(other)) for row in rows]
        label = [other] if 2 * len(set(values)) <= len(values) else []
    return Columns(tuple(file), tuple(label), tuple(text))


def _json_rows(text: str) -> Iterator[Numbered]:
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            yield number, f"no JSON: {reason_of(error)}"
            continue
        yield number, cast(dict[str, Any], value) if isinstance(value, dict) else "no JSON table"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A table whose keys stand once each."""
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("a key stands twice")
    return table


def _csv_rows(name: str, text: str, is_there: Callable[[str], bool]) -> Iterator[Numbered]:
    text, separator = _separated(text.lstrip("\r\n"))
    if not separator:
        separator = max(_SEPARATORS, key=lambda each: _fit(text, each, is_there))
    rows = _cells(text, separator)
    number, first = next(rows, (1, []))
    if isinstance(first, str):
        raise InputError(f"{name}, line 1 names no columns: {first.removeprefix('no CSV: ')}.")
    if _is_row(first, is_there):
        # No heading: of two columns the one that is no file's name is the label.
        yield number, dict(zip(_unnamed(first, is_there), first, strict=True))
        first = _unnamed(first, is_there)
    _check_heading(name, first)
    for number, cells in rows:
        if isinstance(cells, str):
            yield number, cells
        elif any(cells[len(first) :]):
            yield number, f"has {len(cells)} cells, the first line has {len(first)}"
        elif any(cells):
            rest = [""] * (len(first) - len(cells))
            yield number, {k: v or None for k, v in zip(first, [*cells, *rest], strict=False)}


def _unnamed(cells: Sequence[str], is_there: Callable[[str], bool]) -> list[str]:
    return ["file_name" if is_there(cell) else "label" for cell in cells]


def _check_heading(name: str, first: Sequence[str]) -> None:
    """Refuse columns of one name where they mean something."""
    names = [plain(column) for column in first]
    for known in (*_FILE, *_LABEL, *_TEXT):
        if names.count(known) > 1:
            raise InputError(f"{name}, line 1 names the column {known} twice.")


def _separated(text: str) -> tuple[str, str]:
    """The text without the line that tells Excel its separator, and that."""
    found = re.match(r"sep=([^\r\n])[\r\n]+", text, re.IGNORECASE)
    return (text[found.end() :], found[1]) if found else (text, "")


def _is_row(cells: Sequence[str], is_there: Callable[[str], bool]) -> bool:
    """Whether a first line is no heading but a row of two cells, one of them a file's name."""
    heading = any(plain(cell) in (*_FILE, *_LABEL, *_TEXT) for cell in cells)
    return not heading and len(cells) == 2 and sum(map(is_there, cells)) == 1


def _fit(text: str, separator: str, is_there: Callable[[str], bool]) -> tuple[int, int]:
    """How well a separator divides a first line: columns that are known, all columns."""
    _, cells = next(_cells(text, separator), (1, ""))
    if isinstance(cells, str):
        return 0, 0
    roles = (_FILE, _LABEL, _TEXT)
    known = sum(any(plain(cell) in role for cell in cells) for role in roles)
    return known or _is_row(cells, is_there), len(cells)


def _cells(text: str, separator: str) -> Iterator[tuple[int, list[str] | str]]:
    """Cells of each line, without blanks around them."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    for number in itertools.count(1):
        try:
            yield number, [cell.strip() for cell in next(rows)]
        except StopIteration:
            return
        except csv.Error as error:
            yield number, f"no CSV: {error}"
