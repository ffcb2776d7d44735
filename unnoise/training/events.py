"""Training events, listeners (callbacks) and the metrics log. The library prints nothing."""

import contextlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from unnoise.core.errors import StorageError
from unnoise.system.files import write_atomic
from unnoise.training.phases import Outcome

if TYPE_CHECKING:
    from unnoise.training.run import Run


@dataclass(frozen=True)
class Began:
    """Event: training starts.

    Arguments:
        step: steps already done (more than 0 when resumed).
        parameters: number of weights.
        threads, why: CPU threads, and the reason for their number.
        device: where it runs.
        seconds: how long the steps ahead will take, by one tried before, and the sample sheets
            and evaluations among them.
        memory: bytes held at most so far, the tried step included; 0 where unknown.
    """

    step: int
    steps: int
    parameters: int
    threads: int
    why: str
    device: str
    seconds: float
    memory: int


@dataclass(frozen=True)
class Stepped:
    """Event: a training step is done.

    Arguments:
        step: steps done so far.
        outcome: losses and logs of every phase, over all processes.
        lr: learning rate of this step.
        rate: examples a second, lately.
        left: seconds left at that rate, with the sheets and evaluations that are due.
    """

    step: int
    steps: int
    outcome: Outcome
    lr: float
    rate: float
    left: float

    @property
    def loss(self) -> float:
        """Mean loss of the first phase; NaN of a step that was left out for it."""
        return next(iter(self.outcome.losses.values()))

    @property
    def told(self) -> str:
        """``loss 0.214  812 img/s``; of several phases the loss of each."""
        losses = self.outcome.losses
        several = "  ".join(f"{name} {loss:.4g}" for name, loss in losses.items())
        return f"{several if len(losses) > 1 else f'loss {self.loss:.4g}'}  {self.rate:,.0f} img/s"

    @property
    def logs(self) -> dict[str, Tensor]:
        """The first phase's figures for each example."""
        return next(iter(self.outcome.logs.values()))


@dataclass(frozen=True)
class Saved:
    """Event: a checkpoint is on disk."""

    step: int
    path: Path


@dataclass(frozen=True)
class Paused:
    """Event: a step is done and saved where due; the time for samples and evaluation.

    A run that is resumed from this very step tells it again, because nobody knows whether the
    process that was killed had looked.

    Arguments:
        step: steps done so far.
        again: whether it is told by a resumed run.
    """

    step: int
    steps: int
    again: bool = False

    def due(self, every: int | None) -> bool:
        """Whether something done every ``every`` steps is due; at the last step always."""
        return self.step == self.steps or (every is not None and self.step % every == 0)


@dataclass(frozen=True)
class Warned:
    """Event: a warning for the user; training goes on.

    Arguments:
        text: one line.
        step: steps done when it happened in one; a resumed run tells it again.
    """

    text: str
    step: int | None = None


@dataclass(frozen=True)
class Ended:
    """Event: training is over; the model holds the averaged weights (EMA).

    Arguments:
        seconds, cpu_seconds: wall-clock and processor time of this process's steps.
    """

    step: int
    seconds: float
    cpu_seconds: float


Event = Began | Stepped | Saved | Paused | Warned | Ended
Listener = Callable[[Event, "Run"], None]

LEVELS = torch.linspace(-12, 12, 9)


def by_level(log_snr: Tensor, loss: Tensor) -> list[list[float]]:
    """Mean loss by noise level: [[centre of the log-SNR bin, loss], ...] of bins that were hit."""
    place = torch.bucketize(log_snr.cpu().float(), LEVELS[1:-1])
    centres = (LEVELS[1:] + LEVELS[:-1]) / 2
    hit = [(float(centres[i]), loss.cpu()[place == i]) for i in range(len(centres))]
    return [[centre, round(float(values.mean()), 6)] for centre, values in hit if len(values)]


class MetricsLog:
    """Listener that logs metrics to metrics.jsonl (JSON Lines), one line an event.

    A line holds the figures of its own step alone, so that a resumed run writes the same lines; one
    that a killed process did not come to write is made up for.

    Arguments:
        path: the file; lines of steps after the one resumed from are dropped.
        every: steps between two lines.
    """

    def __init__(self, path: Path, every: int = 10) -> None:
        self.path, self.every = path, every

    def __call__(self, event: Event, run: "Run") -> None:
        if isinstance(event, Began):
            self._start(event)
        elif isinstance(event, Stepped) and (
            event.step % self.every == 0 or event.step == event.steps
        ):
            line: dict[str, Any] = {
                "event": "step",
                "step": event.step,
                "loss": event.loss if math.isfinite(event.loss) else None,
                "lr": event.lr,
                "images_per_second": round(event.rate, 1),
            }
            if "log_snr" in event.logs and line["loss"] is not None:
                line["by_level"] = by_level(event.logs["log_snr"], event.logs["loss"])
            if len(event.outcome.losses) > 1:
                line["phases"] = _finite(event.outcome.summary())
            self.write(line)
        elif isinstance(event, Saved):
            self.write({"event": "saved", "step": event.step})
        elif isinstance(event, Warned):
            when = {} if event.step is None else {"step": event.step}
            self.write({"event": "warning", **when, "text": event.text})

    def write(self, line: dict[str, Any]) -> None:
        """Append one line."""
        try:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line) + "\n")
        except OSError as error:
            raise StorageError(f"cannot write {self.path}: {error.strerror or error}.") from error

    def has(self, event: str, step: int) -> bool:
        """Whether the log has an event of a kind for a step."""
        return any(_is(line, event, step) for line in read_metrics(self.path))

    def _start(self, event: Began) -> None:
        kept = [line for line in read_metrics(self.path) if line.get("step", 0) <= event.step]
        if not event.step:
            kept = []
        elif not any(_is(line, "saved", event.step) for line in kept):
            # Killed between the checkpoint and its line.
            kept.append({"event": "saved", "step": event.step})
        write_atomic(self.path, "".join(json.dumps(line) + "\n" for line in kept).encode())


def _finite(value: Any) -> Any:
    """A table whose NaN and infinite numbers are None: JSON has none."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in cast(dict[str, Any], value).items()}
    return value if math.isfinite(value) else None


def _is(line: dict[str, Any], event: str, step: int) -> bool:
    return line.get("event") == event and line.get("step") == step


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read a metrics.jsonl, without lines that are not JSON objects or were cut off by a crash.

    Raises:
        StorageError: the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}.") from error
    found: list[dict[str, Any]] = []
    for each in text.splitlines():
        with contextlib.suppress(ValueError, RecursionError):
            line = json.loads(each)
            if isinstance(line, dict) and isinstance(line.get("step", 0), int):
                found.append(cast(dict[str, Any], line))
    return found
