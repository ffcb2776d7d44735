"""Distributed processes (torch.distributed): rank, world size, sharding, gather, lost peers.

Started by ``torchrun`` or ``accelerate launch``, which tell each process its number. Everything
here does nothing in a process that is alone.
"""

import atexit
import contextlib
import itertools
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from unnoise.core.errors import InputError, PeerError

_BEAT = 0.5  # seconds between two signs of life
_SILENT = 3.0  # seconds without one after which a peer counts as gone

Made = TypeVar("Made")

_alone: list[bool] = []  # not empty while process 0 works by itself
_leaving = threading.Event()
_beating: list[threading.Thread] = []
_calls = itertools.count()  # of ``alone``; every process makes the same


def patience() -> float:
    """Timeout in seconds for other processes: 60, or what UNNOISE_TIMEOUT says.

    Raises:
        InputError: it says no number above 0.
    """
    said = os.environ.get("UNNOISE_TIMEOUT", "60")
    try:
        seconds = float(said)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise InputError(f"UNNOISE_TIMEOUT = {said!r}: it is seconds to wait for a peer, above 0.")
    return seconds


def rank() -> int:
    """Rank: this process's number among those that work together, from 0."""
    return int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """Local rank: this process's number among those of its machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def size() -> int:
    """World size: the number of processes that work together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def join() -> None:
    """Join the process group (torch.distributed), where there are several processes.

    Raises:
        PeerError: they did not come in time.
    """
    if size() == 1 or dist.is_initialized():
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank())
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        dist.init_process_group(backend, timeout=timedelta(seconds=patience()))
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0][:150]
        raise PeerError(f"the {size()} processes could not meet: {reason}.") from error
    atexit.register(leave)
    _store().set(f"unnoise/process/{rank()}", f"{socket.gethostname()}:{os.getpid()}")
    thread = threading.Thread(target=_beat, args=(_store(), rank()), daemon=True)
    _beating.append(thread)
    thread.start()


def _store() -> Any:
    """What the processes share without waiting for each other."""
    from torch.distributed import distributed_c10d

    return getattr(distributed_c10d, "_get_default_store")()  # noqa: B009  (no public name)


def _beat(store: Any, number: int) -> None:
    beats = 0
    while not _leaving.is_set():
        try:
            store.set(f"unnoise/beat/{number}", str(beats))
        except (RuntimeError, ValueError):
            return  # the meeting is over
        beats += 1
        _leaving.wait(_BEAT)


def _beats(numbers: list[int]) -> dict[int, bytes]:
    store = _store()
    return {n: store.get(f"unnoise/beat/{n}") for n in numbers}


def leave() -> None:
    """Leave the process group, at the end of the work."""
    _leaving.set()
    for thread in _beating:
        thread.join()  # it must not speak to a store that is gone
    if dist.is_initialized():
        dist.destroy_process_group()


def together() -> bool:
    """Whether several processes take part in what is being done now (outside ``alone``)."""
    return size() > 1 and dist.is_initialized() and not _alone


def silent() -> list[int]:
    """Ranks of the other processes whose heartbeat has stopped."""
    others = [n for n in range(size()) if n != rank()]
    try:
        before = _beats(others)
        time.sleep(_SILENT)
        after = _beats(others)
    except (RuntimeError, ValueError):
        return [0]  # who kept what they share is gone
    return [n for n in others if before[n] == after[n]]


@contextmanager
def watched() -> Generator[None]:
    """Context for collective operations: a lost process becomes a PeerError."""
    try:
        yield
    except RuntimeError as error:
        said = str(error)
        lost = isinstance(error, dist.DistError) or "gloo" in said or "closed by peer" in said
        if not lost or not dist.is_initialized():
            raise
        # The launcher sends SIGTERM as soon as it sees a peer gone; the line comes first.
        with _deaf():
            raise PeerError(_loss(said)) from error


@contextmanager
def _deaf() -> Generator[None]:
    """Ignore SIGTERM for a while."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _loss(said: str) -> str:
    """What a failed exchange means, in words; a peer of this machine that hangs is ended."""
    gone = silent()
    for number in gone:
        _end(number)
    who = ", ".join(f"process {n}" for n in gone) or "a process"
    hangs = "timed out" in said.lower()
    what = f"did not answer for {patience():g} s" if hangs else "is gone"
    return f"{who} of {size()} {what}."


def _end(number: int) -> None:
    """Kill a peer that is silent, or its launcher would wait for it half a minute more."""
    with contextlib.suppress(RuntimeError, ValueError, ProcessLookupError, PermissionError):
        host, _, pid = _store().get(f"unnoise/process/{number}").decode().rpartition(":")
        if host == socket.gethostname():
            os.kill(int(pid), signal.SIGKILL)


def alone(work: Callable[[], Made]) -> Made | None:
    """Run something in process 0 only while the others wait (barrier), however long it takes.

    They wait as long as process 0 gives signs of life.

    Returns:
        What ``work`` returned, in process 0; None elsewhere.

    Raises:
        PeerError: process 0 is gone.
    """
    if not together():
        return work()
    store = _store()
    key = f"unnoise/alone/{next(_calls)}"
    if rank() == 0:
        _alone.append(True)
        try:
            return work()
        finally:
            _alone.pop()
            store.set(key, "done")
    last, since = b"", time.monotonic()
    while not store.check([key]):
        beat = store.get("unnoise/beat/0")
        if beat != last:
            last, since = beat, time.monotonic()
        elif time.monotonic() - since > patience():
            raise PeerError(f"process 0 of {size()} gave no sign of life for {patience():.0f} s.")
        time.sleep(0.02)
    return None


def share(n: int, unit: int = 1) -> range:
    """Shard of 0 ... n-1 for this process, in order of rank.

    Arguments:
        n: in all.
        unit: parts begin at multiples of it, so that padded chunks stay the same.
    """
    if not together():
        return range(n)
    each = _each(n, unit)
    first = min(rank() * each, n)
    return range(first, min(first + each, n))


def _each(n: int, unit: int) -> int:
    units = math.ceil(n / unit)
    return math.ceil(units / size()) * unit


def gather(rows: Tensor, n: int, unit: int = 1) -> Tensor:
    """All-gather: the shards of ``share(n, unit)`` joined in order of rank, in every process.

    Arguments:
        rows: this process's part, shape (len(share), ...).
        n, unit: as for ``share``.
    """
    if not together():
        return rows
    with watched():
        return _gathered(rows, n, unit)


def _gathered(rows: Tensor, n: int, unit: int) -> Tensor:
    padded = rows.new_zeros((_each(n, unit), *rows.shape[1:]))
    padded[: len(rows)] = rows
    parts = [torch.empty_like(padded) for _ in range(size())]
    dist.all_gather(parts, padded)
    return torch.cat(parts)[:n]


def same_everywhere(tensors: list[Tensor]) -> None:
    """Broadcast the tensors of process 0 to every process, in place."""
    if not together():
        return
    for tensor in tensors:
        dist.broadcast(tensor, 0)
