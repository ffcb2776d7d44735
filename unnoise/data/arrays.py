"""Data sets from NumPy arrays: .npy files, memory-mapped, and .npz archives."""

from pathlib import Path
from typing import Any, Literal, final

import numpy as np
import torch
from torch import Tensor

from unnoise.catalogue.ranges import Fraction
from unnoise.catalogue.registry import register
from unnoise.core.errors import InputError, within
from unnoise.data.array_files import Array, Opened, opened
from unnoise.data.array_labels import classes_of
from unnoise.data.base import Dataset
from unnoise.data.modelled import as_modelled
from unnoise.data.names import place_of
from unnoise.data.pictures.decide import counted
from unnoise.data.stored import Chosen, TensorDataset
from unnoise.spaces import Display

_FLOATS = {2: np.float16, 4: np.float32, 8: np.float64}  # by their bytes; longer ones are cut
_MOST_LEVELS = 65_536


@final
class Rows:
    """Rows of an array as torch reads them: in this machine's byte order, of one of its types.

    Arguments:
        array: of any byte order, layout and width, shape (N, *event).
        dtype: what a row is converted to.
        channel: whether an event gets a channel axis of length 1 in front.
    """

    def __init__(self, array: Array, dtype: Any, channel: bool) -> None:
        self.array, self.channel, self.type = array, channel, np.dtype(dtype)
        self.shape = (len(array), *([1] if channel else []), *array.shape[1:])
        self.dtype = torch.from_numpy(np.empty(0, self.type)).dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Tensor, /) -> Tensor:
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
            rows = np.ascontiguousarray(self.array[index.numpy()]).astype(self.type)
        return torch.from_numpy(rows[:, None] if self.channel else rows)


@register("dataset", "npy")
def npy(
    path: str,
    labels: str | None = None,
    split: Literal["train", "test"] = "train",
    held_out: Fraction = 0.1,
    dequantize: bool = True,
    display: Display | None = None,
    levels: int | None = None,
) -> Dataset:
    """NumPy array in a .npy file, memory-mapped, or in an .npz; event shape as in the file.

    Grey pictures of bytes, (N, H, W), become events (1, H, W); (N, H, W, 1 or 3) of an .npz, as
    ``unnoise sample -o x.npz`` writes them, becomes (N, 1 or 3, H, W).

    Arguments:
        path: a .npy file of shape (N, *event), channels first; uint8 has 256 levels from -1 to 1,
            truth values have 2, floats are standardised channel by channel. Or an .npz with such an
            array (``images``, ``x``, ``data`` ...; perhaps ``labels`` or ``y``; ``x_test`` is held
            out).
        labels: a .npy file of class numbers or names, shape (N,). The values that occur are the
            classes, in order.
        split: "train", or "test": what is held out.
        held_out: share that is held out: the last rows, so shuffle the file if it is sorted.
        dequantize: spread each level over its width in training.
        display: how an event is shown; absent: as its shape suggests.
        levels: of whole numbers 0 ... levels - 1 of any type; absent: as the type says.

    Raises:
        InputError: no such file, or no array that can be trained on.
    """
    path = place_of(path)
    found = opened(path)
    dtype, levels = _meaning(path, found.values, levels)
    rows = _rows(path, found, found.values, dtype, levels)
    names, numbers = _labels(path, labels, found, len(rows))
    if found.held is not None:
        index = torch.arange(len(rows))
        parts = {"train": len(rows), "test": len(found.held)}
        if split == "test":
            rows = _rows(path, found, found.held, dtype, levels)
            numbers = None
            if names is not None:
                numbers = classes_of(path, found.held_labels, len(rows), names)[1]
            index = torch.arange(len(rows))
    else:
        first = len(rows) - round(held_out * len(rows))
        parts = {"train": first, "test": len(rows) - first}
        index = torch.arange(first) if split == "train" else torch.arange(first, len(rows))
    if len(index) == 0:
        raise InputError(f"{path}: held_out = {held_out} leaves nothing for {split!r}.")
    own = None if numbers is None else numbers[index]
    try:
        data = TensorDataset(
            Path(path).stem,
            Chosen(rows, index),
            own,
            levels=levels,
            dequantize=dequantize,
            class_names=None if own is None else names,
            display=display,
        )
    except InputError as error:
        where = _first_odd(rows)
        if where is None:
            raise
        raise InputError(f"{path} holds {where}; it cannot be trained on.") from error
    data.told = _told(data, found.values, parts)
    if split == "train" or levels is not None or not parts["train"]:
        return data
    # What is held out is standardised by what is trained on.
    return as_modelled(data, npy(path, labels, "train", held_out, dequantize, display, levels).info)


def _meaning(path: str, array: Array, levels: int | None) -> tuple[Any, int | None]:
    """Type that rows are read as, and their levels."""
    kind, size = array.dtype.kind, array.dtype.itemsize
    called = within(str(array.dtype), 40)
    if levels is not None and not 2 <= levels <= _MOST_LEVELS:
        raise InputError(f"levels = {within(str(levels), 30)}: give 2 to {_MOST_LEVELS:,}.")
    if kind == "f" and levels is not None:
        raise InputError(f"{path} holds {called}; levels = {levels} is for whole numbers.")
    if kind == "f":
        return _FLOATS.get(size, np.float64), None
    if kind == "b":
        return np.uint8, levels or 2
    if array.dtype == np.uint8:
        return np.uint8, levels or 256
    if kind in "iu" and levels is not None:
        return np.int64, levels
    if kind in "iu":
        raise InputError(
            f"{path} holds {called}; say how many levels it has (levels = 256), or save "
            "array.astype(np.float32)."
        )
    raise InputError(
        f"{path} holds {called}; accepted are uint8, bool, whole numbers with levels, and floats. "
        "Save array.astype(np.float32)."
    )


def _rows(path: str, found: Opened, array: Array, dtype: Any, levels: int | None) -> Rows:
    """Rows of an array whose shape can be trained on."""
    if array.ndim < 2 or 0 in array.shape:
        raise InputError(f"{path} has shape {array.shape}; it must be (N, *event), and not empty.")
    channels = array.shape[-1]
    first = (1, 3, 4) if channels == 4 else (1, 3)
    if array.ndim == 4 and channels in (1, 3, 4) and array.shape[1] not in first:
        if not (found.is_archive and channels in (1, 3) and array.dtype == np.uint8):
            cure = "array[..., :3]" if channels == 4 else "array"
            raise InputError(
                f"{path} has shape {array.shape}, channels last; save {cure}.transpose(0, 3, 1, 2)."
            )
        array = array.transpose(0, 3, 1, 2)
    return Rows(array, dtype, channel=array.ndim == 3 and dtype == np.uint8 and levels is not None)


def _labels(
    path: str, labels: str | None, found: Opened, count: int
) -> tuple[tuple[str, ...] | None, Tensor | None]:
    """Names of the classes and the number of each row's; None without labels."""
    if labels is None:
        return (None, None) if found.labels is None else classes_of(path, found.labels, count)
    labels = place_of(labels)
    return classes_of(labels, opened(labels).values, count)


def _first_odd(rows: Rows) -> str | None:
    """Where the first value lies that is no finite number."""
    if not rows.dtype.is_floating_point:
        return None
    size = max(1, (1 << 22) // max(1, int(np.prod(rows.shape[1:]))))
    for first in range(0, len(rows), size):
        part = rows[torch.arange(first, min(first + size, len(rows)))].float()
        odd = torch.nonzero(~torch.isfinite(part))
        if len(odd):
            row, *place = odd[0].tolist()
            value = "NaN" if bool(part[tuple(odd[0].tolist())].isnan()) else "an infinite number"
            return f"{value} at [{', '.join(map(str, (first + row, *place)))}]"
    return None


def _told(data: TensorDataset, array: Array, parts: dict[str, int]) -> str:
    """What was decided of an array, in a line."""
    info = data.info
    shape = " x ".join(map(str, info.shape))
    kind = f"{info.levels} levels" if info.levels else f"{array.dtype.newbyteorder('=')}"
    held = f"; {parts['test']:,} more are held out" if parts["test"] else ""
    head = f"{parts['train']:,} examples {shape} of {kind}"
    if info.class_names is None or info.class_counts is None:
        return f"{head} without classes{held}"
    pairs = list(zip(info.class_names, info.class_counts, strict=True))
    return f"{head}, {counted(pairs, 190 - len(head) - len(held))}{held}"
