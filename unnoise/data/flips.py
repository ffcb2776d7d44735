"""Data augmentation by random horizontal flips, as a wrapper around any data set."""

from dataclasses import replace
from hashlib import sha256
from typing import final

import torch
from torch import Tensor

from unnoise.core.noise import Noise
from unnoise.data.base import Batch, Dataset


@final
class Flipped(Dataset):
    """Data augmentation: random flip along the last axis with probability 1/2.

    Without noise an example comes as it is; mean and covariance are those of the mirrored law.

    Arguments:
        data: any data set.
    """

    def __init__(self, data: Dataset) -> None:
        self.data, self.refused, self.told = data, data.refused, data.told
        self.stretches, self.together = data.stretches, data.together
        info = data.info
        mean = (info.mean + info.mean.flip(-1)) / 2
        # A mixture of two: what the halves' means are away from the whole's adds to the variance.
        away = (info.mean - mean).double()
        covariance = info.covariance
        if covariance is not None:
            order = torch.arange(info.mean.numel()).reshape(info.shape).flip(-1).flatten()
            outer = torch.outer(away.flatten(), away.flatten())
            covariance = (covariance + covariance[order][:, order]) / 2 + outer.float()
        self.info = replace(
            info,
            mean=mean,
            variance=info.variance + float(away.square().mean()),
            covariance=covariance,
            sha256=sha256(f"flipped {info.sha256}".encode()).hexdigest(),
        )

    def __len__(self) -> int:
        return len(self.data)

    def batch(self, index: Tensor, noise: Noise | None = None) -> Batch:
        batch = self.data.batch(index, noise)
        if noise is None:
            return batch
        chance = noise.child("flip").uniform(torch.empty(len(index)))
        turn = (chance < 0.5).reshape(-1, *[1] * (batch.x.ndim - 1))
        return Batch(torch.where(turn, batch.x.flip(-1), batch.x), batch.cond)
