"""Where pictures lie: a folder, a zip file, tar files. What is there, in an order of its own."""

import csv
import io
import itertools
import json
import os
import re
import stat
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, cast

from unnoise.core.errors import InputError, within
from unnoise.data.gate import MOST_BYTES, SUFFIXES, RefusedFile
from unnoise.system.documents import reason_of

LISTS = ("metadata.jsonl", "metadata.csv")
_LONGEST_PATH = 65_535  # letters; no file's is longer, but what a list says may be
_LONGEST_TOLD = 80


@dataclass(frozen=True)
class Entry:
    """One picture, not read yet.

    Arguments:
        name: path inside its source, with "/".
        read: gives its bytes; raises RefusedFile.
        label: its class by name, ``writable``; None without.
        text: its caption, ``writable``; None without.
    """

    name: str
    read: Callable[[], bytes]
    label: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class Refusal:
    """A file that is left out, and why."""

    name: str
    reason: str


@dataclass
class Found:
    """What a source holds.

    Arguments:
        entries: pictures, sorted by name.
        refused: files that are left out already.
    """

    entries: list[Entry]
    refused: list[Refusal] = field(default_factory=list[Refusal])

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes, in the order of their numbers; None where not every picture has
        one."""
        labels = {entry.label for entry in self.entries}
        if None in labels or not labels:
            return None
        return tuple(sorted(cast(set[str], labels), key=_counted))


def _counted(name: str) -> tuple[int, int, str, str]:
    """Numbers by value, then words by letter."""
    if not (name.isascii() and name.isdigit()):
        return 1, 0, "", name
    digits = name.lstrip("0")  # compared as they stand: Python reads no more than 4,300
    return 0, len(digits), digits, name


def normal(name: str) -> str:
    """A name as it is compared: macOS takes Hangul apart, others do not."""
    return unicodedata.normalize("NFC", name)


def writable(text: str) -> str:
    """A text that UTF-8 can hold: of a name in other bytes, 0xB0 becomes the letters ``\\xb0``."""
    return _HALF_LETTER.sub(_escaped, text)


_HALF_LETTER = re.compile(r"[\ud800-\udfff]")


def _escaped(half: re.Match[str]) -> str:
    code = ord(half[0])
    # Python reads a byte that is no UTF-8 as this half; other halves come out of JSON.
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code < 0xDD00 else f"\\u{code:04x}"


def shown(name: str, most: int = _LONGEST_PATH) -> str:
    """A name for a report: in one line, writable, and without its middle where it is long."""
    name = within(name, most)
    if name.isprintable():
        return name
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in writable(name)
    )


def brief(name: str) -> str:
    """A name for a sentence: ``shown``, and short."""
    return within(shown(name, _LONGEST_TOLD), _LONGEST_TOLD)


def scan(path: str | Path) -> Found:
    """List the pictures of a source without reading them.

    Arguments:
        path: a folder (its folders are classes, or it holds a metadata.jsonl or metadata.csv with
            ``file_name``, ``text``, ``label``), a .zip file of the same, or a .tar file, or a
            folder of such, in WebDataset's layout (``key.jpg``, ``key.cls``, ``key.txt``,
            ``key.json``); or ``hf:NAME``, a Hugging Face data set.

    Raises:
        InputError: there is nothing of the kind.
    """
    from unnoise.data.archives import scan_tars, scan_zip  # they know entries
    from unnoise.data.hub import scan_hub

    place = Path(path)
    if str(path).startswith("hf:"):
        found = scan_hub(str(path)[3:])
    elif place.is_dir():
        tars = sorted(place.glob("*.tar"))
        found = scan_tars(tars) if tars else _labelled(*_scan_folder(place))
    elif place.suffix.lower() == ".zip" and place.is_file():
        found = _labelled(*scan_zip(place))
    elif place.suffix.lower() == ".tar" and place.is_file():
        found = scan_tars([place])
    else:
        raise InputError(f"{path}: give a folder of pictures, or a .zip or .tar file of them.")
    if not found.entries and not found.refused:
        known = ", ".join(sorted(SUFFIXES))
        raise InputError(f"{path} holds no pictures; looked for {known}.")
    found.entries.sort(key=lambda entry: (normal(entry.name), entry.name))
    return found


# -- folders ------------------------------------------------------------------------------------

Listing = dict[str, Callable[[], bytes]]


def _scan_folder(top: Path) -> tuple[Listing, list[Refusal]]:
    """Every picture and list below a folder; each real file once, whatever links there are."""
    listed: Listing = {}
    refused: list[Refusal] = []
    seen: set[tuple[int, int]] = set()
    for file in _walk(top, seen):
        name = file.relative_to(top).as_posix()
        if file.suffix.lower() not in SUFFIXES and name not in LISTS:
            continue
        try:
            known = file.stat()
        except OSError as error:
            refused.append(Refusal(shown(name), f"cannot be read: {error.strerror}"))
            continue
        if stat.S_ISDIR(known.st_mode) or (known.st_dev, known.st_ino) in seen:
            continue
        seen.add((known.st_dev, known.st_ino))
        if not stat.S_ISREG(known.st_mode):
            refused.append(Refusal(shown(name), "no regular file"))
        elif known.st_size > MOST_BYTES:
            refused.append(Refusal(shown(name), f"{known.st_size:,} bytes; too large"))
        else:
            listed[name] = _reader(file)
    return listed, refused


def _walk(folder: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    """Files below a folder; links to folders are followed once, so a loop ends."""
    try:
        known = folder.stat()
        if (known.st_dev, known.st_ino) in seen:
            return
        seen.add((known.st_dev, known.st_ino))
        inside = sorted(os.scandir(folder), key=lambda each: each.name)
    except OSError:
        yield folder  # it cannot be listed; whoever asks for its state hears why
        return
    for each in inside:
        try:
            is_folder = each.is_dir()
        except OSError:
            is_folder = False
        if is_folder:
            yield from _walk(Path(each.path), seen)
        else:
            yield Path(each.path)


def _reader(file: Path) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            # Not to be blocked by what took the file's place since it was listed.
            handle = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
            with os.fdopen(handle, "rb") as stream:
                if not stat.S_ISREG(os.fstat(handle).st_mode):
                    raise RefusedFile("no regular file")
                return stream.read(MOST_BYTES + 1)
        except OSError as error:
            raise RefusedFile(f"cannot be read: {error.strerror}") from error

    return read


# -- labels and captions ------------------------------------------------------------------------


def _labelled(listed: Listing, refused: list[Refusal]) -> Found:
    """Entries with the labels and captions of a list, or else with their folders' names."""
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
