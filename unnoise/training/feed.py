"""Which examples a step sees, and threads that prefetch them: both depend on the step alone."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import final

import torch
from torch import Tensor

from unnoise.core.noise import Noise
from unnoise.data import Batch, Dataset

Made = tuple[Batch, Noise]


@lru_cache(maxsize=2)
def _epoch(seed: int, epoch: int, data: Dataset) -> Tensor:
    return data.order(Noise(seed, [0]).child("order").child(epoch))


def examples(seed: int, step: int, batch: int, data: Dataset) -> Tensor:
    """Indices of the examples of a step, shape (batch,), int64.

    A pure function, so that no cursor is saved. Every epoch is a fresh permutation of all examples;
    batches run through the epochs without a gap, so each example is seen once an epoch, whatever
    the batch.

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


@final
class Feed:
    """Data loader: the batch of any step; with workers it prefetches the next ones.

    Arguments:
        make: the batch of a step; a pure function.
        workers: threads that work ahead; 0 makes each batch when it is asked for.
        last: steps in all; none is made after them.
    """

    def __init__(self, make: Callable[[int], Made], workers: int, last: int) -> None:
        self.make, self.workers, self.last = make, workers, last
        self._pool = ThreadPoolExecutor(workers, "unnoise-feed") if workers else None
        self._waiting: dict[int, Future[Made]] = {}
        self._held: tuple[int, Made] | None = None

    def __call__(self, step: int) -> Made:
        """The batch of a step, its examples and their streams."""
        if self._held is None or self._held[0] != step:
            self._held = (step, self._next(step))
        return self._held[1]

    def _next(self, step: int) -> Made:
        if self._pool is None:
            return self.make(step)
        wanted = range(step, min(step + self.workers + 1, max(self.last, step + 1)))
        for old in [each for each in self._waiting if each not in wanted]:
            self._waiting.pop(old).cancel()
        for each in wanted:
            if each not in self._waiting:
                self._waiting[each] = self._pool.submit(self.make, each)
        return self._waiting.pop(step).result()

    def close(self) -> None:
        """Stop the worker threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
