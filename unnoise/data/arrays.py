"""Data sets from NumPy .npy files, memory-mapped."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from unnoise.catalogue.ranges import Fraction
from unnoise.catalogue.registry import register
from unnoise.core.errors import InputError, within
from unnoise.data.base import Dataset
from unnoise.data.stored import Arrays, Chosen, TensorDataset, mapped
from unnoise.spaces import Display

_TYPES = tuple(map(np.dtype, (np.uint8, np.float16, np.float32, np.float64)))
_MOST_CLASSES = 1_000_000


@register("dataset", "npy")
def npy(
    path: str,
    labels: str | None = None,
    split: Literal["train", "test"] = "train",
    held_out: Fraction = 0.1,
    dequantize: bool = True,
    display: Display | None = None,
) -> Dataset:
    """NumPy array in a .npy file, memory-mapped; event shape as in the file.

    Arguments:
        path: a .npy file of shape (N, *event), channels first; uint8 has 256 levels from -1 to 1,
            floats are modelled as they are.
        labels: a .npy file of class numbers, shape (N,).
        split: "train", or "test": what is held out.
        held_out: share that is held out: the last rows, so shuffle the file if it is sorted.
        dequantize: spread each level over its width in training.
        display: how an event is shown; absent: as its shape suggests.

    Raises:
        InputError: no such file, or no array that can be trained on.
    """
    array = mapped(path)
    if array.dtype not in _TYPES:
        raise InputError(
            f"{path} holds {within(str(array.dtype), 40)}; accepted are "
            f"{', '.join(map(str, _TYPES))}. Save array.astype(np.float32)."
        )
    if array.ndim < 2 or 0 in array.shape:
        raise InputError(f"{path} has shape {array.shape}; it must be (N, *event), and not empty.")
    if array.ndim == 4 and array.shape[-1] in (1, 3) and array.shape[1] not in (1, 3):
        raise InputError(
            f"{path} has shape {array.shape}, channels last; save array.transpose(0, 3, 1, 2)."
        )
    first = len(array) - round(held_out * len(array))
    index = torch.arange(first) if split == "train" else torch.arange(first, len(array))
    if len(index) == 0:
        raise InputError(f"{path}: held_out = {held_out} leaves nothing for {split!r}.")
    classes = None if labels is None else _classes(labels, len(array))
    return TensorDataset(
        Path(path).stem,
        Chosen(Arrays([array]), index),
        None if classes is None else classes[index],
        levels=256 if array.dtype == np.uint8 else None,
        dequantize=dequantize,
        class_names=None if classes is None else tuple(map(str, range(int(classes.max()) + 1))),
        display=display,
    )


def _classes(path: str, count: int) -> Tensor:
    """Class numbers, one for each of ``count`` rows, shape (N,), int64."""
    given = mapped(path)
    if given.shape != (count,) or given.dtype.kind not in "iu":
        raise InputError(
            f"{path} has shape {given.shape} and type {given.dtype}; needed is one class "
            f"number for each of {count} rows."
        )
    most = int(given.max())
    if most >= _MOST_CLASSES:
        raise InputError(f"{path} goes up to {most:,}; class numbers are below {_MOST_CLASSES:,}.")
    return torch.from_numpy(given.astype(np.int64))
