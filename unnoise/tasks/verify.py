"""Reproducibility check: the first steps of a run again, compared bit for bit."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from unnoise.core.errors import InputError, Interrupted
from unnoise.system.documents import Whole, checked, parsed
from unnoise.system.progress import counting
from unnoise.tasks.train import assemble, conditions
from unnoise.training import Event, Run, Stepped, fit
from unnoise.training.events import read_metrics


@dataclass(frozen=True)
class Verified:
    """Result of a reproducibility check.

    Arguments:
        steps: steps that were compared.
        differs: the first of them whose loss differs, None where all agree to the bit.
        then, now: its loss.
        conditions: what was otherwise then, in words.
    """

    steps: int
    differs: int | None
    then: float | None
    now: float | None
    conditions: tuple[str, ...]


class _Manifest(TypedDict):
    """What a run's manifest.json says that a repetition needs or compares."""

    device: str
    threads: Whole
    fork: str | None
    torch: str
    cpu: str
    processes: Whole
    data: dict[str, str]


class _EnoughError(Interrupted):
    """The steps that are compared are done: the one thing by which a listener ends a training."""


def verify(folder: str | Path, steps: int = 20) -> Verified:
    """Train by a run's own recipe for some steps and compare the loss with its metrics.jsonl.

    Arguments:
        folder: of the run; nothing in it is changed.
        steps: how many; the log has every tenth.

    Raises:
        InputError: no run there, or its log has nothing of the first steps.
    """
    folder = Path(folder)
    if not (folder / "recipe.toml").is_file() or not (folder / "manifest.json").is_file():
        raise InputError(f"{folder} is no run's folder; give one that unnoise train has made.")
    lines = [line for line in read_metrics(folder / "metrics.jsonl") if line.get("event") == "step"]
    then: dict[int, float] = {line["step"]: line["loss"] for line in lines if line["step"] <= steps}
    if not then:
        raise InputError(
            f"{folder}/metrics.jsonl has no loss of the first {steps} steps; it is 10."
        )
    file = folder / "manifest.json"
    manifest: Any = checked(_Manifest, parsed(file.read_bytes(), str(file)), str(file), more=True)
    made = assemble(folder / "recipe.toml", fork=manifest.get("fork"), device=manifest["device"])
    last = max(then)
    now: dict[int, float] = {}
    found: list[str] = []

    def listen(event: Event, run: Run) -> None:
        if isinstance(event, Stepped):
            now[event.step] = event.loss
            count()
            found[:] = [
                f"{name} was {manifest[name]}, is {value}"
                for name, value in conditions(run).items()
                if manifest.get(name, value) != value
            ]
            if event.step == last:
                raise _EnoughError("enough", 0)

    threads = manifest["threads"]
    with contextlib.suppress(_EnoughError), counting("verify", last, "steps") as count:
        fit(made.model, made.data, made.recipe.training, listeners=[listen], threads=threads)
    first = next((step for step in sorted(then) if then[step] != now[step]), None)
    at = first or 0  # which no step is
    return Verified(last, first, then.get(at), now.get(at), tuple(found))
