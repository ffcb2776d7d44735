"""What is done beside training: sample sheets, evaluations, a log. None of it changes the run."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, final

from unnoise.core.errors import InputError
from unnoise.evaluation import Evaluation
from unnoise.models import Draws, Model
from unnoise.plots import loss_curve
from unnoise.system.files import write_atomic
from unnoise.system.memory import with_less
from unnoise.tasks import output, sample
from unnoise.tasks.evaluate import evaluate
from unnoise.training import Began, Ended, Event, MetricsLog, Paused, Run, Saved, Stepped, Warned
from unnoise.training.events import read_metrics

Made = TypeVar("Made")


def frugally(model: Model, work: Callable[[], Made]) -> Made:
    """A look at a model; where memory runs out, with fewer samples at once, equal to rounding."""
    before = model.sampling

    def less() -> bool:
        chunk = model.sampling.chunk
        model.sampling = replace(model.sampling, chunk=(chunk + 1) // 2)
        return chunk > 1

    try:
        return with_less(work, less)
    finally:
        model.sampling = before


@final
@dataclass(frozen=True)
class SampleSheets:
    """samples/step-000600.png: always from the same noise, so that the sheets make a film.

    Arguments:
        folder: where the sheets go.
        every: steps between two; None makes one at the end.
    """

    folder: Path
    every: int | None

    def __call__(self, event: Event, run: Run) -> None:
        if not isinstance(event, Paused) or not event.due(self.every):
            return
        path = self.folder / f"step-{event.step:06d}.png"
        if not (event.again and path.exists()):
            with run.averaged() as model:
                if isinstance(model, Draws):
                    self.folder.mkdir(parents=True, exist_ok=True)
                    n = output.sheet_size(model)
                    cond = sample.conditions_of(model, run.data, n)
                    x = frugally(model, partial(sample.draw, model, n, cond))
                    shown = output.turn(model, n) if cond is None else cond.label
                    output.draw(model, x, path, labels=shown)


@final
@dataclass(frozen=True)
class Evaluations:
    """A line of figures in metrics.jsonl every so many steps.

    Arguments:
        log: metrics.jsonl; beside it lies what one evaluation keeps for the next.
        settings: how to measure.
        every: steps between two.
    """

    log: MetricsLog
    settings: Evaluation
    every: int | None

    def __call__(self, event: Event, run: Run) -> None:
        if not isinstance(event, Paused) or not self.every or event.step % self.every:
            return
        if not (event.again and self.log.has("evaluation", event.step)):
            with run.averaged() as model:
                if isinstance(model, Draws):
                    cache = self.log.path.parent
                    work = partial(evaluate, model, self.settings, cache=cache, train=run.data)
                    figures = frugally(model, work)
                    self.log.write({"event": "evaluation", "step": event.step, **figures})


@final
@dataclass(frozen=True)
class LossCurve:
    """loss.png at the end of the run.

    Arguments:
        metrics: the metrics.jsonl to draw.
        path: of the picture.
    """

    metrics: Path
    path: Path

    def __call__(self, event: Event, run: Run) -> None:
        if isinstance(event, Ended):
            records = read_metrics(self.metrics)
            if sum(record.get("event") == "step" for record in records) > 1:
                loss_curve(records, self.path)


@final
@dataclass(frozen=True)
class Log:
    """log.txt: what happened and when, in words."""

    path: Path

    def __call__(self, event: Event, run: Run) -> None:
        text = describe(event)
        if not text:
            return
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}\n")


def describe(event: Event) -> str:
    """An event as one line; nothing for the steps between hundreds."""
    if isinstance(event, Began):
        plural = "" if event.threads == 1 else "s"
        start = f"{event.steps} steps"
        if event.step:
            start = f"resumed at step {event.step} of {event.steps}"
        return (
            f"{start}, {event.parameters:,} weights on {event.device}, "
            f"{event.threads} thread{plural} ({event.why}); about {duration(event.seconds)}"
            + (f" and {event.memory / 2**30:.1f} GiB" if event.memory else "")
        )
    if isinstance(event, Stepped) and event.step % 100 == 0:
        return progress_line(event)
    if isinstance(event, Saved):
        return f"saved {event.path}"
    if isinstance(event, Warned):
        return f"warning: {event.text}"
    if isinstance(event, Ended):
        return (
            f"trained to step {event.step} in {event.seconds:.1f} s ({event.cpu_seconds:.1f} CPU s)"
        )
    return ""


def progress_line(event: Stepped) -> str:
    """``step 1 200/3 000  loss 0.214  812 img/s  1m 04s left``."""
    left = duration(event.left)
    done, steps = f"{event.step:,}".replace(",", " "), f"{event.steps:,}".replace(",", " ")
    losses = event.outcome.losses
    several = "  ".join(f"{name} {loss:.4g}" for name, loss in losses.items())
    loss = several if len(losses) > 1 else f"loss {event.loss:.4g}"
    return f"step {done}/{steps}  {loss}  {event.rate:,.0f} img/s  {left} left"


def duration(seconds: float) -> str:
    """``45s``, ``3m 05s``, ``2h 10m``, ``3d 4h``."""
    whole = round(seconds)
    units = (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1))
    for unit, size, lower, part in units:
        if whole >= size:
            most, rest = whole // size, whole % size // part
            return f"{most}{unit} {rest:02d}{lower}" if unit != "d" else f"{most}d {rest}h"
    return f"{whole}s"


def check_json(path: Path) -> None:
    """Refuse, before any work is done, a path that figures cannot or should not be written to."""
    if path.suffix != ".json" or path.is_dir():
        raise InputError(f"{path}: figures are written to a .json file; give it that suffix.")
    if not path.resolve().parent.is_dir():
        raise InputError(f"{path}: the folder {path.parent} does not exist.")
    if path.exists() and '"protocol"' not in path.read_text("utf-8", errors="replace"):
        raise InputError(f"{path} exists and was not made by unnoise. Give another name.")


def write_json(path: Path, value: dict[str, Any]) -> None:
    """A JSON file, readable, written whole or not at all."""
    try:
        text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
        # A byte of a path that is no UTF-8 becomes what JSON would write of it.
        write_atomic(path, text.encode("utf-8", "backslashreplace"))
    except ValueError as error:
        raise InputError(f"{path}: {error}.") from error
