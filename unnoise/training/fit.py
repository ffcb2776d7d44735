"""The training loop: one for every model."""

import math
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast, final

import torch
from torch import Tensor

from unnoise.core.errors import InputError, Interrupted, NumbersError
from unnoise.core.noise import Noise, seeded
from unnoise.core.registry import construct, spec
from unnoise.data import Batch, Dataset
from unnoise.models.base import Model
from unnoise.models.files import content
from unnoise.training import checkpoints
from unnoise.training.events import Began, Ended, Event, Listener, Saved, Stepped, Warned
from unnoise.training.optim import AdamW, Average
from unnoise.training.order import examples
from unnoise.training.settings import Training
from unnoise.training.signals import Stop, stoppable
from unnoise.training.threads import choose

# Settings that change what is written down, not what is learned.
_HARMLESS = ("save_every", "sample_every", "eval_every", "micro_batch")


@final
class Run:
    """A training in progress; what listeners may look at.

    Attributes:
        model: holds the raw weights; ``averaged()`` lends it the averaged ones.
        settings: the [training] table.
        out: the run's folder, or None.
        step: steps done.
    """

    def __init__(self, model: Model, data: Dataset, settings: Training, out: Path | None) -> None:
        from accelerate import Accelerator  # only the engine needs it, and it costs 0.1 s

        self.model, self.data, self.settings, self.out = model, data, settings, out
        self.step = 0
        self.accelerator = Accelerator(cpu=next(model.parameters()).device.type == "cpu")
        self.prepared: Any = self.accelerator.prepare(model)
        names = {id(p): n for n, p in model.named_parameters()}
        self.optimisers = [
            AdamW(
                {names[id(p)]: p for p in phase.module.parameters()},
                settings.betas,
                settings.weight_decay,
            )
            for phase in model.phases()
        ]
        self.average = Average(dict(model.named_parameters()), settings.ema_half_life)
        self.noise = Noise(settings.seed, range(settings.batch)).child("training")
        share = settings.batch // self.accelerator.num_processes
        if share * self.accelerator.num_processes != settings.batch:
            raise InputError(
                f"batch = {settings.batch} cannot be shared by {self.accelerator.num_processes} "
                "processes; make it a multiple."
            )
        first = self.accelerator.process_index * share
        self.rows = slice(first, first + share)
        self.threads, self.why = 0, ""

    @contextmanager
    def averaged(self) -> Generator[Model]:
        """The model with the averaged weights, for a look; training goes on as if nothing was."""
        training = self.model.training
        self.average.swap()
        self.model.eval()
        try:
            with torch.no_grad():
                yield self.model
        finally:
            self.model.train(training)
            self.average.swap()

    def batch(self, step: int) -> tuple[Batch, Noise]:
        """This process's share of a step's examples, and their streams."""
        settings = self.settings
        noise = self.noise.child(step)[self.rows]
        index = examples(settings.seed, step, settings.batch, len(self.data))[self.rows]
        batch = self.data.batch(index, noise.child("data"))
        cond = batch.cond
        if cond is not None and settings.label_dropout:
            u = noise.child("label dropout").uniform(torch.empty(len(index)))
            cond = cond.drop(u >= settings.label_dropout)
        return Batch(batch.x, cond), noise

    def backward(self, step: int, phase: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Gradients of a phase's mean loss; returns the loss of each example and its logs."""
        device = self.accelerator.device
        batch, noise = self.batch(step)
        size = self.settings.micro_batch or len(batch)
        values: list[Tensor] = []
        logs: list[dict[str, Tensor]] = []
        with seeded(self.settings.seed, "dropout", step, self.accelerator.process_index):
            for a in range(0, len(batch), size):
                part = slice(a, a + size)
                cond = None if batch.cond is None else batch.cond[part].to(device)
                x, streams = batch.x[part].to(device), noise[part].child("objective")
                with self._precision():
                    loss = self.prepared(x, cond, streams, phase)
                self.accelerator.backward(loss.value.sum() / len(batch))
                values.append(loss.value.detach())
                logs.append(loss.logs)
        joined = {key: torch.cat([log[key] for log in logs]) for key in logs[0]}
        return torch.cat(values), joined

    def _precision(self) -> Any:
        if self.settings.precision == "float32":
            return nullcontext()
        kind = getattr(torch, self.settings.precision)
        return torch.autocast(self.accelerator.device.type, dtype=kind)

    def advance(self) -> tuple[float, dict[str, Tensor]]:
        """One step of every phase; returns the first phase's mean loss and logs."""
        results: list[tuple[float, dict[str, Tensor]]] = []
        for phase, optimiser in enumerate(self.optimisers):
            optimiser.zero_grad()
            values, logs = self.backward(self.step, phase)
            norm = torch.nn.utils.clip_grad_norm_(optimiser.parameters, self.settings.clip)
            gathered: Any = self.accelerator.gather(values)
            loss = float(gathered.mean())
            if not math.isfinite(loss) or not math.isfinite(float(norm)):
                self._give_up(loss)
            optimiser.step(self.settings.rate(self.step))
            results.append((loss, logs))
        self.average.update(self.step, self.settings.batch)
        self.step += 1
        return results[0]

    def _give_up(self, loss: float) -> None:
        what = "the gradient" if math.isfinite(loss) else "the loss"
        saved = checkpoints.steps_of(self.out) if self.out else []
        kept = f" The state of step {saved[0]} is saved." if saved else ""
        raise NumbersError(
            f"Training stopped: {what} became NaN or infinite at step {self.step}.{kept} "
            f"Try --set training.lr={self.settings.lr / 10:g}, or --set training.precision=float32."
        )

    # -- state ----------------------------------------------------------------------------------

    def document(self) -> dict[str, Any]:
        """What the state was made under."""
        return {
            "format": 1,
            "kind": "state",
            "training": spec(self.settings),
            "model": spec(self.model),
            "data": f"{self.data.info.name} (hash {self.data.info.sha256[:12]})",
            "threads": self.threads,
            "torch": torch.__version__,
        }

    def state(self) -> dict[str, Tensor]:
        """Every tensor that a resumed run needs."""
        found = {f"weights.{n}": v for n, v in self.model.state_dict().items()}
        found.update({f"average.{n}": v for n, v in self.average.state().items()})
        for i, optimiser in enumerate(self.optimisers):
            found.update({f"optimiser.{i}.{n}": v for n, v in optimiser.state().items()})
        return found

    def load(self, found: checkpoints.Checkpoint, folder: Path) -> None:
        """Continue from a checkpoint.

        Raises:
            InputError: it was made with other settings, another model or other data; or a part
                of it is missing.
        """
        now, then = self.document(), found.document
        changed = _changes(then, now)
        if changed:
            raise InputError(
                f"{folder} was trained with other settings: {'; '.join(changed[:3])}"
                f"{f' and {len(changed) - 3} more' if len(changed) > 3 else ''}. Resume would not "
                f"be exact. Resume with the run's own recipe, {folder}/recipe.toml, or start anew "
                "from its weights with --fork."
            )
        try:
            self.model.load_state_dict(_under("weights.", found.state))
            self.average.load(_under("average.", found.state))
            for i, optimiser in enumerate(self.optimisers):
                optimiser.load(_under(f"optimiser.{i}.", found.state))
            self.threads = int(then["threads"])  # other threads, other rounding
        except (KeyError, RuntimeError) as error:
            raise InputError(
                f"{folder}: the checkpoint of step {found.step} does not fit: "
                f"{' '.join(str(error).split())}."
            ) from error
        self.step = found.step

    def save(self) -> Path:
        """Write a checkpoint of this step."""
        if self.out is None:
            raise InputError("this training has no folder to save into; give fit(..., out=...).")
        with self.averaged() as model:
            weights = content(model)
        return checkpoints.write(self.out, self.step, weights, self.document(), self.state())


def _under(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def _changes(then: Mapping[str, Any], now: Mapping[str, Any], where: str = "") -> list[str]:
    """Every setting that differs, as "training.lr was 0.003, now 0.001"."""
    found: list[str] = []
    for key in sorted({*then, *now}):
        old, new, path = then.get(key), now.get(key), f"{where}{key}"
        if key in _HARMLESS or path in ("threads", "torch") or old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += _changes(old, new, f"{path}.")  # pyright: ignore[reportUnknownArgumentType]
        else:
            found.append(f"{path} was {str(old)[:40]}, now {str(new)[:40]}")
    return found


def fit(
    model: Model,
    data: Dataset,
    settings: Training | None = None,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    listeners: Sequence[Listener] = (),
    threads: int | None = None,
    **changes: Any,
) -> Model:
    """Train a model; at the end it holds the averaged weights.

    Arguments:
        model: any Model; it is changed in place, on the device it is on.
        data: what to learn from.
        settings: the [training] table; single entries may be given by name instead
            (``steps=600, batch=128, lr=3e-3, seed=0``).
        out: a folder for checkpoints; None keeps nothing on disk.
        resume: continue from the newest whole checkpoint in ``out``, bit for bit.
        listeners: called with every event, e.g. ``MetricsLog(path)``.
        threads: CPU threads; None chooses (see ``threads.choose``).

    Returns:
        The same model, in evaluation mode.

    Raises:
        InputError: settings, data and model do not fit together, or ``out`` holds another run.
        NumbersError: the loss became NaN.
        Interrupted: SIGINT or SIGTERM; a checkpoint of this very step was written before.
        StorageError: a checkpoint cannot be written.
    """
    if settings is None:
        settings = cast(Training, construct(Training, changes, "training"))
    elif changes:
        raise InputError("give fit either settings or single entries, not both.")
    _check(model, data)
    folder = None if out is None else Path(out)
    if folder is not None and not resume and checkpoints.steps_of(folder):
        raise InputError(f"{folder} already holds a run. Resume it, or choose another folder.")
    model.info = data.info
    run = Run(model, data, settings, folder)

    def tell(event: Event) -> None:
        for listener in listeners:
            listener(event, run)

    found = None
    if resume and folder is not None:
        found = checkpoints.read(folder, lambda text: tell(Warned(text)))
        if found is not None:
            run.load(found, folder)
            checkpoints.tidy(folder, found.step)
            for text in _unlike(run, found.document, threads):
                tell(Warned(text))
    before = torch.get_num_threads()
    try:
        _train(run, threads or run.threads or None, tell)
    finally:
        torch.set_num_threads(before)
    run.average.swap()
    return model.eval()


def _unlike(run: Run, then: Mapping[str, Any], threads: int | None) -> list[str]:
    """What makes a resumed run differ in its last bits, one line each."""
    pairs = {
        "torch": (then.get("torch"), torch.__version__),
        "threads": (run.threads, threads or run.threads),
        "micro_batch": (then["training"].get("micro_batch"), run.settings.micro_batch),
    }
    return [
        f"resumed with {name} {new}, trained so far with {old}: equal up to rounding only."
        for name, (old, new) in pairs.items()
        if new != old
    ]


def _train(run: Run, threads: int | None, tell: Any) -> None:
    settings, model = run.settings, run.model
    model.train()

    def trial() -> None:
        run.backward(run.step, 0)
        for optimiser in run.optimisers:
            optimiser.zero_grad()

    before = run.threads
    run.threads, run.why = choose(trial, threads)
    run.why = "as before the stop" if run.threads == before else run.why
    parameters = sum(p.numel() for p in model.parameters())
    device = str(run.accelerator.device)
    tell(Began(run.step, settings.steps, parameters, run.threads, run.why, device))
    began, worked = time.perf_counter(), time.process_time()
    pace = _Pace(settings.batch)
    with stoppable() if run.out is not None else nullcontext(Stop()) as stop:
        while run.step < settings.steps:
            loss, logs = run.advance()
            rate = pace.tick()
            left = (settings.steps - run.step) * settings.batch / rate
            lr = settings.rate(run.step - 1)
            tell(Stepped(run.step, settings.steps, loss, lr, rate, left, logs))
            due = settings.save_every is not None and run.step % settings.save_every == 0
            last = run.step == settings.steps
            if run.out is not None and (due or last or stop.number is not None):
                if run.accelerator.is_main_process:
                    tell(Saved(run.step, run.save()))
                run.accelerator.wait_for_everyone()
            if stop.number is not None and not last:
                raise Interrupted(
                    f"Stopped at step {run.step} of {settings.steps}; it is saved. "
                    "Go on with --resume.",
                    stop.exit_code,
                )
    tell(Ended(run.step, time.perf_counter() - began, time.process_time() - worked))


class _Pace:
    """Examples a second, over about the last hundred steps."""

    def __init__(self, batch: int) -> None:
        self.batch, self.seconds, self.last = batch, 0.0, time.perf_counter()

    def tick(self) -> float:
        now = time.perf_counter()
        spent, self.last = now - self.last, now
        self.seconds = spent if not self.seconds else self.seconds + 0.02 * (spent - self.seconds)
        return self.batch / max(self.seconds, 1e-9)


def _check(model: Model, data: Dataset) -> None:
    if tuple(data.info.shape) != tuple(model.shape):
        raise InputError(
            f"data {data.info.name!r} has events of shape {data.info.shape}; the model "
            f"was made for {tuple(model.shape)}."
        )
    known, given = model.classes, data.info.classes
    if known is not None and (given is None or given > known):
        raise InputError(
            f"the model reads {known} labels; data {data.info.name!r} has {given or 'none'}."
        )
