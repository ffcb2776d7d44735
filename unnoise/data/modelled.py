"""Data in the modelled values of another space: what a trained model is asked about."""

import copy
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


def as_modelled(data: Dataset, like: DataInfo | None) -> Dataset:
    """Data as a model takes it that was trained on other data: equal stored values then are equal
    modelled values. Data with levels has one map, and stays as it is.

    Arguments:
        data: any data set.
        like: of the data that the model was trained on; None where it was not.
    """
    info = data.info
    if like is None or info.levels is not None or like.levels is not None:
        return data
    same = (info.offset, info.scale) == (like.offset, like.scale)
    if same or info.shape != like.shape:
        return data
    if isinstance(data, StoredDataset):  # its stored values are at hand
        found = copy.copy(data)
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
