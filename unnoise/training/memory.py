"""Smaller micro-batches after an out-of-memory error; peak memory of a training."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import torch

from unnoise.core.errors import StorageError
from unnoise.system.memory import with_less

if TYPE_CHECKING:
    from unnoise.training.run import Run

Made = TypeVar("Made")


def fitting(run: "Run", work: Callable[[], Made]) -> Made:
    """Run some work, and halve the micro-batch each time memory runs out.

    Raises:
        StorageError: it ran out with a single example.
    """

    def less() -> bool:
        if run.micro_batch == 1:
            raise StorageError(
                "memory has run out with a single example. Take a smaller network, smaller "
                "pictures, or --precision bfloat16."
            )
        for optimiser in run.optimisers:
            optimiser.zero_grad()
        run.micro_batch = (run.micro_batch + 1) // 2
        return True

    return with_less(work, less)


def peak(device: torch.device) -> int:
    """Peak memory of this process in bytes, on the GPU or in all; 0 where unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return 0
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held if sys.platform == "darwin" else held * 1024
