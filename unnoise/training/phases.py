"""Training phases: the optimiser steps that a training step is made of, and what it came to."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor, nn

from unnoise.core.errors import InputError, short
from unnoise.core.noise import Noise
from unnoise.models.base import Phase
from unnoise.training.optim import Optimising


@final
@dataclass(frozen=True)
class Turn:
    """One optimiser step of a training step: a phase, and which of its repeats.

    Arguments:
        phase: its number.
        name: its name.
        repeat: from 0.
    """

    phase: int
    name: str
    repeat: int = 0

    def streams(self, noise: Noise) -> Noise:
        """What the loss draws from: "objective", or a stream of the phase's name and repeat."""
        first = self.phase == 0 and self.repeat == 0
        return noise.child("objective") if first else noise.child(self.name).child(self.repeat)


def turns(phases: Sequence[Phase]) -> list[Turn]:
    """The optimiser steps of a training step, in order.

    Raises:
        InputError: two phases have one name, or one has no steps.
    """
    names = [phase.name for phase in phases]
    if len({*names}) < len(names) or any(phase.repeats < 1 for phase in phases):
        raise InputError(f"phases {short(names)}: give each its own name, and repeats from 1.")
    return [Turn(i, p.name, r) for i, p in enumerate(phases) for r in range(p.repeats)]


@final
@dataclass
class Outcome:
    """What a training step came to, over all processes.

    Arguments:
        losses: mean loss of each phase by name, over its repeats.
        logs: figures of each example of the whole batch, by phase; of the last repeat.
        skipped: why the step was left out, in words; "" where nobody need hear of it; None where it
            was taken.
        stop: the largest signal that one of the processes was asked to stop by; 0 for none.
    """

    losses: dict[str, float] = field(default_factory=dict[str, float])
    logs: dict[str, dict[str, Tensor]] = field(default_factory=dict[str, dict[str, Tensor]])
    skipped: str | None = None
    stop: int = 0

    def summary(self) -> dict[str, dict[str, object]]:
        """Loss and mean logs of each phase, for metrics.jsonl."""
        return {
            name: {
                "loss": loss,
                "logs": {k: float(v.double().mean()) for k, v in self.logs[name].items()},
            }
            for name, loss in self.losses.items()
        }


@contextmanager
def only(module: nn.Module, model: nn.Module) -> Generator[None]:
    """Context in which no weight of ``model`` but those of ``module`` asks for a gradient."""
    mine = {id(p) for p in module.parameters()}
    others = [p for p in model.parameters() if p.requires_grad and id(p) not in mine]
    for parameter in others:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in others:
            parameter.requires_grad_(True)


def remembered(tensors: Sequence[Tensor]) -> Callable[[], None]:
    """Copies of tensors that a step may change; what is returned puts them back."""
    copies = [tensor.detach().clone() for tensor in tensors]

    @torch.no_grad()
    def restore() -> None:
        for tensor, copy in zip(tensors, copies, strict=True):
            tensor.copy_(copy)

    return restore


def changed_by(model: nn.Module, optimisers: Sequence[Optimising], turns: int) -> list[Tensor]:
    """Tensors that a step changes before it is known to be good.

    Of a single turn these are the buffers alone; of several, weights and optimiser state too.
    """
    changed = list(model.buffers())
    if turns > 1:
        changed += [p for optimiser in optimisers for p in optimiser.parameters]
        changed += [v for optimiser in optimisers for v in optimiser.state().values()]
    return changed


def gathered(
    accelerator: Any, values: Tensor, logs: dict[str, Tensor], asked: int
) -> tuple[float, dict[str, Tensor], int]:
    """Mean loss, logs of the whole batch, and the signal to stop, of all processes at once.

    Arguments:
        accelerator: accelerate's.
        values, logs: of this process's examples, each of shape (B,).
        asked: the signal that this process was asked to stop by; the largest counts.
    """
    count = accelerator.num_processes
    if count == 1:
        return float(values.mean()), logs, asked
    rows = torch.stack([each.double().to(values.device) for each in (values, *logs.values())])
    told = torch.cat([rows.flatten(), rows.new_tensor([asked])])
    everyone = accelerator.gather(told).reshape(count, -1)
    whole = everyone[:, :-1].reshape(count, *rows.shape).transpose(0, 1).flatten(1)
    joined = {key: row.to(logs[key]) for key, row in zip(logs, whole[1:], strict=True)}
    return float(whole[0].to(values).mean()), joined, int(everyone[:, -1].max())
