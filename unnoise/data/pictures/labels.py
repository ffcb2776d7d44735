"""Labels and captions of images from lists: metadata.csv, metadata.jsonl, or others beside them."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from unnoise.core.errors import InputError, within
from unnoise.data.names import Refusal, brief, normal, shown, writable
from unnoise.data.pictures.decode import RefusedFile
from unnoise.data.pictures.entry import Entry, Read
from unnoise.data.pictures.rows import Columns, Numbered, rows_of, text_of
from unnoise.data.pictures.which_files import LISTS

_LONGEST_PATH = 65_535  # letters; no file's is longer, but what a list says may be
_MOST_LISTS = 32  # of names that say nothing, each of which is tried
_METADATA = "metadata"  # Hugging Face's name; a list that is called so always counts


@dataclass
class Described:
    """What lists say of a source's pictures.

    Arguments:
        entries: by the number of the picture; those that a list leaves out are not among them.
        refused: pictures and lines that are left out.
        notes: what is to be told, in clauses.
        ruled: numbers of the pictures that a list says something of, or leaves out.
    """

    entries: dict[int, Entry] = field(default_factory=dict[int, Entry])
    refused: list[Refusal] = field(default_factory=list[Refusal])
    notes: list[str] = field(default_factory=list[str])
    ruled: set[int] = field(default_factory=set[int])


def word(value: object) -> str | None:
    """Class name of a label: of 1, 1.0 and "1.0" it is "1"; None where it says nothing.

    Raises:
        ValueError: it is a list or a table.
    """
    if isinstance(value, dict | list):
        raise ValueError("its label must be a word or a number")
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool):
        return str(value).lower()
    text = writable(normal(str(value))).strip()
    if text.casefold() in ("", "nan"):
        return None
    whole = re.fullmatch(r"([+-]?[0-9]+)\.0*", text)
    return text if whole is None else whole[1]


class _Finder:
    """Finds the pictures below a list's folder by what the list calls them."""

    def __init__(self, path: str, numbers: Sequence[int], entries: Sequence[Entry]) -> None:
        self.before = [f"{folder}/" if folder else "" for folder in _folders(path)]
        self.by_path = {normal(entries[number].place): number for number in numbers}

    @cached_property
    def by_name(self) -> dict[str, int | None]:
        """Those of one name, with and without the suffix; None where several have it."""
        found: dict[str, int | None] = {}
        for place, number in self.by_path.items():
            name = place.casefold().rpartition("/")[2]
            for each in {name, name.rpartition(".")[0]}:
                found[each] = None if each in found else number
        return found

    def __call__(self, given: str) -> int | None:
        given = normal(within(given, _LONGEST_PATH)).replace("\\", "/")
        if "./" in given or "//" in given:
            given = PurePosixPath(given).as_posix()
        for before in self.before:
            found = self.by_path.get(before + given)
            if found is not None:
                return found
        # Lists of others leave the folder or the suffix out; one that fits is meant.
        return None if "/" in given else self.by_name.get(given.casefold())


def _folders(path: str) -> Iterator[str]:
    """The folders that a file lies in, innermost first; the last is ""."""
    while path:
        path = path.rpartition("/")[0]
        yield path


def describe_by_lists(
    lists: dict[str, Read], entries: Sequence[Entry], has_classes: bool, told: Sequence[bool]
) -> Described:
    """Labels and captions from the lists of a source, each of which counts below its own folder.

    A ``metadata`` list always counts; another does where it is the only one of its folder, names
    most of the pictures there, and folders are no classes.

    Arguments:
        lists: readers by their path inside the source.
        entries: all pictures.
        has_classes: whether folders are classes.
        told: for each picture, whether it must stand in the list that is nearest.

    Raises:
        InputError: a ``metadata`` list cannot be read.
    """
    described = Described()
    named = [each for each in lists if PurePosixPath(each).stem.casefold() == _METADATA]
    chosen = _one_a_folder(named, described)
    below = _governed(chosen, entries)
    for path in chosen:
        if below[path]:
            _describe(path, _content(path, lists[path]), below[path], entries, told, described)
    if not chosen:
        _describe_by_others(lists, entries, has_classes, told, described)
    if described.ruled:
        rest = (number for number in range(len(entries)) if number not in described.ruled)
        described.entries.update((number, entries[number]) for number in rest)
    return described


def _one_a_folder(paths: Sequence[str], described: Described) -> list[str]:
    """The list of each folder; of several the first by its form."""
    found: dict[str, str] = {}
    forms = {form: k for k, form in enumerate(LISTS)}
    for path in sorted(paths, key=lambda each: (forms[PurePosixPath(each).suffix.lower()], each)):
        folder = next(_folders(path))
        if folder in found:
            described.notes.append(f"{brief(path)} is not read, but {brief(found[folder])}")
        else:
            found[folder] = path
    return list(found.values())


def _governed(paths: Sequence[str], entries: Sequence[Entry]) -> dict[str, list[int]]:
    """Numbers of the pictures that each list says something of: the nearest one counts."""
    by_folder = {next(_folders(path)): path for path in paths}
    found: dict[str, list[int]] = {path: [] for path in paths}
    for number, entry in enumerate(entries if paths else ()):
        path = next((by_folder[f] for f in _folders(entry.place) if f in by_folder), None)
        if path is not None:
            found[path].append(number)
    return found


def _content(path: str, read: Read) -> bytes:
    try:
        return read()
    except RefusedFile as error:
        raise InputError(
            f"{brief(path)}: {error}; it says what the pictures are. Mend it."
        ) from error


def _describe_by_others(
    lists: dict[str, Read],
    entries: Sequence[Entry],
    has_classes: bool,
    told: Sequence[bool],
    described: Described,
) -> None:
    """The same from lists of any name, or a word that they are not read."""
    if len(lists) > _MOST_LISTS:
        described.notes.append(f"{len(lists):,} lists of other names than metadata are not read")
        return
    beneath = {path: set(_beneath(path, entries)) for path in lists}
    fits = {path: _that_fits(path, lists[path], sorted(beneath[path]), entries) for path in lists}
    meant = [path for path, content in fits.items() if content is not None]
    for path in meant:
        content = fits[path]
        alone = not any(beneath[path] & beneath[other] for other in meant if other != path)
        if content is not None and alone and not has_classes:
            _describe(path, content, sorted(beneath[path]), entries, told, described)
            described.notes.append(f"labels are those of {brief(path)}")
        else:
            described.notes.append(
                f"{brief(path)} is not read; call it metadata.csv if it is meant"
            )


def _beneath(path: str, entries: Sequence[Entry]) -> list[int]:
    folder = next(_folders(path))
    before = f"{folder}/" if folder else ""
    return [number for number, entry in enumerate(entries) if entry.place.startswith(before)]


def _that_fits(
    path: str, read: Read, numbers: Sequence[int], entries: Sequence[Entry]
) -> bytes | None:
    """The content of a list that names at least half of some pictures; else None."""
    if not numbers:
        return None
    find = _Finder(path, numbers, entries)
    try:
        content = read()
        rows, columns = rows_of(path, text_of(path, content)[0], lambda g: find(g) is not None)
    except MemoryError:
        raise
    except Exception:  # whatever it is, it is no list of these
        return None
    if not (columns.file and (columns.label or columns.text)):
        return None
    cells = [row.get(columns.file[0]) for _, row in rows if not isinstance(row, str)]
    hits = {find(cell) for cell in cells if isinstance(cell, str)} - {None}
    return content if 2 * len(hits) >= len(numbers) else None


def _describe(
    path: str,
    content: bytes,
    numbers: Sequence[int],
    entries: Sequence[Entry],
    told: Sequence[bool],
    described: Described,
) -> None:
    """What one list says of the pictures that it governs."""
    called = brief(path)
    find = _Finder(path, numbers, entries)
    try:
        text, page = text_of(called, content)
        rows, columns = rows_of(path, text, lambda given: find(given) is not None)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # what nobody foresaw in what others write
        raise InputError(f"{called} cannot be read: {within(str(error), 80)}. Mend it.") from error
    if page:
        described.notes.append(f"{called} is read as {page}")
    if rows and not columns.file and not path.lower().endswith(".jsonl"):
        raise InputError(
            f"{called}: its first line names no column of files; call one file_name, beside label "
            "and text."
        )
    if rows and not (columns.label or columns.text):
        described.notes.append(f"{called} has no column called label or text")
    described.ruled.update(numbers)
    taken: dict[int, Entry] = {}
    for number, row in rows:
        wrong = _take(called, (number, row), columns, find, entries, taken)
        if wrong is not None:
            described.refused.append(wrong)
    described.entries.update(taken)
    for number in numbers:
        if number in taken:
            continue
        if told[number]:
            reason = f"does not stand in {called}"
            described.refused.append(Refusal(shown(entries[number].name), reason))
        else:
            described.entries[number] = replace(entries[number], label=None)


def _take(
    called: str,
    row: Numbered,
    columns: Columns,
    find: _Finder,
    entries: Sequence[Entry],
    taken: dict[int, Entry],
) -> Refusal | None:
    """Take the picture that a row names, or say what is wrong with the row."""
    number, cells = row
    where = f"{called}, line {number}"
    if isinstance(cells, str):
        return Refusal(where, cells)

    def cell(names: Sequence[str]) -> Any:
        return next((cells[name] for name in names if name in cells), None)

    given = cell(columns.file)
    if not isinstance(given, str):
        return Refusal(where, "has no file_name")
    given = within(given, _LONGEST_PATH)
    picture = find(given)
    if picture is None:
        return Refusal(shown(given), f"stands in {called} but is not there")
    if picture in taken:
        return Refusal(shown(given), f"stands twice in {called}")
    text = cell(columns.text)
    try:
        label = word(cell(columns.label))
    except ValueError as error:
        return Refusal(where, str(error))
    if not isinstance(text, str | None):
        return Refusal(where, "its text must be words")
    caption = None if text is None else writable(text)
    taken[picture] = replace(entries[picture], label=label, text=caption)
    return None
