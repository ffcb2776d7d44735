"""Classes of an array of labels: the values that occur, in order."""

import numpy as np
import torch
from torch import Tensor

from unnoise.core.errors import InputError, within
from unnoise.data.array_files import Array
from unnoise.data.names import brief, natural, writable

_MOST_CLASSES = 1_000_000


def classes_of(
    path: str, given: Array | None, count: int, names: tuple[str, ...] | None = None
) -> tuple[tuple[str, ...], Tensor]:
    """Names of the classes, and the number of each row's class.

    Numbers need not begin at 0 or be without gaps; floats count where they are whole.

    Arguments:
        path: the file, for messages.
        given: labels, shape (N,) or (N, 1).
        count: rows that need one.
        names: the classes, where they are known already.

    Returns:
        Names, and numbers of shape (N,), int64.

    Raises:
        InputError: they are no labels of so many rows, or of a class that is not among ``names``.
    """
    if given is None:
        raise InputError(f"{path} has labels for its training rows, but none for its test rows.")
    if given.shape == (count, 1):
        given = given[:, 0]
    if given.shape != (count,) or given.dtype.kind not in "iufbUS":
        raise InputError(
            f"{path} has shape {given.shape} and type {within(str(given.dtype), 30)}; needed is "
            f"one class number for each of {count} rows."
        )
    words = given.dtype.kind in "US"
    values, numbers = np.unique(given if words else _whole(path, given), return_inverse=True)
    if len(values) > _MOST_CLASSES:
        raise InputError(f"{path} has {len(values):,} classes; at most {_MOST_CLASSES:,} are read.")
    found = [_word(value) for value in values]
    order = names or tuple(sorted(set(found), key=natural))
    place = {name: number for number, name in enumerate(order)}
    unknown = next((name for name in found if name not in place), None)
    if unknown is not None:
        raise InputError(f"{path} has a class {brief(unknown)!r} that is not trained on.")
    return order, torch.tensor([place[name] for name in found])[torch.from_numpy(numbers.ravel())]


def _word(value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    return writable(str(value))


def _whole(path: str, given: Array) -> Array:
    """Labels as whole numbers from 0."""
    numbers = np.asarray(given).astype(given.dtype.newbyteorder("="))
    odd = (
        ~(np.isfinite(numbers) & (numbers == np.floor(numbers))) if given.dtype.kind == "f" else []
    )
    where = np.flatnonzero(odd)
    if len(where):
        raise InputError(
            f"{path} has label {numbers[where[0]]} in row {where[0]}; give whole numbers from 0."
        )
    if len(numbers) and numbers.min() < 0:
        row = int(numbers.argmin())
        raise InputError(
            f"{path} has label {numbers[row]} in row {row}; give one label from 0 for each row."
        )
    if len(numbers) and numbers.max() >= _MOST_CLASSES:
        raise InputError(
            f"{path} goes up to {numbers.max():,}; class numbers are below {_MOST_CLASSES:,}."
        )
    return numbers.astype(np.int64)
