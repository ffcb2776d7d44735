"""List the image files of a folder, recursively."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from unnoise.data.names import Refusal, shown
from unnoise.data.pictures.decode import MOST_BYTES, RefusedFile
from unnoise.data.pictures.entry import Entry, Listed
from unnoise.data.pictures.which_files import is_hidden, role_of


def scan_folder(top: Path) -> Listed:
    """List all images and lists below a folder, following links; each real file once.

    Hidden files and folders, and those of systems, are passed over.
    """
    listed = Listed()
    seen: set[tuple[int, int]] = set()
    for file in _walk(top, top, seen, listed):
        name = file.relative_to(top).as_posix()
        role = role_of(name)
        if role == "unread":
            listed.unread.append(name)
        if role in ("none", "unread"):
            continue
        try:
            known = file.stat()
        except OSError as error:
            listed.refused.append(Refusal(shown(name), f"cannot be read: {error.strerror}"))
            continue
        if stat.S_ISDIR(known.st_mode) or (known.st_dev, known.st_ino) in seen:
            continue
        seen.add((known.st_dev, known.st_ino))
        if not stat.S_ISREG(known.st_mode):
            listed.refused.append(Refusal(shown(name), "no regular file"))
        elif known.st_size > MOST_BYTES:
            listed.refused.append(Refusal(shown(name), f"{known.st_size:,} bytes; too large"))
        elif role == "list":
            listed.lists[name] = _reader(file)
        else:
            listed.entries.append(Entry(name, _reader(file)))
    return listed


def _walk(folder: Path, top: Path, seen: set[tuple[int, int]], listed: Listed) -> Iterator[Path]:
    """Files below a folder; links to folders are followed once, so a loop ends."""
    try:
        known = folder.stat()
        if (known.st_dev, known.st_ino) in seen:
            return
        seen.add((known.st_dev, known.st_ino))
        inside = sorted(os.scandir(folder), key=lambda each: each.name)
    except OSError as error:
        name = folder.relative_to(top).as_posix()
        listed.refused.append(Refusal(shown(name), f"cannot be listed: {error.strerror}"))
        return
    for each in inside:
        if is_hidden(each.name):
            continue
        try:
            is_folder = each.is_dir()
        except OSError:
            is_folder = False
        if is_folder:
            yield from _walk(Path(each.path), top, seen, listed)
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
