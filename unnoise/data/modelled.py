"""Data in the modelled values of another space: what a trained model is asked about."""

from dataclasses import replace
from typing import final

import torch
from torch import Tensor

from unnoise.core.noise import Noise
from unnoise.data.base import Batch, DataInfo, Dataset
from unnoise.data.stored import StoredDataset
from unnoise.spaces.space import along_channels


@final
class Remodelled(Dataset):
    """Continuous data whose stored values are modelled by the affine map of other data.

    Arguments:
        data: any data set of continuous values.
        like: whose offset and scale to use.
    """

    def __init__(self, data: Dataset, like: DataInfo) -> None:
        self.data, self.refused = data, data.refused
        self.stretches, self.together = data.stretches, data.together
        self._ratio, self._shift = _map(data.info, like)
        self.info = _moved(data.info, like)

    def __len__(self) -> int:
        return len(self.data)

    def batch(self, index: Tensor, noise: Noise | None = None) -> Batch:
        found = self.data.batch(index, noise)
        return Batch((self._shift + self._ratio * found.x.double()).float(), found.cond)


@final
class Relabelled(Dataset):
    """Data whose classes have the numbers that classes of the same names have in other data.

    Arguments:
        data: any data set with named classes.
        like: whose numbers to use; where it lacks one of the classes, there are no labels.
    """

    def __init__(self, data: Dataset, like: DataInfo) -> None:
        self.data, self.refused, self.law = data, data.refused, data.law
        self.stretches, self.together = data.stretches, data.together
        names, known = data.info.class_names or (), like.class_names or ()
        self._number = None
        self.info = replace(data.info, classes=None, class_names=None, class_counts=None)
        if set(names) <= set(known):
            self._number = torch.tensor([known.index(name) for name in names])
            found = dict(zip(names, data.info.class_counts or (), strict=False))
            counts = tuple(found.get(name, 0) for name in known) if found else None
            self.info = replace(
                data.info, classes=like.classes, class_names=known, class_counts=counts
            )

    def __len__(self) -> int:
        return len(self.data)

    def batch(self, index: Tensor, noise: Noise | None = None) -> Batch:
        found = self.data.batch(index, noise)
        if found.cond is None or found.label is None:
            return found
        label = None if self._number is None else self._number[found.label]
        cond = replace(found.cond, label=label)
        return Batch(found.x, cond if cond.slots else None)


def as_modelled(data: Dataset, like: DataInfo | None) -> Dataset:
    """Data as a model takes it that was trained on other data: equal stored values are equal
    modelled values, and classes of one name have one number.

    Arguments:
        data: any data set.
        like: of the data that the model was trained on; None where it was not.
    """
    if like is None:
        return data
    found, names = in_map(data, like), data.info.class_names
    named = names is not None and like.class_names is not None
    return Relabelled(found, like) if named and names != like.class_names else found


def in_map(data: Dataset, like: DataInfo | None) -> Dataset:
    """The data in the affine map of ``like``; with levels there is one map, and it stays."""
    info = data.info
    if like is None or info.levels is not None or like.levels is not None:
        return data
    same = (info.offset, info.scale) == (like.offset, like.scale)
    if same or info.shape != like.shape:
        return data
    if isinstance(data, StoredDataset):  # its stored values are at hand
        # Not copy.copy: what has a recipe would be read anew.
        found = object.__new__(type(data))
        vars(found).update(vars(data))
        found.info = _moved(info, like)
        return found
    return Remodelled(data, like)


def _map(info: DataInfo, like: DataInfo) -> tuple[Tensor, Tensor]:
    """Ratio and shift, (1, *event), from modelled values of ``info`` to those of ``like``."""
    one = torch.ones(1, *info.shape, dtype=torch.float64)
    ratio = one * along_channels(like.scale, one) / along_channels(info.scale, one)
    return ratio, along_channels(like.offset, one) - ratio * along_channels(info.offset, one)


def _moved(info: DataInfo, like: DataInfo) -> DataInfo:
    """The description of data in the modelled values of ``like``."""
    if info.sha256 == like.sha256:  # the very same data
        moments = {k: getattr(like, k) for k in ("mean", "variance", "covariance")}
        return replace(info, offset=like.offset, scale=like.scale, **moments)
    ratio, shift = _map(info, like)
    flat, covariance = ratio.flatten(), info.covariance
    if covariance is not None:
        covariance = (flat[:, None] * covariance.double() * flat).float()
        variance = float(covariance.diagonal().double().mean())
    else:  # the channels' own variances are not known: that of all, by the mean ratio
        variance = float(info.variance * flat.square().mean())
    return replace(
        info,
        offset=like.offset,
        scale=like.scale,
        mean=(shift + ratio * info.mean.double())[0].float(),
        variance=variance,
        covariance=covariance,
    )
