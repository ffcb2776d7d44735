"""Where x and its condition come from, and what is known about them."""

import hashlib
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from unnoise.core.condition import Condition
from unnoise.core.errors import InputError
from unnoise.core.moments import Moments
from unnoise.core.noise import Noise
from unnoise.data.clouds import Clouds


@dataclass(frozen=True)
class DataInfo:
    """What a model needs to know of the data it was trained on; part of every model file.

    Discrete data has levels k = 0 ... levels - 1 and is modelled as
    ``offset + scale (k + u)``, u in [0, 1) (1/2 is the middle of a level); continuous data as
    ``offset + scale stored``.

    Arguments:
        name: of the data set.
        shape: event shape (C, H, W), (C, L) or (D,).
        classes: number of labels, None for none.
        levels: number of levels of a stored value, None for continuous data.
        offset, scale: the affine map above.
        mean: of the modelled values, shape ``shape``.
        variance: of the modelled values around their mean, averaged over the event.
        covariance: of the flattened modelled values, shape (D, D), where D <= 1024.
        count: number of training examples.
        sha256: of the stored values and labels.
        licence: of the data, with its source.
    """

    name: str
    shape: tuple[int, ...]
    classes: int | None
    levels: int | None
    offset: float
    scale: float
    mean: Tensor
    variance: float
    covariance: Tensor | None
    count: int
    sha256: str
    licence: str

    @property
    def channels(self) -> int:
        return self.shape[0]

    def to_model(self, stored: Tensor, u: Tensor | float = 0.5) -> Tensor:
        """Modelled values (B, *shape), float32, of stored ones; ``u`` is the place in a level."""
        values = stored.float() + u if self.levels is not None else stored.float()
        return self.offset + self.scale * values

    def to_stored(self, x: Tensor) -> Tensor:
        """Stored values of modelled ones: the level that ``x`` lies in (int64), or a float."""
        values = (x - self.offset) / self.scale
        if self.levels is None:
            return values
        # float32 keeps x to a few parts in 2^23 of the range: a value made from the lower end of a
        # level must not fall into the level below.
        slack = 4 * torch.finfo(torch.float32).eps * self.levels
        return (values + slack).floor().clamp(0, self.levels - 1).long()

    def to_bytes(self, x: Tensor) -> Tensor:
        """Modelled images as uint8, shape (B, *shape): levels stretched over 0 ... 255."""
        if self.levels is None:
            raise InputError(f"data {self.name!r} has no levels; it cannot be shown as a picture.")
        return (self.to_stored(x).float() * (255 / (self.levels - 1))).round().to(torch.uint8)

    def moments(self) -> Moments:
        """Mean, variance and, where it is known, covariance of the modelled data."""
        return Moments(self.mean, self.variance, self.covariance)


@dataclass(frozen=True)
class Batch:
    """Examples as the model sees them.

    Arguments:
        x: modelled values, shape (B, *event), float32.
        cond: their conditions, or None.
    """

    x: Tensor
    cond: Condition | None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def label(self) -> Tensor | None:
        return None if self.cond is None else self.cond.label


class Dataset(ABC):
    """Examples by number, so that any order can be asked for and none has to be remembered."""

    family: ClassVar[str] = "dataset"
    info: DataInfo
    law: Clouds | None = None  # of the modelled values, where it is known

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def batch(self, index: Tensor, noise: Noise | None = None) -> Batch:
        """Some examples.

        Arguments:
            index: numbers of examples, shape (B,), int64, from 0.
            noise: one stream for each, for what is random in an example (dequantisation);
                None gives each example as it is.
        """

    @final
    def __getitem__(self, index: int | slice) -> Batch:
        chosen = range(len(self))[index]
        rows = [chosen] if isinstance(chosen, int) else list(chosen)
        return self.batch(torch.tensor(rows, dtype=torch.int64))


@final
class TensorDataset(Dataset):
    """A data set that fits into memory.

    Arguments:
        name: of the data set.
        stored: stored values, shape (N, *event); integers 0 ... levels - 1 for discrete data.
        labels: classes 0, 1 ..., shape (N,), or None.
        levels: number of levels, None for continuous data.
        low, high: ends of the modelled range of discrete data.
        dequantize: draw u anew for every example that is asked for with noise.
        licence: of the data, with its source.
        law: of the modelled values, where it is known.

    Raises:
        InputError: empty, NaN, levels or labels out of range.
    """

    def __init__(
        self,
        name: str,
        stored: Tensor,
        labels: Tensor | None = None,
        *,
        levels: int | None = None,
        low: float = -1.0,
        high: float = 1.0,
        dequantize: bool = True,
        licence: str = "unknown",
        law: Clouds | None = None,
    ) -> None:
        if len(stored) == 0 or not bool(torch.isfinite(stored.float()).all()):
            raise InputError(f"data {name!r} is empty or holds NaN; it cannot be trained on.")
        if levels is not None and not 0 <= int(stored.min()) <= int(stored.max()) < levels:
            raise InputError(
                f"data {name!r} holds values {int(stored.min())} to {int(stored.max())}; with "
                f"levels = {levels} accepted are 0 to {levels - 1}."
            )
        self.stored = stored
        self.labels = None if labels is None else labels.long()
        if self.labels is not None and (
            len(self.labels) != len(stored) or int(self.labels.min()) < 0
        ):
            raise InputError(
                f"data {name!r} needs one label from 0 for each of {len(stored)} examples."
            )
        self.dequantize = dequantize and levels is not None
        self.law = law
        self.info = _describe(name, stored, self.labels, levels, low, high, licence)

    def __len__(self) -> int:
        return len(self.stored)

    def batch(self, index: Tensor, noise: Noise | None = None) -> Batch:
        stored = self.stored[index]
        u: Tensor | float = 0.5
        if self.dequantize and noise is not None:
            u = noise.child("dequantize").uniform(stored.float())
        cond = None if self.labels is None else Condition(label=self.labels[index])
        return Batch(self.info.to_model(stored, u), cond)


def _describe(
    name: str,
    stored: Tensor,
    labels: Tensor | None,
    levels: int | None,
    low: float,
    high: float,
    licence: str,
) -> DataInfo:
    """Moments, hash and the affine map of a data set in memory."""
    offset, scale = (low, (high - low) / levels) if levels is not None else (0.0, 1.0)
    middle = 0.0 if levels is None else 0.5
    flat = offset + scale * (stored.double().flatten(1) + middle)
    mean = flat.mean(0)
    # Uniform noise within a level adds a twelfth of its width squared.
    within = 0.0 if levels is None else scale**2 / 12
    size = flat.shape[1]
    covariance = None
    if size <= 1024:
        covariance = (flat - mean).T @ (flat - mean) / len(flat) + within * torch.eye(size).double()
    digest = hashlib.sha256(repr((tuple(stored.shape), str(stored.dtype))).encode())
    digest.update(stored.contiguous().numpy().tobytes())
    if labels is not None:
        digest.update(labels.contiguous().numpy().tobytes())
    return DataInfo(
        name=name,
        shape=tuple(stored.shape[1:]),
        classes=None if labels is None else int(labels.max()) + 1,
        levels=levels,
        offset=offset,
        scale=scale,
        mean=mean.reshape(stored.shape[1:]).float(),
        variance=float((flat - mean).square().mean()) + within,
        covariance=None if covariance is None else covariance.float(),
        count=len(stored),
        sha256=digest.hexdigest(),
        licence=licence,
    )


def info_fields(info: DataInfo) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A DataInfo as plain values for a header, and tensors for a payload."""
    values = {k: v for k, v in vars(info).items() if not isinstance(v, Tensor) and v is not None}
    tensors = {k: v for k, v in vars(info).items() if isinstance(v, Tensor)}
    return values, tensors


def info_from(values: dict[str, Any], tensors: dict[str, Tensor]) -> DataInfo:
    """The inverse of ``info_fields``.

    Raises:
        InputError: a field is missing, unknown or of the wrong type.
    """
    fields: dict[str, Any] = {"classes": None, "levels": None, "covariance": None}
    fields.update(values)
    fields.update(tensors)
    try:
        fields["shape"] = tuple(values["shape"])
        info = DataInfo(**fields)
        sound = math.isfinite(info.offset + info.scale + info.variance)
        sound = sound and tuple(info.mean.shape) == info.shape
    except (TypeError, KeyError) as error:
        raise InputError(f"the description of the data is incomplete: {error}.") from error
    if not sound:
        raise InputError("the description of the data does not fit together.")
    return info
