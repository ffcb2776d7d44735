"""File lock: only one training at a time in a run folder."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from unnoise.core.errors import InputError, StorageError

NAME = ".lock"


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make {folder}: {error.strerror or error}.") from error


@contextmanager
def held(folder: Path | None) -> Generator[None]:
    """Lock a run folder for this process; None locks nothing.

    The lock is the operating system's: it ends with the process, however that ends, so none is ever
    stale. Of several processes that train together process 0 alone has a folder. A folder that was
    made for the lock and holds nothing else is taken away again.

    Raises:
        InputError: another process trains there.
        StorageError: the folder cannot be made or written to.
    """
    if folder is None:
        yield
        return
    from filelock import FileLock, Timeout

    made = not folder.exists()
    _make(folder)
    try:
        lock = FileLock(folder / NAME)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise InputError(
            f"{folder} is being trained by another process. Wait for it, stop it, or choose "
            "another folder."
        ) from error
    except OSError as error:
        raise StorageError(f"cannot lock {folder}: {error.strerror or error}.") from error
    try:
        yield
    finally:
        if made and [path.name for path in folder.iterdir()] == [NAME]:
            (folder / NAME).unlink()
            folder.rmdir()
        lock.release()
