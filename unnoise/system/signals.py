"""Graceful shutdown on SIGINT (Ctrl-C) and SIGTERM: finish what is being done, save, leave."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Stop request: whether the run was asked to stop, and by which signal."""

    def __init__(self) -> None:
        self.number: int | None = None

    @property
    def exit_code(self) -> int:
        return 128 + (self.number or signal.SIGINT)


@contextmanager
def stoppable() -> Generator[Stop]:
    """Turn the first SIGINT or SIGTERM into a stop request; a second one ends at once, as usual.

    A request that nobody read, because it came after the work, is a signal again at the end.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread may set handlers
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, frame: FrameType | None) -> None:
        stop.number = number
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if stop.number is not None:
        signal.raise_signal(stop.number)


@contextmanager
def held_back(number: signal.Signals) -> Generator[None]:
    """Block a signal until the end of the context; processes started in it never get it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
