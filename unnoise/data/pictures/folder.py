"""List the image files of a folder, recursively."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from unnoise.data.names import Refusal, shown
from unnoise.data.pictures.decode import MOST_BYTES, SUFFIXES, RefusedFile
from unnoise.data.pictures.entry import LISTS, Listing


def scan_folder(top: Path) -> tuple[Listing, list[Refusal]]:
    """List all images and metadata files below a folder, following links; each real file once."""
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
