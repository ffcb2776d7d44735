"""How many CPU threads to train with.

A second thread gains 1.4 times on an idle machine and loses 17 times on a busy one, and steps of
a few milliseconds are too short to share. So: one thread, unless a step is long and cores idle.
"""

import os
import time
from collections.abc import Callable

import torch

LONG_STEP = 0.02


def choose(step: Callable[[], None], asked: int | None = None) -> tuple[int, str]:
    """Set and return the number of threads, and say why.

    Arguments:
        step: does the work of one training step without changing anything.
        asked: what the user asked for; OMP_NUM_THREADS counts as asked.
    """
    variable = os.environ.get("OMP_NUM_THREADS", "")
    if asked is not None:
        torch.set_num_threads(asked)
        return asked, "asked for"
    if variable.isdigit() and int(variable) > 0:
        torch.set_num_threads(int(variable))
        return int(variable), "OMP_NUM_THREADS"
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    torch.set_num_threads(1)
    step()  # the first one pays for memory and kernels
    began = time.perf_counter()
    step()
    seconds = time.perf_counter() - began
    if seconds < LONG_STEP:
        return 1, f"a step takes {1000 * seconds:.0f} ms, too short to share"
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    idle = cores - load
    if idle < 1.5:
        return 1, f"the machine is busy (load {load:.1f} on {cores} cores)"
    count = min(cores, round(idle))
    torch.set_num_threads(count)
    return count, f"a step takes {1000 * seconds:.0f} ms and {idle:.1f} of {cores} cores are idle"
