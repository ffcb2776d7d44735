"""Data as a user has it: tensors, arrays, torch's data sets and loaders, tables, a path."""

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, cast, final

import numpy as np
import torch
from torch import Tensor

from unnoise.catalogue.registry import build
from unnoise.core.errors import InputError, short, within
from unnoise.data.base import Dataset
from unnoise.data.numbers import class_numbers, plain
from unnoise.data.pictures.decode import pixels_of
from unnoise.data.places import data_table
from unnoise.data.stored import StoredDataset, TensorDataset, describe

_MOST_BYTES = 4 << 30
_EVENTS = ("image", "img", "images", "pixel_values", "x", "input", "inputs", "data", "audio")
_LABELS = ("label", "labels", "y", "target", "class", "fine_label")
_ACCEPTED = (
    "a tensor, a numpy array, a pair (x, label), a torch Dataset or DataLoader, batches, a path, "
    "or data of unnoise"
)
_FEW = "a tensor, an array, a pair (x, label) or a torch Dataset"


def as_dataset(data: Any, name: str = "data") -> Dataset:
    """Data of any common kind as a data set of ours.

    uint8 has 256 levels; other numbers are continuous and standardised.

    Arguments:
        data: one of ours, as it is; a tensor or numpy array, shape (N, *event); a pair of them,
            values and class numbers; a ``torch.utils.data.TensorDataset``; a map-style data set
            (items are values, pairs or tables with "image" and "label"; read once for moments and
            hash, then by number); an iterable of batches or a ``DataLoader`` (read once to its end
            into memory); a path or name as ``unnoise train --data`` takes it.
        name: what it is called.

    Raises:
        InputError: it is none of these, empty, or its items do not fit together.
    """
    if isinstance(data, Dataset):
        return data
    if isinstance(data, str | Path):
        return build("dataset", data_table(str(data)), "data")
    if data is None or isinstance(data, Mapping | bytes | bytearray | type):
        raise InputError(f"data = {short(data, 40)}: give {_ACCEPTED}.")
    try:
        return _taken(data, name)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # what others wrote raises whatever it likes
        kind, reason = type(data).__name__, _reason(error)
        raise InputError(f"data: a {kind} that cannot be read ({reason}); give {_FEW}.") from error


def _reason(error: Exception) -> str:
    return within(" ".join(f"{type(error).__name__}: {error}".split()), 80)


def _taken(data: Any, name: str) -> Dataset:
    """``as_dataset`` of what is no data set of ours and no path."""
    if isinstance(data, Tensor | np.ndarray):
        return TensorDataset(name, _events(data, name))
    whole = getattr(data, "tensors", None)  # of torch's TensorDataset
    given: Any = whole if isinstance(whole, tuple) else data
    if _is_pair(given):
        return TensorDataset(name, _events(given[0], name), given[1])
    if isinstance(whole, tuple) and len(cast(tuple[Any, ...], whole)) == 1:
        return TensorDataset(name, _events(given[0], name))
    if isinstance(given, tuple) and all(map(_is_pair, cast(tuple[Any, ...], given))):
        raise InputError(
            "data: several pairs (x, label), such as train and test; give one of them."
        )
    if isinstance(data, torch.utils.data.DataLoader):
        return _from_batches(data, name)
    if hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        if _holds_batches(data):
            return _from_batches(data, name)
        return MapDataset(data, name)
    if isinstance(data, Iterable):
        return _from_batches(cast(Iterable[Any], data), name)
    raise InputError(f"data = {short(data, 40)}: give {_ACCEPTED}.")


def _is_pair(data: Any) -> bool:
    """Whether it is (values, labels): two arrays of one length."""
    if not isinstance(data, tuple | list) or len(cast(Sequence[Any], data)) != 2:
        return False
    x, label = cast(Sequence[Any], data)
    many = isinstance(x, Tensor | np.ndarray) and x.ndim > 0
    return many and hasattr(label, "__len__") and len(label) == len(x) and np.ndim(label) == 1


def _holds_batches(data: Any) -> bool:
    """Whether a list holds batches: pairs of arrays, each with an axis of examples."""
    first: Any = cast(Sequence[Any], data)[0] if isinstance(data, list | tuple) and data else None
    return _is_pair(first) and first[0].ndim > 1


def _events(values: Any, name: str) -> Tensor:
    """Values as a tensor; of pictures of bytes (N, H, W) and (N, H, W, C) with channels first."""
    found = plain(values, name)
    if found.dtype != torch.uint8:
        return found
    if found.ndim == 4 and found.shape[3] in (1, 3) and found.shape[1] not in (1, 3):
        return found.movedim(3, 1).contiguous()
    return found[:, None] if found.ndim == 3 else found


def parts_of(item: Any) -> tuple[Any, Any]:
    """Values and label (or None) of an example or batch: values alone, a pair, or a table.

    Raises:
        InputError: it is none of these.
    """
    if isinstance(item, Mapping):
        table = cast(Mapping[Any, Any], item)
        found = next((table[key] for key in _EVENTS if key in table), None)
        label = next((table[key] for key in _LABELS if key in table), None)
        if found is None:
            known = ", ".join(map(str, table))
            raise InputError(
                f"data: an item has {short(known, 60)}; call its values {_EVENTS[0]!r}."
            )
        return found, label
    if isinstance(item, tuple | list) and not _is_numbers(item):
        values = cast(Sequence[Any], item)
        if not 1 <= len(values) <= 2:
            raise InputError(f"data: an item of {len(values)} parts; give x or (x, label).")
        return values[0], values[1] if len(values) > 1 else None
    return item, None


def _is_numbers(item: Any) -> bool:
    """Whether an item is an event as plain numbers: a list of them, however deep, or a tuple."""
    values = cast(Sequence[Any], item)
    if not values or all(isinstance(value, Real) for value in values):
        return len(values) > 0
    return isinstance(item, list) and all(isinstance(v, list) and _is_numbers(v) for v in values)


def _one(value: Any, number: int) -> Tensor:
    """The values of one example: a tensor, an array, numbers, or a Pillow image."""
    if hasattr(value, "convert") and hasattr(value, "mode"):
        grey = value.mode in ("1", "L") or value.mode.startswith("I;16")
        value = pixels_of(value, 1 if grey else 3, f"data: item {number}")
    try:
        found = plain(value if isinstance(value, Tensor) else np.asarray(value), f"item {number}")
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"data: item {number} is a {type(value).__name__}; give numbers."
        ) from error
    if found.ndim == 0:
        return found.reshape(1)
    # By the rule of whole arrays, of which this is one row.
    return _events(found[None], "data")[0]


@final
class Items:
    """Rows of a map-style data set of others, read by number each time.

    Arguments:
        source: gives example i by ``source[i]``.
        first: the values of example 0; all others must be like it.
    """

    def __init__(self, source: Any, first: Tensor) -> None:
        self.source = source
        self.shape = (len(source), *first.shape)
        self.dtype = first.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, number: int) -> tuple[Tensor, Any]:
        """Values and label of one example."""
        try:
            item = self.source[number]
        except Exception as error:  # what others wrote raises whatever it likes
            raise InputError(f"data: item {number} cannot be read: {_reason(error)}.") from error
        value, label = parts_of(item)
        found = _one(value, number)
        if found.shape != self.shape[1:]:
            raise InputError(
                f"data: item {number} has shape {tuple(found.shape)}, item 0 {self.shape[1:]}; "
                "make all alike."
            )
        if found.dtype != self.dtype and not (
            found.is_floating_point() and self.dtype.is_floating_point
        ):
            raise InputError(
                f"data: item {number} holds {str(found.dtype)[6:]}, item 0 {str(self.dtype)[6:]}; "
                "make all alike."
            )
        return found.to(self.dtype), label

    def __getitem__(self, index: Tensor, /) -> Tensor:
        return torch.stack([self.read(int(i))[0] for i in index])


@final
class MapDataset(StoredDataset):
    """Map-style data set of others (``torch.utils.data.Dataset``, Hugging Face, a list).

    Its items are read once for labels, moments and hash (above 4 GiB by number for the moments,
    too), and then by number as they are asked for.

    Arguments:
        source: has ``len(source)`` and ``source[i]``, see ``as_dataset``.
        name: of the data set.

    Raises:
        InputError: empty, items that differ in shape, labels that are no class numbers.
    """

    def __init__(self, source: Any, name: str = "data") -> None:
        if len(source) == 0:
            raise InputError(f"data {short(name)} is empty; it cannot be trained on.")
        rows = Items(source, _one(parts_of(source[0])[0], 0))
        limit = _MOST_BYTES // (rows.dtype.itemsize * max(1, int(np.prod(rows.shape[1:]))))
        values: list[Tensor] = []
        given: list[Any] = []
        for number in range(len(rows)):
            value, label = rows.read(number)
            given.append(label)
            if number < limit:
                values.append(value)
        labels = _labels(given, name)
        # What does not fit into memory is read by number for its moments, too.
        seen = torch.stack(values) if len(values) == len(rows) else rows
        names = _names(source)
        named = names if labels is not None and names and int(labels.max()) < len(names) else None
        info = describe(
            name,
            seen,
            labels,
            256 if rows.dtype == torch.uint8 else None,
            class_names=named,
            standardize=True,
        )
        super().__init__(info, rows, labels)


def _labels(given: Sequence[Any], name: str) -> Tensor | None:
    """Class numbers, shape (N,), of labels as items have them; None where none has one."""
    missing = sum(label is None for label in given)
    if missing == len(given):
        return None
    if missing:
        raise InputError(f"data {short(name)}: {missing} of {len(given)} items have no label.")
    plainly = [each.tolist() if hasattr(each, "tolist") else each for each in given]
    try:
        return class_numbers(np.array(plainly), name)
    except (ValueError, InputError) as error:
        raise InputError(
            f"data {short(name)}: labels such as {short(plainly[0], 30)}; give one whole number "
            "from 0 for each example."
        ) from error


def _names(source: Any) -> tuple[str, ...] | None:
    """Names of the classes, where the data set says them as torchvision's or Hugging Face's do."""
    named = getattr(source, "classes", None)
    features = getattr(source, "features", None)
    if named is None and isinstance(features, Mapping):
        kinds = cast(Mapping[str, Any], features)
        kind = next((kinds[key] for key in _LABELS if key in kinds), None)
        named = getattr(kind, "names", None)
    if not isinstance(named, list | tuple) or not named:
        return None
    return tuple(map(str, cast(Sequence[Any], named)))


def _from_batches(batches: Iterable[Any], name: str) -> TensorDataset:
    """Batches (or a DataLoader's) read to their end into memory."""
    values: list[Tensor] = []
    labels: list[Tensor] = []
    size = 0
    for number, batch in enumerate(batches):
        value, label = parts_of(batch)
        if not isinstance(value, Tensor | np.ndarray) or value.ndim < 2:
            raise InputError(
                f"data: batch {number} is {short(value, 40)}; give batches of shape (B, *event)."
            )
        values.append(_events(value, name))
        size += values[-1].nbytes
        if size > _MOST_BYTES:
            raise InputError(
                f"data {short(name)} needs more than {_MOST_BYTES >> 30} GiB of memory; give a "
                "map-style Dataset, which is read by number, or unnoise prepare it."
            )
        if label is not None:
            labels.append(class_numbers(label, name))
    if not values:
        raise InputError(f"data {short(name)} is empty; it cannot be trained on.")
    if len({(value.shape[1:], value.dtype) for value in values}) > 1:
        raise InputError(f"data {short(name)}: batches differ in the shape or type of events.")
    if labels and sum(map(len, labels)) != sum(map(len, values)):
        raise InputError(f"data {short(name)}: some batches have labels and some have none.")
    return TensorDataset(name, torch.cat(values), torch.cat(labels) if labels else None)
