"""State of a training run: weights, optimisers, EMA, the training step, and checkpoints."""

import math
from collections.abc import Generator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from unnoise.catalogue.registry import spec
from unnoise.core.errors import InputError, NumbersError, StorageError, either
from unnoise.core.noise import Noise, seeded
from unnoise.data import Batch, Dataset
from unnoise.models.base import Begins, Model
from unnoise.models.files import Kinds, content
from unnoise.system import parallel
from unnoise.system.documents import checked
from unnoise.system.memory import with_less
from unnoise.training import checkpoints
from unnoise.training.averages import Average, exponential, power
from unnoise.training.feed import Feed, examples
from unnoise.training.guard import MOST, Guard, LossScale, bad_weight, culprit
from unnoise.training.layout import Layout, Replicated, Sharded
from unnoise.training.optim import Optimising
from unnoise.training.phases import Outcome, Turn, changed_by, gathered, only, remembered, turns
from unnoise.training.settings import Training
from unnoise.training.shares import put
from unnoise.training.snapshots import write_snapshot


@final
class Run:
    """Training run in progress; listeners (callbacks) receive it.

    Attributes:
        model: the user's; ``averaged()`` lends it with the averaged weights.
        settings: the [training] table.
        out: the run's folder, or None.
        step: steps done.
        micro_batch: examples computed at once; fewer than asked for where memory ran out.
    """

    def __init__(
        self,
        model: Model,
        data: Dataset,
        settings: Training,
        out: Path | None,
        wanted: Kinds | None = None,
    ) -> None:
        from accelerate import Accelerator  # only the engine needs it, and it costs 0.1 s

        self.model, self.data, self.settings, self.out = model, data, settings, out
        self.wanted = wanted  # what a model file of this training holds, once it was checked
        self.step = 0
        device = next(model.parameters()).device
        # Said outright, because accelerate also reads these from the environment.
        self.accelerator = Accelerator(cpu=device.type == "cpu", mixed_precision="no")
        self.accelerator.gradient_accumulation_steps = 1
        if self.accelerator.device.type != device.type:
            raise InputError(
                f"the model is on {device}, but this process trains on {self.accelerator.device}; "
                "move the model there, or start a new process."
            )
        parallel.same_everywhere(list(model.state_dict().values()))
        processes = self.accelerator.num_processes
        sharded = settings.sharded and processes > 1
        self.layout: Layout = (
            Sharded(model, device) if sharded else Replicated(model, self.accelerator)
        )
        names = {p: n for n, p in self.layout.trained.named_parameters()}
        self.phases = self.layout.trained.phases()
        self.turns = turns(self.phases)
        self.optimisers = [
            Optimising(
                settings.optimiser,
                {names[p]: p for p in phase.module.parameters()},
                settings.betas if phase.betas is None else phase.betas,
                settings.weight_decay if phase.weight_decay is None else phase.weight_decay,
                self.layout.norm,
            )
            for phase in self.phases
        ]
        self._start_averages()
        self.noise = Noise(settings.seed, range(settings.batch)).child("training")
        share = settings.batch // processes
        if share * processes != settings.batch:
            raise InputError(
                f"batch = {settings.batch} cannot be shared by {processes} processes; make it a "
                "multiple."
            )
        first = self.accelerator.process_index * share
        self.rows = slice(first, first + share)
        self.threads, self.why = 0, ""
        self.guard = Guard()
        self.scale = LossScale(settings.precision == "float16")
        self.micro_batch = settings.micro_batch or share
        self.feed = Feed(self.batch, settings.workers, settings.steps)

    def _start_averages(self) -> None:
        settings, named = self.settings, dict(self.layout.trained.named_parameters())
        # The first is the model's own; the others are kept beside it.
        profiles = [exponential(h) for h in (settings.ema_half_life, *settings.half_lives)]
        profiles += [power(width) for width in settings.power_averages]
        self.averages = [Average(named, profile) for profile in profiles]
        self.average = self.averages[0]

    def begin(self) -> None:
        """Data-dependent first values (``Begins``), once in a model's life."""
        if isinstance(self.model, Begins) and not bool(self.model.begun):
            # The whole batch, alike in every process.
            count = min(self.settings.batch, len(self.data))
            index = examples(self.settings.seed, 0, self.settings.batch, self.data)[:count]
            batch = self.data.batch(index, self.noise.child(0)[:count].child("data"))
            device, cond = self.accelerator.device, batch.cond
            with torch.no_grad():
                self.model.begin(batch.x.to(device), None if cond is None else cond.to(device))
                self.model.begun.fill_(True)
            self._start_averages()

    @contextmanager
    def averaged(self) -> Generator[Model]:
        """Context: the model with averaged weights (EMA), for evaluation during training."""
        with self.layout.lent(self.average) as model, torch.no_grad():
            training = model.training
            model.eval()
            try:
                yield model
            finally:
                model.train(training)

    def batch(self, step: int) -> tuple[Batch, Noise]:
        """Load this process's share of a step's batch, and its streams of noise."""
        settings = self.settings
        noise = self.noise.child(step)[self.rows]
        index = examples(settings.seed, step, settings.batch, self.data)[self.rows]
        batch = self.data.batch(index, noise.child("data"))
        cond = batch.cond
        if cond is not None and settings.label_dropout:
            for slot in sorted(cond.slots & self.model.guided):
                u = noise.child(f"{slot} dropout").uniform(torch.empty(len(index)))
                cond = cond.drop(u >= settings.label_dropout, [slot])
        return Batch(batch.x, cond), noise

    def backward(
        self, step: int, turn: Turn, gradients: bool = True, alone: bool = False
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Backward pass of a phase's mean loss, times the loss scale, in micro-batches.

        Arguments:
            step, turn: which.
            gradients: False computes the loss only.
            alone: exchange nothing with other processes.

        Returns:
            The loss of each example of this process, and its logs.
        """
        device, module = self.accelerator.device, self.phases[turn.phase].module
        batch, noise = self.feed(step)
        size, divisor = self.micro_batch, self.layout.divisor(len(batch))
        place = () if turn == self.turns[0] else (turn.name, turn.repeat)
        values: list[Tensor] = []
        logs: list[dict[str, Tensor]] = []
        for a in range(0, len(batch), size):
            part = slice(a, a + size)
            last = a + size >= len(batch)
            # By the place in the whole batch, so that it is the same for any number of processes.
            with (
                seeded(self.settings.seed, "dropout", step, self.rows.start + a, *place),
                nullcontext() if last and not alone else self.layout.quiet(),
                nullcontext() if len(self.phases) == 1 else only(module, self.layout.trained),
            ):
                cond = None if batch.cond is None else batch.cond[part].to(device)
                x, streams = batch.x[part].to(device), turn.streams(noise[part])
                with self._precision():
                    loss = self.layout.module(x, cond, streams, turn.phase)
                if gradients:
                    self.accelerator.backward(loss.value.sum() * self.scale.value / divisor)
                values.append(loss.value.detach())
                logs.append(loss.logs)
        if gradients and not alone:
            self.layout.exchange(self.optimisers[turn.phase].parameters)
        joined = {key: torch.cat([log[key] for log in logs]) for key in logs[0]}
        return torch.cat(values), joined

    def _fitting(self, turn: Turn, alone: bool = False) -> tuple[Tensor, dict[str, Tensor]]:
        """``backward`` of this step, with half the micro-batch each time memory runs out.

        Raises:
            StorageError: it ran out with a single example.
        """

        def less() -> bool:
            if self.micro_batch == 1:
                raise StorageError(
                    "memory has run out with a single example. Take a smaller network, smaller "
                    f"pictures, or {either('precision', '--precision')} bfloat16."
                )
            for optimiser in self.optimisers:
                optimiser.zero_grad()
            self.micro_batch = (self.micro_batch + 1) // 2
            return True

        return with_less(partial(self.backward, self.step, turn, alone=alone), less)

    def trial(self) -> None:
        """Trial step: changes only ``micro_batch``, to one that fits in memory in all processes."""
        restore = remembered(list(self.layout.trained.buffers()))
        for turn in self.turns:
            if self.layout.independent:
                self._fitting(turn, alone=True)
            else:
                self.backward(self.step, turn)
            self.optimisers[turn.phase].zero_grad()
        restore()
        least = torch.tensor([self.micro_batch], device=self.accelerator.device)
        every: Any = self.accelerator.gather(least)
        self.micro_batch = int(every.min())

    def _precision(self) -> Any:
        kind, device = self.settings.precision, self.accelerator.device.type
        return nullcontext() if kind == "float32" else torch.autocast(device, getattr(torch, kind))

    def advance(self, asked: int = 0) -> Outcome:
        """One training step: backward, gradient clipping, optimiser and EMA, for every phase.

        A step whose loss or gradient is NaN or infinite, in any phase, changes only the count of
        such steps: what earlier phases changed is put back.

        Arguments:
            asked: the signal that this process was asked to stop by; 0 for none.
        """
        outcome, every = Outcome(stop=asked), dict[str, list[float]]()
        restore = remembered(changed_by(self.layout.trained, self.optimisers, len(self.turns)))
        for turn in self.turns:
            optimiser = self.optimisers[turn.phase]
            optimiser.zero_grad()
            # Of several processes one cannot begin anew while the others wait for its gradient.
            several = self.accelerator.num_processes > 1
            work = partial(self.backward, self.step) if several else self._fitting
            values, logs = work(turn)
            norm = optimiser.clip(self.settings.clip, self.scale.value)
            loss, logs, outcome.stop = gathered(self.accelerator, values, logs, outcome.stop)
            outcome.logs[turn.name] = logs
            every.setdefault(turn.name, []).append(loss)
            if math.isfinite(loss) and math.isfinite(norm):
                optimiser.step(self.settings.rate(self.step) * self.phases[turn.phase].rate)
                continue
            # What half precision does now and then nobody need hear of.
            quiet = math.isfinite(loss) and self.scale.overflowed()
            outcome.skipped = "" if quiet else self._left_out(turn, loss)
            restore()
            break
        outcome.losses = {name: sum(losses) / len(losses) for name, losses in every.items()}
        if outcome.skipped is None:
            self.guard.good()
            self.scale.went_well()
            for average in self.averages:
                average.update(self.step, self.settings.batch)
        self.step += 1
        return outcome

    def _left_out(self, turn: Turn, loss: float) -> str:
        """What went wrong in this step, in words; the end of the training if it is too much."""
        what = "the gradient" if math.isfinite(loss) else "the loss"
        broken = bad_weight(self.layout.trained)
        if broken is not None:
            self._give_up(f"{what} became NaN or infinite at step {self.step} (weight {broken})")
        batch, _ = self.batch(self.step)
        where = culprit(self.layout.trained, batch.x, lambda: self.backward(self.step, turn, False))
        self.optimisers[turn.phase].zero_grad()
        if self.guard.bad():
            self._give_up(
                f"{what} became NaN or infinite at step {self.step}, the {MOST}th time in a row "
                f"(first {where})"
            )
        return (
            f"step {self.step} is left out: {what} became NaN or infinite (first {where}); "
            f"{self.guard.skipped} so far."
        )

    def _give_up(self, why: str) -> None:
        """End the training with the state of the last checkpoint, where there is one."""
        kept = ""
        found = checkpoints.read(self.out, lambda _: None) if self.out else None
        if found is not None and self.out is not None:
            self.load(found, self.out)
            kept = f" The state of step {found.step} is saved."
        table = either("", "--set training.")
        cure = f"{table}lr={self.settings.lr / 10:g}, or {table}precision=float32"
        raise NumbersError(f"Training stopped: {why}.{kept} Try {cure}.")

    # -- state ----------------------------------------------------------------------------------

    def document(self) -> dict[str, Any]:
        """Metadata of a checkpoint: settings, model, data and machine."""
        return {
            "format": 1,
            "kind": "state",
            "training": spec(self.settings),
            "model": spec(self.model),
            "data": f"{self.data.info.name} (hash {self.data.info.sha256[:12]})",
            "threads": self.threads,
            "micro_batch": self.micro_batch,
            "torch": torch.__version__,
            "device": self.accelerator.device.type,
            "cpu": torch.backends.cpu.get_cpu_capability(),
            "processes": self.accelerator.num_processes,
        }

    def state(self) -> Mapping[str, Tensor]:
        """State dict of training for a checkpoint, unsharded; of several processes in process 0."""
        return self.layout.state(self._parts())

    def meet(self) -> None:
        """Gather the state, in all processes, before process 0 evaluates and saves alone."""
        self.layout.meet(self._parts(), self.average)

    def _held(self) -> dict[str, Average | Guard | LossScale | Optimising]:
        """What has a state beside the weights, by the name that its entries begin with."""
        return {
            **{f"average.{i}": each for i, each in enumerate(self.averages)},
            "guard": self.guard,
            "scale": self.scale,
            **{f"optimiser.{i}": each for i, each in enumerate(self.optimisers)},
        }

    def _parts(self) -> dict[str, Tensor]:
        """The state as this process holds it."""
        found = {f"weights.{n}": v for n, v in self.layout.trained.state_dict().items()}
        for name, held in self._held().items():
            found |= {f"{name}.{n}": v for n, v in held.state().items()}
        return found

    def load(self, found: checkpoints.Checkpoint, folder: Path) -> None:
        """Resume from a checkpoint; of several processes, process 0 does.

        Raises:
            InputError: other settings, another model or other data; or a part of it is missing.
        """
        now = self.document()
        then = checked(checkpoints.Made, found.document, f"{folder}, step {found.step},")
        # A setting that is newer than the checkpoint was then what its default says.
        known = {**then, "training": {**spec(Training()), **then["training"]}}
        checkpoints.refuse_changes(known, now, folder)
        try:
            self._take(found.state)
            self.threads = int(then["threads"])  # other threads, other rounding
            if self.settings.micro_batch is None and then["processes"] == now["processes"]:
                self.micro_batch = int(then["micro_batch"])  # what memory allowed
        except (KeyError, RuntimeError) as error:
            raise InputError(
                f"{folder}: the checkpoint of step {found.step} does not fit: "
                f"{' '.join(str(error).split())}."
            ) from error
        self.step = found.step

    def _take(self, state: Mapping[str, Tensor]) -> None:
        given = checkpoints.under("weights.", state)
        for name, value in self.layout.trained.state_dict().items():
            put(value, given[name])
        for name, held in self._held().items():
            held.load(checkpoints.under(f"{name}.", state))

    def follow(self, found: checkpoints.Checkpoint | None) -> bool:
        """Broadcast the checkpoint that process 0 has loaded, if any; returns whether it has."""
        if not parallel.together():
            return found is not None
        told = torch.tensor([self.step, self.threads, found is not None])
        parallel.same_everywhere([told])
        self.step, self.threads, loaded = told.tolist()
        if loaded:
            state = {
                name: found.state[name] if found else torch.empty(value.shape, dtype=value.dtype)
                for name, value in sorted(self._parts().items())
            }
            parallel.same_everywhere(list(state.values()))
            self._take(state)
        return bool(loaded)

    def save(self) -> Path:
        """Write a checkpoint of this step."""
        if self.out is None:
            raise InputError("this training has no folder to save into; give fit(..., out=...).")
        with self.averaged() as model:
            weights = content(model, self.wanted)
        return checkpoints.write(self.out, self.step, weights, self.document(), self.state())

    def snapshot(self) -> None:
        """Write a snapshot of this step's power-function averages, for post-hoc EMA."""
        if self.out is not None:
            widths, state = self.settings.power_averages, self.state()
            numbers = range(len(self.averages) - len(widths), len(self.averages))
            averages = [checkpoints.under(f"average.{i}.", state) for i in numbers]
            write_snapshot(self.out, self.step, widths, averages)
