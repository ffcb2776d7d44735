"""Which examples a step sees: a pure function of (seed, step), so that no cursor is saved."""

from functools import lru_cache

import torch
from torch import Tensor

from unnoise.core.noise import Noise, permutation


@lru_cache(maxsize=2)
def _epoch(seed: int, epoch: int, count: int) -> Tensor:
    return permutation(Noise(seed, [0]).child("order").child(epoch), count)


def examples(seed: int, step: int, batch: int, count: int) -> Tensor:
    """Numbers of the examples of a step, shape (batch,), int64.

    Every epoch is a fresh permutation of 0 ... count-1; batches run through the epochs without a
    gap, so each example is seen once an epoch, whatever the batch.

    Arguments:
        seed: of the order.
        step: from 0.
        batch: examples a step.
        count: size of the data set.
    """
    first = step * batch
    parts: list[Tensor] = []
    while first < (step + 1) * batch:
        epoch, offset = divmod(first, count)
        part = _epoch(seed, epoch, count)[offset : offset + (step + 1) * batch - first]
        parts.append(part)
        first += len(part)
    return torch.cat(parts)
