"""Post-hoc EMA: averages of other widths and half-lives, after the training."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from typing_extensions import TypedDict

from unnoise.core.errors import DamagedFileError, InputError, StorageError, either, short
from unnoise.models import Model, load
from unnoise.system.documents import Whole, checked
from unnoise.system.files import pack, unpack, write_atomic
from unnoise.training import checkpoints
from unnoise.training.averages import mixture


def write_snapshot(
    run: Path, step: int, widths: Sequence[float], averages: Sequence[Mapping[str, Tensor]]
) -> None:
    """Write a snapshot of a step's power-function averages into ``run/snapshots``.

    Raises:
        StorageError: the disk refuses.
    """
    folder = run / "snapshots"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make {folder}: {error.strerror or error}.") from error
    tensors = {
        f"{i}.{name}": value
        for i, average in enumerate(averages)
        for name, value in average.items()
    }
    document = {"format": 1, "kind": "snapshot", "step": step, "widths": list(widths)}
    write_atomic(folder / f"step-{step:06d}.safetensors", pack(document, tensors))


def read_average(
    run: str | Path,
    *,
    width: float | None = None,
    half_life: float | None = None,
    step: int | None = None,
    plugins: tuple[str | Path, ...] = (),
) -> Model:
    """Load the model of a run with another average of its weights (post-hoc EMA, half-life).

    Arguments:
        run: the run's folder.
        width: relative width of a power-function average, in (0, 0.28], made of all snapshots up
            to ``step`` by least squares.
        half_life: one of the run's ``training.half_lives``, in examples, from its newest
            checkpoint.
        step: of the training that the width is meant at; None takes the last snapshot.
        plugins: Python files that the model's parts are registered in.

    Raises:
        InputError: neither or both are given, or the run has no such averages.
    """
    run = Path(run)
    if (width is None) == (half_life is None):
        raise InputError("give either a width or a half-life, not both and not neither.")
    model: Model = load(run, plugins)
    found = (
        _of_half_life(run, half_life) if half_life is not None else _of_width(run, width or 0, step)
    )
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name not in found or found[name].shape != weight.shape:
                raise DamagedFileError(f"{run}: its averages have no weight {name} of its model.")
            weight.copy_(found[name])
    return model


def _of_half_life(run: Path, half_life: float) -> dict[str, Tensor]:
    saved = checkpoints.read(run, lambda _: None)
    kept: list[float] = []
    if saved is not None:
        training = checked(checkpoints.Made, saved.document, str(run))["training"]
        kept = checked(list[float], training.get("half_lives"), f"{run}, half_lives,")
    if saved is None or half_life not in kept:
        known = ", ".join(f"{h:g}" for h in kept) or "none"
        raise InputError(
            f"{run} keeps no average of half-life {half_life:g}; it keeps: {known}. Train with "
            f"--set training.half_lives=[{half_life:g}]."
        )
    return checkpoints.under(f"average.{1 + kept.index(half_life)}.", saved.state)


def _of_width(run: Path, width: float, step: int | None) -> dict[str, Tensor]:
    paths = _snapshots(run, step)
    last = max(paths)
    widths = _opened(paths[last])[0]
    parts = [(each, i) for each in paths for i in range(len(widths))]
    shares = mixture(
        [widths[i] for _, i in parts], [float(each) for each, _ in parts], width, float(last)
    ).reshape(len(paths), len(widths))
    found: dict[str, Tensor] = {}
    # One snapshot in memory at a time.
    for path, row in zip(paths.values(), shares.tolist(), strict=True):
        for key, value in _opened(path)[1].items():
            number, _, name = key.partition(".")
            if number not in map(str, range(len(row))):
                raise DamagedFileError(f"{path} is damaged: it has a weight {key}.")
            part = row[int(number)] * value.double()
            found[name] = found[name] + part if name in found else part
    return found


def _snapshots(run: Path, step: int | None) -> dict[int, Path]:
    """Files of the snapshots up to that of ``step`` (None: the last there is), by their steps."""
    paths = {
        int(path.stem.removeprefix("step-")): path
        for path in (run / "snapshots").glob("step-*.safetensors")
    }
    steps = sorted(paths)
    if not steps or (step is not None and step not in steps):
        if steps:
            raise InputError(f"{run} has no snapshot of step {step}; it has: {short(steps)}.")
        setting = "power_averages=[0.05, 0.1]"
        cure = either(f"fit(..., {setting})", f'--set "training.{setting}"')
        raise InputError(f"{run} has no snapshots; they are kept by a training with {cure}.")
    last = steps[-1] if step is None else step
    return {each: paths[each] for each in steps if each <= last}


class _Document(TypedDict):
    """What a snapshot's header says."""

    format: int
    kind: str
    step: Whole
    widths: list[float]


def _opened(path: Path) -> tuple[list[float], dict[str, Tensor]]:
    """Widths and averages of a snapshot."""
    document, tensors = unpack(path)
    return checked(_Document, document, str(path))["widths"], tensors
