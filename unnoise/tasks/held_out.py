"""Held-out (validation) loss, and a warning of overfitting."""

from typing import Any

import torch
from torch import Tensor

from unnoise.core.errors import either
from unnoise.core.noise import Noise
from unnoise.data import Dataset
from unnoise.data.modelled import as_modelled
from unnoise.training import Ended, Event, MetricsLog, Paused, Run, Warned
from unnoise.training.phases import Turn

_EXAMPLES = 512


class HeldOut:
    """Listener that logs the held-out loss, and says at the end if training overfitted.

    Always the same examples, noised in the same way, so that two steps differ by what was learned
    alone; how sure a difference is follows from its spread over the examples. The word at the end
    knows the looks since the last resume.

    Arguments:
        log: metrics.jsonl.
        data: examples that are not trained on.
        every: steps between two looks.
        tell: called with the word at the end.
    """

    def __init__(self, log: MetricsLog, data: Dataset, every: int | None, tell: Any) -> None:
        self.log, self.data, self.every, self.tell = log, data, every, tell
        self.best: tuple[int, Tensor] | None = None
        self.last: tuple[int, Tensor] | None = None

    def __call__(self, event: Event, run: Run) -> None:
        if isinstance(event, Paused) and self.every and event.step % self.every == 0:
            every = self._look(run)
            means = {name: float(losses.mean()) for name, losses in every.items()}
            losses, mean = next(iter(every.values())), next(iter(means.values()))
            self.last = (event.step, losses)
            if self.best is None or mean < float(self.best[1].mean()):
                self.best = self.last
            if not (event.again and self.log.has("held out", event.step)):
                phases = {"phases": means} if len(means) > 1 else {}
                self.log.write({"event": "held out", "step": event.step, "loss": mean, **phases})
        elif isinstance(event, Ended):
            said = self.verdict()
            if said:
                self.tell(Warned(said), run)

    def _look(self, run: Run) -> dict[str, Tensor]:
        """Losses of the held-out examples under the averaged weights, by phase."""
        data = as_modelled(self.data, run.data.info)
        count = min(_EXAMPLES, len(data))
        index = torch.arange(count) * len(data) // count
        noise = Noise(run.settings.seed, range(count)).child("held out")
        batch = data.batch(index, noise.child("data"))
        device = run.accelerator.device
        found: dict[str, list[Tensor]] = {}
        with run.averaged() as model:
            phases = model.phases()
            for rows in torch.arange(count).split(run.micro_batch):
                part = slice(int(rows[0]), int(rows[-1]) + 1)
                cond = None if batch.cond is None else batch.cond[part].to(device)
                for number, phase in enumerate(phases):
                    streams = Turn(number, phase.name).streams(noise[part])
                    value = phase.loss(batch.x[part].to(device), cond, streams).value
                    found.setdefault(phase.name, []).append(value.detach().cpu())
        return {name: torch.cat(values).double() for name, values in found.items()}

    def verdict(self) -> str:
        """Whether the end is worse than the best, beyond three standard errors; else nothing."""
        if self.best is None or self.last is None or self.best[0] == self.last[0]:
            return ""
        worse = self.last[1] - self.best[1]
        error = float(worse.std()) / len(worse) ** 0.5
        if float(worse.mean()) < 3 * error:
            return ""
        step, losses = self.best
        return (
            f"the held-out loss was lowest at step {step} ({float(losses.mean()):.4g}) and is "
            f"{float(self.last[1].mean()):.4g} now: the last steps learned the training examples "
            f"by heart. Train with {either(f'steps={step}', f'--steps {step}')}."
        )
