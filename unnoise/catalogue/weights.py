"""State-dict names without wrapper prefixes, and a limit on the number of parameters."""

import threading
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.nn.parameter import is_lazy

Value = TypeVar("Value")

# torch.compile; DataParallel and DistributedDataParallel; activation checkpointing.
_WRAPPERS = frozenset({"_orig_mod", "module", "_checkpoint_wrapped_module"})


def named_as(wanted: Iterable[str], weights: Mapping[str, Value]) -> dict[str, Value]:
    """Rename a state dict to the wanted names, where only wrapper prefixes differ.

    Arguments:
        wanted: names such as ``network.out.weight``.
        weights: by name, perhaps ``network._orig_mod.out.weight``; others stay as they are.
    """
    names = set(wanted)
    if names == weights.keys():
        return dict(weights)
    found = {_plain(name): value for name, value in weights.items()}
    return found if len(found) == len(weights) and found.keys() == names else dict(weights)


def _plain(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


class _TooManyError(Exception):
    """Raised where a module takes one weight too many; nobody below may take it for theirs."""


@contextmanager
def at_most(numbers: int, weights: int, refusal: Exception) -> Generator[None]:
    """Limit the number of parameters: stop building a module as soon as it has too many.

    A weight is counted where a module takes it, before it is given its first values: up to there
    the system has promised its memory and not given it.

    Arguments:
        numbers: most numbers in all weights together.
        weights: most weights.
        refusal: what is raised.
    """
    thread = threading.get_ident()
    counted = [0, 0]

    def count(module: nn.Module, name: str, weight: Any) -> None:
        lazy = isinstance(weight, Tensor) and is_lazy(weight)  # its size is not known yet
        if isinstance(weight, Tensor) and not lazy and threading.get_ident() == thread:
            counted[0] += weight.numel()
            counted[1] += 1
            if counted[0] > numbers or counted[1] > weights:
                raise _TooManyError

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    except _TooManyError:
        raise refusal from None
    finally:
        hook.remove()
