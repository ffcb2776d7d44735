"""How many CPU threads to train with.

A second thread gains 1.4 times on an idle machine and loses 17 times on a busy one, and steps of
a few milliseconds are too short to share. So: one thread, unless a step is long and cores idle.
"""

import os
import time
from collections.abc import Callable
from typing import NamedTuple

import torch

LONG_STEP = 0.02


class Threads(NamedTuple):
    """How many, why, and how many seconds a step takes with them."""

    number: int
    why: str
    seconds: float


def choose(step: Callable[[], None], asked: int | None = None) -> Threads:
    """Set the number of threads, and say why.

    How often it steps hangs on nothing but what was asked, so that processes that train together
    step together.

    Arguments:
        step: does the work of one training step without changing anything.
        asked: what the user asked for; OMP_NUM_THREADS counts as asked.
    """

    def timed(count: int) -> float:
        torch.set_num_threads(count)
        began = time.perf_counter()
        step()
        return time.perf_counter() - began

    variable = os.environ.get("OMP_NUM_THREADS", "")
    why = "asked for"
    if asked is None and variable.isdigit() and int(variable) > 0:
        asked, why = int(variable), "OMP_NUM_THREADS"
    timed(asked or 1)  # the first one pays for memory and kernels
    seconds = timed(asked or 1)
    if asked is not None:
        return Threads(asked, why, seconds)
    count, why = _count(seconds)
    return Threads(count, why, timed(count))


def _count(seconds: float) -> tuple[int, str]:
    """What a step that takes so long on one thread is worth."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    if seconds < LONG_STEP:
        return 1, f"a step takes {1000 * seconds:.0f} ms, too short to share"
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    idle = cores - load
    if idle < 1.5:
        return 1, f"the machine is busy (load {load:.1f} on {cores} cores)"
    why = f"a step takes {1000 * seconds:.0f} ms and {idle:.1f} of {cores} cores are idle"
    return min(cores, round(idle)), why
