"""The few things that are done to a disk, in one place, so that tests can put another one there.

A content is on the disk when its file was synced, a name when its folder was; nothing else is sure
after a power cut.
"""

import os
from pathlib import Path


def create(path: Path, content: bytes) -> None:
    """Make a file with a content, or give a file another; not yet sure."""
    with path.open("wb") as stream:
        stream.write(content)


def sync(path: Path) -> None:
    """Make a file's content sure."""
    with path.open("r+b") as stream:
        os.fsync(stream.fileno())


def rename(path: Path, target: Path) -> None:
    """Give a file another name, whose old bearer goes; not yet sure."""
    path.replace(target)


def remove(path: Path) -> None:
    """Take a file away, if it is there; not yet sure."""
    path.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, if they are not there; not yet sure."""
    path.mkdir(parents=True, exist_ok=True)


def remove_folder(path: Path) -> None:
    """Take an empty folder away; not yet sure."""
    path.rmdir()


def sync_folder(path: Path) -> None:
    """Make the names in a folder sure (Windows cannot be asked, and does it by itself)."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
