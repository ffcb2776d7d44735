"""What a training takes of the machine: CPU threads, and memory.

A second thread gains 1.4 times on an idle machine and loses 17 times on a busy one, and steps of
a few milliseconds are too short to share. So: one thread, unless a step is long and cores idle.
"""

import os
import re
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import torch

from unnoise.catalogue.ranges import MOST_THREADS, whole
from unnoise.system.threads import cores, set_threads

LONG_STEP = 0.02


class Threads(NamedTuple):
    """Number of CPU threads, the reason for it, and seconds of a step with them."""

    number: int
    why: str
    seconds: float


def choose(step: Callable[[], None], asked: int | None = None) -> Threads:
    """Choose and set the number of CPU threads, with the reason.

    How often it steps depends only on what was asked, so that processes that train together
    step together.

    Arguments:
        step: does the work of one training step without changing anything.
        asked: what the user asked for; OMP_NUM_THREADS counts as asked.

    Raises:
        InputError: no such number of threads can be had.
    """

    def timed(count: int, why: str) -> Threads:
        number = set_threads(count)
        began = time.perf_counter()
        step()
        return Threads(number, why, time.perf_counter() - began)

    variable = os.environ.get("OMP_NUM_THREADS", "")
    why = "asked for"
    if asked is None and re.fullmatch(r"0*[1-9]\d{0,8}", variable):
        asked, why = min(int(variable), MOST_THREADS), "OMP_NUM_THREADS"
    first = 1 if asked is None else whole(asked, "threads", 1, MOST_THREADS)
    timed(first, why)  # the first one pays for memory and kernels
    found = timed(first, why)
    return found if asked is not None else timed(*_count(found.seconds))


def _count(seconds: float) -> tuple[int, str]:
    """What a step that takes so long on one thread is worth."""
    if seconds < LONG_STEP:
        return 1, f"a step takes {1000 * seconds:.0f} ms, too short to share"
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    every = cores()
    idle = every - load
    if idle < 1.5:
        return 1, f"the machine is busy (load {load:.1f} on {every} cores)"
    why = f"a step takes {1000 * seconds:.0f} ms and {idle:.1f} of {every} cores are idle"
    return min(every, round(idle)), why


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
