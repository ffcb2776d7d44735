"""Training settings (hyperparameters): the [training] table of a recipe."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, final

from unnoise.catalogue.ranges import (
    Count,
    Examples,
    Few,
    Fraction,
    Index,
    NotNegative,
    Positive,
    Short,
)
from unnoise.catalogue.registry import register
from unnoise.core.errors import InputError
from unnoise.core.noise import check_seed
from unnoise.training.averages import exponent
from unnoise.training.optim import BETAS, AdamW, CosineSchedule, Optimiser, Schedule


@register("training", "training")
@final
@dataclass(frozen=True)
class Training:
    """Training settings: optimiser, learning rate schedule, EMA, gradient clipping, precision.

    Arguments:
        steps: optimiser steps.
        batch: examples a step, over all processes.
        micro_batch: examples computed at once on each process; None takes as many as memory holds.
        lr: peak learning rate.
        warmup: steps in which the learning rate rises to its peak.
        schedule: how it runs from there.
        optimiser: "adamw", "sgd", or a table.
        betas: averaging of the gradient and of its square.
        weight_decay: share of the learning rate times each weight that is taken off a step.
        ema_half_life: of the averaged weights, in examples; 0 keeps no average.
        half_lives: of further averages, kept in the checkpoint beside the model's own.
        power_averages: widths of power-function averages, each in (0, 0.28], whose snapshots give
            an average of any width afterwards (``unnoise average``); (0.05, 0.1) spans them well.
        snapshot_every: steps between their snapshots; None makes sixteen.
        clip: largest norm of the gradient.
        precision: what the network computes in; weights and clock stay float32. float16 scales
            its loss.
        label_dropout: share of the examples whose label is hidden, for guidance; likewise of any
            other slot that the network's guidance hides, each by its own draw.
        seed: of weights, order, noise and dropout.
        workers: threads that make batches ahead; 0 makes each when it is needed.
        sharded: of several processes each holds only its share of weights, averages and optimiser,
            for models that one device cannot hold.
        save_every: steps between checkpoints; None saves at the end only.
        sample_every: steps between sample sheets; None makes one at the end.
        eval_every: steps between evaluations; None evaluates never.
    """

    family: ClassVar[str] = "training"

    steps: Count = 600
    batch: Examples = 128
    micro_batch: Examples | None = None
    lr: Positive = 3e-3
    warmup: Index = 50
    schedule: Schedule = CosineSchedule()
    optimiser: Optimiser = AdamW()
    betas: tuple[Fraction, Fraction] = BETAS
    weight_decay: NotNegative = 0.01
    ema_half_life: NotNegative = 8000.0
    half_lives: Annotated[tuple[NotNegative, ...], Short] = ()
    power_averages: Annotated[tuple[Positive, ...], Short] = ()
    snapshot_every: Count | None = None
    clip: Positive = 1.0
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    label_dropout: Fraction = 0.1
    seed: int = 0
    workers: Few = 0
    sharded: bool = False
    save_every: Count | None = None
    sample_every: Count | None = None
    eval_every: Count | None = None

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if max(self.betas) >= 1:
            raise InputError(f"betas = {self.betas}: both must be below 1.")
        for width in self.power_averages:
            exponent(width)  # says what is wrong with it

    def snapshot_due(self, step: int) -> bool:
        """Whether a snapshot for post-hoc EMA is due after so many steps."""
        every = self.snapshot_every or max(1, self.steps // 16)
        return bool(self.power_averages) and (step % every == 0 or step == self.steps)

    def save_due(self, step: int) -> bool:
        """Whether a checkpoint is due after so many steps."""
        return step == self.steps or (self.save_every is not None and step % self.save_every == 0)

    def due(self, step: int) -> bool:
        """Whether a checkpoint, snapshot, evaluation or sample sheet is due after so many steps."""
        looks = (self.sample_every, self.eval_every)
        look = any(every is not None and step % every == 0 for every in looks)
        return look or self.save_due(step) or self.snapshot_due(step)

    def rate(self, step: int) -> float:
        """Learning rate of step ``step`` (from 0), with warm-up and schedule."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        left = max(1, self.steps - self.warmup)
        return self.lr * self.schedule((step - self.warmup) / left)
