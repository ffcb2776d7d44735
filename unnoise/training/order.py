"""Shuffled order of examples: a pure function of (seed, step), so that no cursor is saved."""

from functools import lru_cache

import torch
from torch import Tensor

from unnoise.core.noise import Noise
from unnoise.data import Dataset


@lru_cache(maxsize=2)
def _epoch(seed: int, epoch: int, data: Dataset) -> Tensor:
    return data.order(Noise(seed, [0]).child("order").child(epoch))


def examples(seed: int, step: int, batch: int, data: Dataset) -> Tensor:
    """Indices of the examples of a step, shape (batch,), int64.

    Every epoch is a fresh permutation of 0 ... count-1; batches run through the epochs without a
    gap, so each example is seen once an epoch, whatever the batch.

    Arguments:
        seed: of the order.
        step: from 0.
        batch: examples a step.
        data: what they are examples of.
    """
    first, count = step * batch, len(data)
    parts: list[Tensor] = []
    while first < (step + 1) * batch:
        epoch, offset = divmod(first, count)
        part = _epoch(seed, epoch, data)[offset : offset + (step + 1) * batch - first]
        parts.append(part)
        first += len(part)
    return torch.cat(parts)
