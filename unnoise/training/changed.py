"""Settings that differ between a checkpoint and the run that resumes it."""

from collections.abc import Mapping
from typing import Any

# What changes the last bits of a run, and no more.
_ROUNDING = ("threads", "torch", "device", "cpu", "processes", "micro_batch")
# Settings that change what is written down, not what is learned.
_HARMLESS = (
    *("snapshot_every", "save_every", "sample_every", "eval_every"),
    *("micro_batch", "workers", "sharded"),
)


def changes(then: Mapping[str, Any], now: Mapping[str, Any], where: str = "") -> list[str]:
    """Every setting that differs between two documents, as "training.lr was 0.003, now 0.001"."""
    found: list[str] = []
    for key in sorted({*then, *now}):
        old, new, path = then.get(key), now.get(key), f"{where}{key}"
        if key in _HARMLESS or path in _ROUNDING or old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += changes(old, new, f"{path}.")  # pyright: ignore[reportUnknownArgumentType]
        else:
            found.append(f"{path} was {str(old)[:40]}, now {str(new)[:40]}")
    return found


def unlike(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Changes (threads, device, ...) that alter a resumed run's rounding, one line each.

    Arguments:
        then: the checkpoint's document.
        now: the run's, with the threads it will have.
    """
    pairs = {key: (then.get(key), now[key]) for key in _ROUNDING}
    return [
        f"resumed with {name} {new}, trained so far with {old}: equal up to rounding only."
        for name, (old, new) in pairs.items()
        if new != old
    ]
