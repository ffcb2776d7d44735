"""Data sets of stored values: tensors in memory, or memory-mapped arrays on disk."""

import hashlib
import math
from abc import ABC
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unnoise.core.condition import Condition
from unnoise.core.errors import InputError, within
from unnoise.core.noise import Noise
from unnoise.data.base import Batch, DataInfo, Dataset, letters_fit
from unnoise.data.clouds import Clouds
from unnoise.data.names import Refusal, writable
from unnoise.data.numbers import class_numbers, plain
from unnoise.spaces import Affine, Display
from unnoise.spaces.space import affine

_AT_ONCE = 8 << 20  # values in float64 when moments are taken
_MOST_COVARIANCE = 1024
_MOST_COUNTED = 1_000_000


class Rows(Protocol):
    """Protocol of stored rows that are read by index; a tensor is one."""

    @property
    def shape(self) -> Sequence[int]: ...

    @property
    def dtype(self) -> torch.dtype: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: Tensor, /) -> Tensor: ...


def mapped(path: str | Path) -> np.ndarray[Any, Any]:
    """Open a .npy file as a memory-mapped array.

    Raises:
        InputError: no such file, or no array.
    """
    try:
        return np.lib.format.open_memmap(path, "r")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}.") from error
    except Exception as error:  # its header goes through Python's own parser, which raises anything
        reason = within(" ".join(str(error).split()), 80)
        raise InputError(f"{path} is no .npy file that can be read: {reason}") from error


@final
class Arrays:
    """Concatenation of several arrays along rows, such as memory-mapped files.

    Arguments:
        parts: arrays of shape (n_i, *event), all of one event shape and type.
    """

    def __init__(self, parts: Sequence[np.ndarray[Any, Any]]) -> None:
        self.parts = list(parts)
        self.ends = np.cumsum([len(part) for part in self.parts])
        self.shape = (int(self.ends[-1]), *self.parts[0].shape[1:])
        self.dtype = torch.from_numpy(np.empty(0, self.parts[0].dtype)).dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Tensor, /) -> Tensor:
        asked = index.numpy()
        found = np.empty((len(asked), *self.shape[1:]), self.parts[0].dtype)
        which = np.searchsorted(self.ends, asked, side="right")
        for number in np.unique(which):
            here = which == number
            first = self.ends[number] - len(self.parts[number])
            found[here] = self.parts[number][asked[here] - first]
        return torch.from_numpy(found)


@final
class Chosen:
    """Subset of rows, by index.

    Arguments:
        rows: all of them.
        index: numbers of those that are meant, shape (N,), int64.
    """

    def __init__(self, rows: Rows, index: Tensor) -> None:
        self.rows, self.index = rows, index
        self.shape = (len(index), *rows.shape[1:])
        self.dtype = rows.dtype

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: Tensor, /) -> Tensor:
        return self.rows[self.index[index]]


class StoredDataset(Dataset, ABC):
    """Base class of data sets whose stored values lie in rows, with dequantisation.

    Arguments:
        info: what is known of it.
        stored: stored values, shape (N, *event).
        labels: classes 0, 1 ..., shape (N,), or None.
        dequantize: draw u anew for every example that is asked for with noise.
        law: of the modelled values, where it is known.
        texts: a caption for each example ("" for none), or None.
        refused: files that were left out, and why.
    """

    def __init__(
        self,
        info: DataInfo,
        stored: Rows,
        labels: Tensor | None,
        *,
        dequantize: bool = True,
        law: Clouds | None = None,
        texts: Sequence[str] | None = None,
        refused: Sequence[Refusal] = (),
    ) -> None:
        self.info, self.stored, self.labels, self.law = info, stored, labels, law
        self.dequantize = dequantize and info.levels is not None
        self.texts = None if texts is None else tuple(texts)
        self.refused = tuple(refused)

    def __len__(self) -> int:
        return len(self.stored)

    def batch(self, index: Tensor, noise: Noise | None = None) -> Batch:
        stored = self.stored[index]
        u: Tensor | float = 0.5
        if self.dequantize and noise is not None:
            u = noise.child("dequantize").uniform(stored.float())
        cond = None if self.labels is None else Condition(label=self.labels[index])
        return Batch(self.info.to_model(stored, u), cond)


@final
class TensorDataset(StoredDataset):
    """Data set of a tensor (or rows) of your own, discrete or continuous, with dequantisation.

    Arguments:
        name: of the data set.
        stored: stored values, shape (N, *event); integers 0 ... levels - 1 for discrete data.
        labels: classes 0, 1 ..., shape (N,), or None.
        levels: number of levels, None for continuous data.
        low, high: ends of the modelled range of discrete data.
        dequantize: draw u anew for every example that is asked for with noise.
        licence: of the data, with its source.
        law: of the modelled values, where it is known.
        class_names: what the labels are called.
        texts: a caption for each example ("" for none), or None.
        refused: files that were left out, and why.
        display: how an event is shown; None where its shape decides.
        standardize: model continuous data with mean 0 and standard deviation 1 of each channel
            (place along the first axis of an event); never where the law is known.

    Raises:
        InputError: empty, NaN, levels or labels out of range, or a display of other shapes.
    """

    def __init__(
        self,
        name: str,
        stored: Rows | NDArray[Any],
        labels: Tensor | NDArray[Any] | Sequence[int] | None = None,
        *,
        levels: int | None = None,
        low: float = -1.0,
        high: float = 1.0,
        dequantize: bool = True,
        licence: str = "unknown",
        law: Clouds | None = None,
        class_names: tuple[str, ...] | None = None,
        texts: Sequence[str] | None = None,
        refused: Sequence[Refusal] = (),
        display: Display | None = None,
        standardize: bool = True,
    ) -> None:
        rows = stored if not isinstance(stored, np.ndarray | Tensor) else plain(stored, name)
        if isinstance(rows, Tensor) and rows.dtype == torch.bool:
            rows, levels = rows.to(torch.uint8), levels or 2
        if rows.dtype == torch.uint8 and levels is None:
            levels = 256
        numbers = None if labels is None else class_numbers(labels, name)
        known = describe(
            name,
            rows,
            numbers,
            levels,
            (low, high),
            licence=licence,
            class_names=class_names,
            standardize=standardize and law is None,
        )
        info = replace(known, display=display)
        super().__init__(
            info, rows, numbers, dequantize=dequantize, law=law, texts=texts, refused=refused
        )


def describe(
    name: str,
    stored: Rows,
    labels: Tensor | None,
    levels: int | None,
    ends: tuple[float, float] = (-1.0, 1.0),
    *,
    licence: str = "unknown",
    class_names: tuple[str, ...] | None = None,
    standardize: bool = False,
) -> DataInfo:
    """Compute the DataInfo of stored values: moments, hash and affine map.

    Arguments:
        name, stored, labels, levels, licence, class_names, standardize: as in ``TensorDataset``.
        ends: of the modelled range of discrete data.

    Raises:
        InputError: empty, NaN, levels or labels out of range.
    """
    name = writable(name)
    if len(stored) == 0:
        raise InputError(f"data {name!r} is empty; it cannot be trained on.")
    if len(stored.shape) < 2:
        raise InputError(
            f"data {name!r} has shape {tuple(stored.shape)}; give (N, *event): numbers alone have "
            "shape (N, 1)."
        )
    if levels is not None and levels < 2:
        raise InputError(f"data {name!r}: levels = {levels}; discrete data has at least 2.")
    count, shape = len(stored), tuple(stored.shape[1:])
    classes, class_counts = _classes(name, labels, count, class_names)
    offset, scale = (ends[0], (ends[1] - ends[0]) / levels) if levels is not None else (0.0, 1.0)
    if standardize and levels is None:
        offset, scale = _standard(name, stored)
    # Uniform noise within a level adds a twelfth of its width squared.
    within = scale**2 / 12 if isinstance(scale, float) and levels is not None else 0.0
    digest = hashlib.sha256(repr((tuple(stored.shape), str(stored.dtype))).encode())
    mean, square, covariance = _moments(name, stored, levels, (offset, scale), digest.update)
    if labels is not None:
        digest.update(labels.contiguous().numpy().tobytes())
    size = len(mean)
    if covariance is not None:
        covariance = (covariance + within * torch.eye(size).double()).float()
    return DataInfo(
        name=name,
        shape=shape,
        classes=classes,
        levels=levels,
        offset=offset,
        scale=scale,
        mean=mean.reshape(shape).float(),
        variance=float(square / (count * size)) + within,
        covariance=covariance,
        count=count,
        sha256=digest.hexdigest(),
        licence=licence,
        class_names=class_names,
        class_counts=class_counts,
    )


def _moments(
    name: str,
    stored: Rows,
    levels: int | None,
    by: tuple[Affine, Affine],
    see: Callable[[bytes], None],
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Mean (D,), sum of squared distances from it, and covariance (D, D) of modelled values.

    Arguments:
        by: offset and scale.
        see: called with the bytes of all stored values.
    """
    middle, count = 0.0 if levels is None else 0.5, len(stored)

    def modelled(part: Tensor) -> Tensor:
        return affine(part.double() + middle, *by).flatten(1)

    total: Tensor | float = 0.0
    for part in _parts(stored):
        _check_values(name, part, levels)
        see(part.contiguous().numpy().tobytes())
        total = total + modelled(part).sum(0)
    mean = torch.as_tensor(total) / count
    few = len(mean) <= _MOST_COVARIANCE
    square: Tensor | float = 0.0
    product: Tensor | float = 0.0
    for part in _parts(stored):
        away = modelled(part) - mean
        square = square + away.square().sum()
        if few:
            product = product + away.T @ away
    covariance = torch.as_tensor(product) / count if few else None
    if covariance is not None and not bool(torch.isfinite(covariance.float()).all()):
        raise InputError(
            f"data {name!r} has values whose squares are too large; divide all by a number."
        )
    return mean, torch.as_tensor(square), covariance


def _standard(name: str, stored: Rows) -> tuple[Affine, Affine]:
    """Offset and scale that give each channel mean 0 and standard deviation 1.

    A channel that never changes keeps its scale.
    """
    total: Tensor | float = 0.0
    for part in _parts(stored):
        _check_values(name, part, None)
        total = total + _by_channel(part).sum(0)
    count = len(stored) * math.prod(stored.shape[2:])
    mean = torch.as_tensor(total) / count
    square: Tensor | float = 0.0
    for part in _parts(stored):
        square = square + (_by_channel(part) - mean).square().sum(0)
    std = (torch.as_tensor(square) / count).sqrt()
    # What is left of a constant is rounding.
    constant = std <= 1e-12 * mean.abs()
    scale = torch.where(constant, 1.0, 1 / std)
    return tuple((-mean * scale).tolist()), tuple(scale.tolist())


def _by_channel(part: Tensor) -> Tensor:
    """Values of all places of a channel, shape (n, C), float64."""
    return (
        part.double().flatten(2).movedim(1, -1).flatten(0, -2) if part.ndim > 2 else part.double()
    )


def _classes(
    name: str, labels: Tensor | None, count: int, names: Sequence[str] | None
) -> tuple[int | None, tuple[int, ...] | None]:
    """Number of classes and, where they are not too many, the examples of each."""
    if labels is not None and (len(labels) != count or int(labels.min()) < 0):
        raise InputError(f"data {name!r} needs one label from 0 for each of {count} examples.")
    if labels is not None and names and int(labels.max()) >= len(names):
        raise InputError(
            f"data {name!r} has label {int(labels.max())}, but only {len(names)} class_names."
        )
    check_letters(name, names)
    if labels is None:
        return None, None
    classes = len(names or ()) or int(labels.max()) + 1
    few = classes <= _MOST_COUNTED
    return classes, tuple(torch.bincount(labels, minlength=classes).tolist()) if few else None


def check_letters(name: str, class_names: Sequence[str] | None) -> None:
    """Check that class names fit into a model file."""
    if not letters_fit(class_names or ()):
        raise InputError(
            f"data {name!r} has classes whose names are too long for a model file; give numbers as "
            "labels, or set labels = false."
        )


def _parts(stored: Rows) -> Iterator[Tensor]:
    """All rows, some at a time."""
    size = 1
    for length in stored.shape[1:]:
        size *= length
    most = max(1, _AT_ONCE // max(1, size))
    for first in range(0, len(stored), most):
        yield stored[torch.arange(first, min(first + most, len(stored)))]


def _check_values(name: str, part: Tensor, levels: int | None) -> None:
    if not bool(torch.isfinite(part.float()).all()):
        raise InputError(f"data {name!r} holds NaN or infinite values; it cannot be trained on.")
    if levels is not None and part.is_floating_point() and bool((part != part.floor()).any()):
        raise InputError(
            f"data {name!r} holds fractions; with levels = {levels} accepted are whole numbers 0 "
            f"to {levels - 1}. Leave levels out for continuous data."
        )
    if levels is not None and not 0 <= int(part.min()) <= int(part.max()) < levels:
        raise InputError(
            f"data {name!r} holds values {int(part.min())} to {int(part.max())}; with "
            f"levels = {levels} accepted are 0 to {levels - 1}."
        )
