"""Listeners (callbacks) of a training: sample sheets, evaluations, loss curve, log."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar, final

from unnoise.evaluation import Evaluation
from unnoise.models import Draws, Model
from unnoise.models.conditions import UNIFORM
from unnoise.plots import loss_curve
from unnoise.system.memory import with_less
from unnoise.system.progress import duration
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
    """Listener that draws sample sheets, always from the same noise: samples/step-000600.png.

    Arguments:
        folder: where the sheets go.
        every: steps between two; None makes one at the end.
    """

    folder: Path
    every: int | None

    def ahead(self, step: int, steps: int) -> int:
        """How many sheets are due after a step, one of them after the last."""
        last = step < steps and (not self.every or steps % self.every > 0)
        return _ahead(step, steps, self.every) + last

    def calls(self, run: Run) -> float:
        """Network calls of one sheet, each sample counted."""
        return sample.calls(run.model, output.sheet_size(run.model))

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
                    turns = cond is None and model.labels is not None
                    label = UNIFORM if turns else None
                    x = frugally(model, partial(sample.draw, model, n, cond, label=label))
                    shown = output.classes_of(model, n, label) if cond is None else cond.label
                    output.draw(model, x, path, labels=shown)


@final
@dataclass(frozen=True)
class Evaluations:
    """Listener that evaluates the model every so many steps, into metrics.jsonl.

    Arguments:
        log: metrics.jsonl; beside it lies what one evaluation keeps for the next.
        settings: how to measure.
        every: steps between two.
    """

    log: MetricsLog
    settings: Evaluation
    every: int | None

    def ahead(self, step: int, steps: int) -> int:
        """How many evaluations are due after a step."""
        return _ahead(step, steps, self.every)

    def calls(self, run: Run) -> float:
        """Network calls of one evaluation, each example counted; a likelihood goes back, too."""
        asked = self.settings
        likelihoods = 3 * (asked.likelihood or 0) * asked.likelihood_draws
        return sample.calls(run.model, asked.count) + likelihoods * (asked.likelihood_steps + 1)

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


def _ahead(step: int, steps: int, every: int | None) -> int:
    return steps // every - step // every if every else 0


@final
@dataclass(frozen=True)
class LossCurve:
    """Listener that draws the loss curve, loss.png, at the end.

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
    """Listener that writes log.txt: what happened and when, in words."""

    path: Path

    def __call__(self, event: Event, run: Run) -> None:
        text = describe(event)
        if text:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}\n")


def describe(event: Event) -> str:
    """An event as one line; nothing for the steps between hundreds."""
    if isinstance(event, Began):
        plural = "" if event.threads == 1 else "s"
        start = f"resumed at step {event.step} of " if event.step else ""
        steps = f"{event.steps}" if event.step else f"{event.steps} steps"
        memory = f" and {event.memory / 2**30:.1f} GiB" if event.memory else ""
        return (
            f"{start}{steps}, {event.parameters:,} weights on {event.device}, {event.threads} "
            f"thread{plural} ({event.why}); about {duration(event.seconds)}{memory}"
        )
    if isinstance(event, Stepped) and event.step % 100 == 0:
        return progress_line(event)
    if isinstance(event, Saved):
        return f"saved {event.path}"
    if isinstance(event, Warned):
        return f"warning: {event.text}"
    if isinstance(event, Ended):
        took = f"{event.seconds:.1f} s ({event.cpu_seconds:.1f} CPU s)"
        return f"trained to step {event.step} in {took}"
    return ""


def progress_line(event: Stepped) -> str:
    """``step 1,200/3,000  loss 0.214  812 img/s  1m 04s left``."""
    done = f"step {event.step:,}/{event.steps:,}"
    return f"{done}  {event.told}  {duration(event.left)} left"
