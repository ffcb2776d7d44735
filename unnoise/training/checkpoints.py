"""Atomic checkpoints: two files, then a manifest with their hashes; what fits a resumed run."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge
from torch import Tensor
from typing_extensions import TypedDict

from unnoise.core.errors import DamagedFileError, InputError, StorageError, either
from unnoise.data import DataInfo
from unnoise.models.files import info_in
from unnoise.system import disk
from unnoise.system.documents import Whole, checked, parsed
from unnoise.system.files import becomes, pack, unpack, write_atomic

KEPT = 2
_FILES = ("model.safetensors", "state.safetensors")
# What changes the last bits of a run, and no more.
_ROUNDING = ("threads", "torch", "device", "cpu", "processes", "micro_batch")
# Settings that change what is written down, not what is learned.
_HARMLESS = (
    *("snapshot_every", "save_every", "sample_every", "eval_every"),
    *("micro_batch", "workers", "sharded"),
)


class Made(TypedDict):
    """Schema of a checkpoint's metadata: settings, model, data and machine."""

    format: int
    kind: str
    training: dict[str, Any]
    model: dict[str, Any]
    data: str
    threads: Whole
    micro_batch: Annotated[Whole, Ge(1)]
    torch: str
    device: str
    cpu: str
    processes: Annotated[Whole, Ge(1)]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint, from which training is resumed.

    Arguments:
        step: steps done.
        document: what the state was made under (settings, data, threads).
        state: every tensor of the engine.
    """

    step: int
    document: dict[str, Any]
    state: dict[str, Tensor]


def _folder(run: Path, step: int) -> Path:
    return run / "checkpoints" / f"step-{step:06d}"


def steps_of(run: Path) -> list[int]:
    """Steps of the complete checkpoints (with a manifest), newest first."""
    found: list[int] = []
    for path in (run / "checkpoints").glob("step-*/manifest.json"):
        with contextlib.suppress(ValueError):
            found.append(int(path.parent.name.removeprefix("step-")))
    return sorted(found, reverse=True)


def write(
    run: Path, step: int, model: bytes, document: dict[str, Any], state: Mapping[str, Tensor]
) -> Path:
    """Write a checkpoint and make ``run/model.safetensors`` the same model; drop the oldest.

    Arguments:
        run: the run's folder.
        step: steps done.
        model: content of the model file (averaged weights; complete by itself).
        document: goes into the state's header.
        state: every tensor of the engine.

    Raises:
        StorageError: a file cannot be written; older checkpoints are untouched.
    """
    folder = _folder(run, step)
    try:
        disk.make_folder(folder)
        disk.sync_folder(folder.parent)
        disk.sync_folder(run)
    except OSError as error:
        raise StorageError(f"cannot make {folder}: {error.strerror or error}.") from error
    contents = dict(zip(_FILES, (model, pack({**document, "step": step}, state)), strict=True))
    for name, content in contents.items():
        write_atomic(folder / name, content)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    manifest = {"format": 1, "step": step, "sha256": hashes}
    write_atomic(folder / "manifest.json", json.dumps(manifest, indent=1).encode())
    write_atomic(run / "model.safetensors", model)
    _drop_old(run)
    return folder


def read(run: Path, warn: Callable[[str], None]) -> Checkpoint | None:
    """Read the newest complete checkpoint; damaged ones are skipped with a warning each.

    Returns:
        None where there is none at all.

    Raises:
        InputError: there are checkpoints, but every one is damaged.
    """
    damaged: list[Path] = []
    for step in steps_of(run):
        folder = _folder(run, step)
        try:
            found = _read(folder)
        except (InputError, OSError) as error:
            warn(f"{folder} is passed over: {error}")
            damaged.append(folder)
            continue
        for other in damaged:
            _set_aside(other)
        return found
    if damaged:
        raise InputError(
            f"every checkpoint in {run / 'checkpoints'} is damaged; none can be resumed."
        )
    return None


def described(run: Path) -> DataInfo | None:
    """What the model of a run knows of its data; None where there is none to be read."""
    for folder in (*(_folder(run, step) for step in steps_of(run)), run):
        with contextlib.suppress(InputError, OSError):
            return info_in(*unpack(folder / "model.safetensors"))
    return None


def _set_aside(folder: Path) -> None:
    """Rename a damaged checkpoint, so that it does not count among those that are kept."""
    for i in range(1, 100):
        target = folder.with_name(f"damaged-{folder.name}" + (f"-{i}" if i > 1 else ""))
        if not target.exists():
            with contextlib.suppress(OSError):
                folder.rename(target)
            return


def sweep(run: Path) -> None:
    """Remove the half-written files of a process that was killed."""
    for path in run.rglob(".*.tmp-*"):
        if becomes(path.name) is not None:  # the folder is locked: whoever wrote it is gone
            path.unlink(missing_ok=True)


def restore(run: Path, step: int) -> None:
    """Restore ``run/model.safetensors`` from a checkpoint."""
    model, newest = run / "model.safetensors", (_folder(run, step) / "model.safetensors")
    content = newest.read_bytes()
    if not model.exists() or model.read_bytes() != content:
        write_atomic(model, content)


class _Manifest(TypedDict):
    """A checkpoint's manifest.json."""

    format: int
    step: Whole
    sha256: dict[str, str]


def _read(folder: Path) -> Checkpoint:
    file = folder / "manifest.json"
    manifest = checked(_Manifest, parsed(file.read_bytes(), str(file)), str(file))
    for name in _FILES:
        content = (folder / name).read_bytes()
        if hashlib.sha256(content).hexdigest() != manifest["sha256"].get(name):
            raise DamagedFileError(f"{name} does not match its checksum.")
    document, state = unpack(folder / "state.safetensors")
    step = manifest["step"]
    if document.pop("step", None) != step or _folder(folder.parent.parent, step) != folder:
        raise DamagedFileError("its parts are of several steps.")
    return Checkpoint(step, document, state)


def _drop_old(run: Path) -> None:
    """Keep the newest; a folder without its manifest is no checkpoint and goes too.

    Only what ``write`` wrote is touched: what else a user keeps there stays.
    """
    kept = {_folder(run, step) for step in steps_of(run)[:KEPT]}
    for folder in (run / "checkpoints").glob("step-*"):
        if folder not in kept and folder.name.removeprefix("step-").isdigit():
            # What cannot be taken away now is taken away after the next checkpoint.
            with contextlib.suppress(OSError):
                # The manifest first, so that a crash leaves no half checkpoint that looks whole.
                for name in ("manifest.json", *_FILES):
                    disk.remove(folder / name)
                disk.remove_folder(folder)


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


def refuse_changes(then: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    """Refuse to resume a run under other settings, another model or other data.

    Raises:
        InputError: names the first change.
    """
    changed = changes(then, now)
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise InputError(
            f"{changed[0]}{more}: Resume would not be exact. Go on by the run's own recipe, "
            f"{folder}/recipe.toml, or from its weights by {either('fork=', '--fork')}."
        )


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


def under(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The entries of a state whose names begin with a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
