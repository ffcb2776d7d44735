"""Data in the modelled values of another space: what a trained model is asked about."""

from dataclasses import replace
from typing import final

import torch
from torch import Tensor

from unnoise.core.noise import Noise
from unnoise.data.base import Batch, DataInfo, Dataset
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
        info = data.info
        one = torch.ones(1, *info.shape, dtype=torch.float64)
        ratio = one * along_channels(like.scale, one) / along_channels(info.scale, one)
        shift = along_channels(like.offset, one) - ratio * along_channels(info.offset, one)
        self._ratio, self._shift = ratio, shift
        flat, covariance = ratio.flatten(), info.covariance
        if covariance is not None:
            covariance = (flat[:, None] * covariance.double() * flat).float()
            variance = float(covariance.diagonal().double().mean())
        else:  # the channels' own variances are not known: those of all, channel by channel
            variance = float(info.variance * flat.square().mean())
        self.info = replace(
            info,
            offset=like.offset,
            scale=like.scale,
            mean=self._moved(info.mean[None])[0],
            variance=variance,
            covariance=covariance,
        )

    def __len__(self) -> int:
        return len(self.data)

    def _moved(self, x: Tensor) -> Tensor:
        return (self._shift + self._ratio * x.double()).float()

    def batch(self, index: Tensor, noise: Noise | None = None) -> Batch:
        found = self.data.batch(index, noise)
        return Batch(self._moved(found.x), found.cond)


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
    return data if same or info.shape != like.shape else Remodelled(data, like)
