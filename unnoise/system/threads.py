"""Number of CPU threads that torch computes with."""

import os

import torch


def cores() -> int:
    """Number of CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def set_threads(count: int) -> int:
    """Set torch's number of CPU threads, at most what the machine can bear.

    A file from elsewhere may ask for any number.

    Returns:
        The number that was set.
    """
    count = min(count, max(64, 4 * cores()))
    torch.set_num_threads(count)
    return count
