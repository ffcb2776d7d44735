"""Retry a computation with a smaller batch after an out-of-memory error; size of main memory."""

import gc
import os
from collections.abc import Callable
from typing import TypeVar

import torch

from unnoise.core.errors import memory_ran_out

Made = TypeVar("Made")


def with_less(work: Callable[[], Made], less: Callable[[], bool]) -> Made:
    """Run ``work``, and retry it with a smaller batch after each out-of-memory error.

    Arguments:
        work: what to do.
        less: halves what ``work`` takes at once; False where it is the least already.
    """
    while True:
        try:
            return work()
        except (MemoryError, RuntimeError) as error:
            if not memory_ran_out(error) or not less():
                raise
        # Not inside the handler: the error holds the frames, and they hold the tensors.
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def installed() -> int | None:
    """Bytes of main memory in this machine; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return None
