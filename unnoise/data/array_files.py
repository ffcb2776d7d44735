"""Opening NumPy files that may be a stranger's: .npy memory-mapped, .npz read; never a pickle."""

import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np

from unnoise.core.errors import InputError, within
from unnoise.data.stored import mapped
from unnoise.system.memory import installed

Array = np.ndarray[Any, Any]

_NAMES = "images x x_train train_images X data values samples events arr_0"
_LABEL_NAMES = "labels label y y_train train_labels Y targets classes"
_VALUES, _LABELS = _NAMES.split(), _LABEL_NAMES.split()
_HELD = {"x_train": ("x_test", "y_test"), "train_images": ("test_images", "test_labels")}
_MAGIC = b"PK"  # of a zip file, an empty one too


@dataclass(frozen=True)
class Opened:
    """Arrays of a file.

    Arguments:
        values: the examples.
        labels: one for each, where the file has some.
        held: examples that the file itself holds apart, and their labels.
        held_labels: theirs.
        is_archive: whether it is an .npz.
    """

    values: Array
    labels: Array | None = None
    held: Array | None = None
    held_labels: Array | None = None
    is_archive: bool = False


def opened(path: str) -> Opened:
    """Open a .npy or .npz file.

    Raises:
        InputError: there is none that can be read, or of several arrays none is called as examples
            are.
    """
    if not path.lower().endswith(".npz"):
        return Opened(mapped(path))
    try:
        with open(path, "rb") as stream:
            is_zip = stream.read(2) == _MAGIC
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot read {path}: {reason}.") from error
    if not is_zip:
        return Opened(mapped(path))  # which says what it is
    try:
        with zipfile.ZipFile(path) as archive, np.load(path, allow_pickle=False) as file:
            return _among(path, archive, file)
    except InputError:
        raise
    except Exception as error:  # zlib, headers, checksums: they raise anything
        reason = within(" ".join(str(error).split()), 80)
        raise InputError(f"{path} is no .npz file that can be read: {reason}") from error


def _among(path: str, archive: zipfile.ZipFile, file: Any) -> Opened:
    """The arrays that are meant among those of an archive."""
    names: list[str] = list(file.files)
    labels = next((name for name in _LABELS if name in names), None)
    rest = [name for name in names if name != labels]
    values = rest[0] if len(rest) == 1 else next((name for name in _VALUES if name in rest), None)
    if values is None:
        listed = within(", ".join(names), 60) or "nothing"
        raise InputError(f"{path} holds {listed}; call the examples x and their labels y.")
    held, held_labels = _HELD.get(values, ("", ""))
    wanted = [name for name in (values, labels, held, held_labels) if name in names]
    size = sum(info.file_size for info in archive.infolist() if _key(info.filename) in wanted)
    most = (installed() or 1 << 60) // 2
    if size > most:
        raise InputError(
            f"{path} unpacks to {size / 2**30:,.0f} GiB, more than half of this machine's memory; "
            "save the array as .npy."
        )
    read = {name: np.asarray(file[name]) for name in wanted}
    return Opened(read[values], read.get(labels or ""), read.get(held), read.get(held_labels), True)


def _key(name: str) -> str:
    return name.removesuffix(".npy")
