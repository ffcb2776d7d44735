"""Torch's modes around a computation: autocast, inference mode, default dtype, threads, training.

A caller may have set any of them; inside ``plain_modes`` and ``evaluating`` they are what our
numbers are promised for, and afterwards what they were. The default dtype and a module's training
flags belong to the whole process: the first thread in sets them, the last out puts them back.
"""

import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import final

import torch
from torch import nn

from unnoise.system.threads import set_threads


@final
class _Shared:
    """What all threads of the process share, and how many of them are inside."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = 0
        self.own = threading.local()  # how deep this thread is inside
        self.dtype = torch.float32
        self.threads: tuple[int, int] | None = None  # torch's before the first in, and by it
        self.modules: dict[int, tuple[int, list[nn.Module]]] = {}  # id: how often, what trained

    def enter(self, threads: int | None) -> int:
        """Enter; the number of threads to put back."""
        with self.lock:
            if not self.inside:
                self.dtype = torch.get_default_dtype()
                torch.set_default_dtype(torch.float32)
            self.inside += 1
            before = torch.get_num_threads()
            depth: int = getattr(self.own, "depth", 0)
            # Each thread has its own number, but a new one begins with that of the last who set it.
            if not depth and self.threads is not None and before == self.threads[1]:
                before = self.threads[0]
            self.own.depth = depth + 1
            if threads is not None:
                now = set_threads(threads)
                self.threads = self.threads or (before, now)
            return before

    def leave(self, threads: int) -> None:
        with self.lock:
            self.inside -= 1
            self.own.depth -= 1
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
            if not self.inside:
                torch.set_default_dtype(self.dtype)
                self.threads = None

    def still(self, module: nn.Module) -> None:
        """Evaluation mode; which parts were in training mode is noted by the first."""
        with self.lock:
            times, trained = self.modules.get(id(module), (0, []))
            if not times:
                trained = [each for each in module.modules() if each.training]
            self.modules[id(module)] = (times + 1, trained)
            for each in module.modules():
                each.training = False

    def release(self, module: nn.Module) -> None:
        with self.lock:
            times, trained = self.modules[id(module)]
            if times > 1:
                self.modules[id(module)] = (times - 1, trained)
                return
            del self.modules[id(module)]
            for each in trained:
                each.training = True


_SHARED = _Shared()


@contextmanager
def plain_modes(device: str = "cpu", threads: int | None = None) -> Generator[None]:
    """Context: no autocast, no inference mode, float32 by default; all put back after.

    Arguments:
        device: the kind of device whose autocast is switched off, beside the CPU's.
        threads: CPU threads; None leaves them as they are.
    """
    before = _SHARED.enter(threads)
    try:
        with ExitStack() as stack:
            for kind in sorted({"cpu", device}):
                if torch.is_autocast_enabled(kind):
                    stack.enter_context(torch.autocast(kind, enabled=False))
            if torch.is_inference_mode_enabled():
                stack.enter_context(torch.inference_mode(False))
            yield
    finally:
        _SHARED.leave(before)


@contextmanager
def evaluating(module: nn.Module, device: str, threads: int | None) -> Generator[None]:
    """Context: evaluation of a module, without gradients, in ``plain_modes``.

    Arguments:
        module: in evaluation mode meanwhile; each of its parts is put back as it was.
        device, threads: as of ``plain_modes``.
    """
    with plain_modes(device, threads):
        _SHARED.still(module)
        try:
            # Not inference_mode: guidance differentiates inside.
            with torch.no_grad():
                yield
        finally:
            _SHARED.release(module)


def usable(x: torch.Tensor) -> torch.Tensor:
    """A tensor that autograd takes, also where it was made in inference mode."""
    return x.clone() if x.is_inference() else x
