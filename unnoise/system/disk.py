"""File-system operations and fsync, in one place, so that tests can replace the disk.

A content is on the disk when its file was synced, a name when its folder was; nothing else is sure
after a power cut.
"""

import os
from pathlib import Path


def create(path: Path, content: bytes) -> None:
    """Write a file, new or overwritten; not durable before ``sync``."""
    with path.open("wb") as stream:
        stream.write(content)


def sync(path: Path) -> None:
    """Flush a file's content to the disk (fsync)."""
    with path.open("r+b") as stream:
        os.fsync(stream.fileno())


def rename(path: Path, target: Path) -> None:
    """Rename a file, replacing the target; not durable before ``sync_folder``."""
    path.replace(target)


def remove(path: Path) -> None:
    """Delete a file, if it is there; not durable before ``sync_folder``."""
    path.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Create a folder and its parents, if missing; not durable before ``sync_folder``."""
    path.mkdir(parents=True, exist_ok=True)


def remove_folder(path: Path) -> None:
    """Delete an empty folder; not durable before ``sync_folder``."""
    path.rmdir()


def sync_folder(path: Path) -> None:
    """Flush the names in a folder to the disk (fsync); Windows has no such call and needs none."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
