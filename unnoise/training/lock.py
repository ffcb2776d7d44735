"""One trainer a folder."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from unnoise.core.errors import InputError, StorageError


@contextmanager
def held(folder: Path | None) -> Generator[None]:
    """Keep a run's folder for this process; None keeps nothing.

    The lock is the operating system's: it ends with the process, however that ends, so none is ever
    stale. Of several processes that train together process 0 alone has a folder.

    Raises:
        InputError: another process trains there.
        StorageError: the folder cannot be made or written to.
    """
    if folder is None:
        yield
        return
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
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
        lock.release()
