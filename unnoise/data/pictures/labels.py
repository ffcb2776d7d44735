"""Labels and captions of images: from metadata.jsonl or metadata.csv, or from folder names."""

import csv
import io
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from unnoise.core.errors import InputError, within
from unnoise.data.names import Refusal, brief, normal, shown, writable
from unnoise.data.pictures.decode import RefusedFile
from unnoise.data.pictures.entry import LISTS, Entry, Found, Listing
from unnoise.system.documents import reason_of

_LONGEST_PATH = 65_535  # letters; no file's is longer, but what a list says may be


def labelled(listed: Listing, refused: list[Refusal]) -> Found:
    """Entries with labels and captions from a metadata file, or else folder names as labels."""
    lists = [name for name in listed if PurePosixPath(name).name in LISTS]
    pictures = {name: read for name, read in listed.items() if name not in lists}
    if lists and pictures:
        return _from_list(lists[0], listed[lists[0]], pictures, refused)
    found = Found([Entry(name, read) for name, read in pictures.items()], refused)
    parents = [PurePosixPath(entry.name).parts[:-1] for entry in found.entries]
    # A zip often holds everything in one folder of its own.
    skip = 0
    while parents and all(
        len(p) > skip + 1 and p[: skip + 1] == parents[0][: skip + 1] for p in parents
    ):
        skip += 1
    if parents and all(len(p) > skip for p in parents):
        found.entries = [
            replace(entry, label=writable(normal(p[skip])))
            for entry, p in zip(found.entries, parents, strict=True)
        ]
    return found


def _from_list(
    name: str, read: Callable[[], bytes], pictures: Listing, refused: list[Refusal]
) -> Found:
    """Hugging Face's "imagefolder": a line for each file, with what is known of it."""
    base = PurePosixPath(name).parent
    by_name = {normal(each): each for each in pictures}
    entries: list[Entry] = []
    taken: set[str] = set()
    called = brief(name)
    try:
        content = read()
    except RefusedFile as error:
        raise InputError(f"{called}: {error}; it says what the pictures are. Mend it.") from error
    for number, line in _lines(called, content):
        where = f"{called}, line {number}"
        if isinstance(line, str):
            refused.append(Refusal(where, line))
            continue
        given = line.get("file_name")
        if not isinstance(given, str):
            refused.append(Refusal(where, "has no file_name"))
            continue
        given = within(given, _LONGEST_PATH)
        file = by_name.get(normal((base / given).as_posix()))
        label, text = line.get("label"), line.get("text")
        if file is None:
            refused.append(Refusal(shown(given), f"stands in {called} but is not there"))
        elif file in taken:
            refused.append(Refusal(shown(given), f"stands twice in {called}"))
        elif isinstance(label, bool | float | dict | list) or not isinstance(text, str | None):
            refused.append(Refusal(where, "its label must be a word or a number, its text words"))
        else:
            taken.add(file)
            known = None if label is None else writable(normal(str(label)))
            caption = None if text is None else writable(text)
            entries.append(Entry(file, pictures[file], known, caption))
    missing = [each for each in pictures if each not in taken]
    refused += [Refusal(shown(each), f"does not stand in {called}") for each in missing]
    return Found(entries, refused)


def _lines(name: str, content: bytes) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Number and content of each line; a text in place of a table says what is wrong."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not written in UTF-8: {error}.") from error
    if name.endswith(".csv"):
        yield from _rows(name, text)
        return
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, f"no JSON: {reason_of(error)}"
            continue
        yield number, value if isinstance(value, dict) else "no JSON table"


def _rows(name: str, text: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """The same of a table in CSV, whose first line says what its columns are."""
    rows = csv.DictReader(io.StringIO(text, newline=""))
    try:
        _ = rows.fieldnames
    except csv.Error as error:
        raise InputError(f"{name}, line 1 names no columns: {error}.") from error
    for number in itertools.count(2):
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, f"no CSV: {error}"
            continue
        yield number, {key: value or None for key, value in row.items() if isinstance(key, str)}
