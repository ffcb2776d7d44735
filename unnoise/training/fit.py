"""The training loop: one for every model."""

import contextlib
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch

from unnoise.catalogue.registry import construct, spec
from unnoise.core.errors import (
    InputError,
    Interrupted,
    PeerError,
    UnnoiseError,
    either,
    line_within,
    short,
)
from unnoise.data import Dataset
from unnoise.data.brought import as_dataset
from unnoise.data.modelled import in_map
from unnoise.models.base import Model
from unnoise.models.files import Kinds, check
from unnoise.networks import LearnsClasses
from unnoise.system import parallel
from unnoise.system.modes import plain_modes
from unnoise.system.progress import Count, counting
from unnoise.system.signals import Stop, stoppable
from unnoise.training import checkpoints
from unnoise.training.events import Began, Ended, Event, Listener, Paused, Saved, Stepped, Warned
from unnoise.training.forecast import Forecast
from unnoise.training.lock import held
from unnoise.training.resources import choose, peak
from unnoise.training.run import Run
from unnoise.training.settings import Training

_OURS = ("checkpoints", "model.safetensors", "snapshots")


def fit(
    model: Model,
    data: Any,
    settings: Training | None = None,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    listeners: Sequence[Listener] = (),
    threads: int | None = None,
    begun: Callable[[Run], None] | None = None,
    progress: bool | None = None,
    **changes: Any,
) -> Model:
    """Train a model; at the end it holds the averaged weights (EMA).

    Arguments:
        model: any Model; it is changed in place, on the device it is on.
        data: what to learn from: a data set, tensor, array, pair (x, label), torch Dataset or
            DataLoader, path ...; see ``unnoise.data.as_dataset``.
        settings: the [training] table; single entries may be given by name instead
            (``steps=600, batch=128, lr=3e-3, seed=0``).
        out: a folder for checkpoints; None keeps nothing on disk.
        resume: continue from the newest whole checkpoint in ``out``, bit for bit.
        listeners: called with every event, e.g. ``MetricsLog(path)``. They only look: one that
            fails is warned of and ends nothing, unless it raises Interrupted.
        threads: CPU threads; None chooses (see ``resources.choose``).
        begun: called once before the first step, when everything was checked and ``out`` is ours;
            what it raises ends the training.
        progress: whether a line shows how far it is, as of ``unnoise.progress``.

    Returns:
        The same model, in evaluation mode.

    Raises:
        InputError: settings, data and model do not fit together, ``out`` holds another run, another
            process trains there, or the model is one whose file could not be read again.
        NumbersError: the loss or the gradient became NaN five times in a row, or a weight did;
            the model is then that of the last checkpoint.
        Interrupted: SIGINT or SIGTERM; a checkpoint of this very step was written before.
        PeerError: another process of the same training is gone.
        StorageError: a checkpoint cannot be written.
    """
    if settings is None:
        settings = cast(Training, construct(Training, changes, "training"))
    elif not isinstance(settings, Training):
        raise InputError(f"settings = {short(settings)}: give Training(...), or steps=3, lr=1e-3.")
    elif changes:
        raise InputError("give fit either settings or single entries, not both.")
    folder = None if out is None else Path(out)
    if resume and folder is None:
        raise InputError("there is nothing to resume without a folder; give fit(..., out=...).")
    with plain_modes(_device(model)), torch.enable_grad():
        brought = _brought(model, data, folder if resume else None)
        with _knowing(model, brought, settings):
            wanted = None if folder is None else check(model)
        forecast = Forecast(settings.steps, settings.batch, listeners)
        how = {"threads": threads, "begun": begun, "kept": out is not None}
        work = partial(_fit, resume=resume, forecast=forecast, **how)
        with counting("training", settings.steps, "steps", progress) as count:
            told = [partial(_count, count), *map(forecast.timed, listeners)]
            return _in_folder(model, brought, settings, folder, wanted, resume, told, work)


def _device(model: Model) -> str:
    """The kind of device that a model is on; what is no model is refused."""
    if not callable(getattr(model, "phases", None)):
        raise InputError(
            f"fit takes a model such as Diffusion(network, process); given {short(model, 40)}."
        )
    return next((p.device.type for p in model.parameters()), "cpu")


def _brought(model: Model, data: Any, resumed: Path | None) -> Dataset:
    """The user's data as a data set that fits the model, as the run that goes on modelled it."""
    found = as_dataset(data)
    # Weights that were trained stay in the map that they know.
    found = in_map(found, model.info if resumed is None else checkpoints.described(resumed))
    _check(model, found)
    classes = found.info.classes
    for part in model.modules():
        if isinstance(part, LearnsClasses) and classes is not None:
            part.learn_classes(classes)
    return found


def _in_folder(
    model: Model,
    data: Dataset,
    settings: Training,
    folder: Path | None,
    wanted: Kinds | None,
    resume: bool,
    listeners: Sequence[Listener],
    work: Callable[[Run, Callable[[Event], None]], Model],
) -> Model:
    """``work`` on a run whose folder is ours; of several processes number 0 has it."""
    parallel.join()
    if parallel.rank() > 0:
        folder = None  # process 0 alone reads and writes
    with held(folder):
        if folder is not None and not resume and any((folder / name).exists() for name in _OURS):
            raise InputError(
                f"{folder} already holds a run. Go on with it by resume=True, or choose another "
                "folder."
            )
        try:
            with parallel.watched():
                run = Run(model, data, settings, folder, wanted)
                return work(run, partial(_tell, run, listeners, set[tuple[int, type]]()))
        except PeerError as error:
            steps = [] if folder is None else checkpoints.steps_of(folder)
            saved = f" The state of step {steps[0]} is saved." if steps else ""
            raise PeerError(
                f"Training stopped: {error}{saved} Start it again with "
                f"{either('resume=True', '--resume')}."
            ) from error


@contextmanager
def _knowing(model: Model, data: Dataset, settings: Training) -> Generator[None]:
    """What a model's file will say of its data; as it was where training is refused."""
    before = model.info, model.recipe, model.origin, model.hidden
    model.info, model.origin = data.info, None
    model.hidden = dict.fromkeys(sorted(model.reads & model.guided), settings.label_dropout)
    model.recipe = {k: v for k, v in model.recipe.items() if k != "data"}  # what it was before
    with contextlib.suppress(InputError):  # data of the user's own making has no recipe
        model.recipe["data"] = spec(data)
    try:
        yield
    except BaseException:
        model.info, model.recipe, model.origin, model.hidden = before
        raise


def _tell(
    run: Run, listeners: Sequence[Listener], said: set[tuple[int, type]], event: Event
) -> None:
    """Tell every listener, in process 0; of one that fails the others hear, once."""
    for listener in listeners if parallel.rank() == 0 else ():
        try:
            listener(event, run)
        except Interrupted:
            raise
        except Exception as error:  # whatever it is, it was only a look
            others = [each for each in listeners if each is not listener]
            if (id(listener), type(error)) not in said:
                said.add((id(listener), type(error)))
                who = getattr(listener, "__name__", type(listener).__name__)
                kind = "" if isinstance(error, UnnoiseError) else f"{type(error).__name__}: "
                reason = " ".join(str(error).split())
                text = line_within(f"{who} failed, and training goes on: {kind}{reason}")
                _tell(run, others, said, Warned(text, run.step))


def _count(count: Count, event: Event, run: Run) -> None:
    """Listener that shows the progress of the steps."""
    if isinstance(event, Began):
        count(event.step, left=event.seconds)
    elif isinstance(event, Stepped):
        count(event.step, event.told, event.left)


def _fit(
    run: Run,
    tell: Callable[[Event], None],
    *,
    resume: bool,
    forecast: Forecast,
    threads: int | None,
    begun: Callable[[Run], None] | None,
    kept: bool,
) -> Model:
    """``fit``, in a folder that is ours."""
    model, folder = run.model, run.out
    found = None
    if folder is not None:
        checkpoints.sweep(folder)
    if resume and folder is not None:
        found = checkpoints.read(folder, lambda text: tell(Warned(text)))
        if found is not None:
            run.load(found, folder)
            checkpoints.restore(folder, found.step)
            now = {**run.document(), "threads": threads or run.threads}
            for text in checkpoints.unlike(found.document, now):
                tell(Warned(text))
    if not run.follow(found):
        run.begin()
    del found  # as large as the training itself
    if begun is not None and parallel.rank() == 0:
        begun(run)
    before = torch.get_num_threads()
    try:
        _train(run, run.threads or None if threads is None else threads, tell, forecast, kept)
    finally:
        run.feed.close()
        torch.set_num_threads(before)
    run.layout.finish(run.average)
    return model.eval()


def _train(
    run: Run,
    threads: int | None,
    tell: Callable[[Event], None],
    forecast: Forecast,
    kept: bool,
) -> None:
    """The steps. Where nothing is kept, Ctrl-C is not held back to save."""
    settings, model = run.settings, run.model
    run.layout.trained.train()

    before, asked = run.threads, run.micro_batch
    run.threads, run.why, seconds = choose(run.trial, threads)
    run.why = "as before the stop" if run.threads == before else run.why
    forecast.begin(run, seconds)
    tell(
        Began(
            run.step,
            settings.steps,
            sum(p.numel() for p in model.parameters()),
            run.threads,
            run.why,
            run.accelerator.device.type,
            forecast.left(run.step, run.step),
            peak(run.accelerator.device),
        )
    )
    if run.micro_batch < asked:
        tell(Warned(_fewer(run, asked)))
    if run.step:
        run.meet()
        parallel.alone(lambda: tell(Paused(run.step, settings.steps, again=True)))
    began, worked = time.perf_counter(), time.process_time()
    with stoppable() if kept else nullcontext(Stop()) as stop:
        while run.step < settings.steps:
            before = run.micro_batch
            outcome = run.advance(stop.number or 0)
            if run.micro_batch < before:
                tell(Warned(_fewer(run, before), run.step))
            if outcome.skipped:
                tell(Warned(outcome.skipped, run.step))
            rate, left = forecast.stepped(), forecast.left(run.step, run.step - 1)
            lr = settings.rate(run.step - 1)
            stepped = Stepped(run.step, settings.steps, outcome, lr, rate, left)
            if parallel.together():
                stopped = outcome.stop
                _finish_all(run, stepped, stopped, tell)
            else:
                stopped = _finish(run, stepped, lambda: stop.number or 0, tell)
            if stopped and run.step < settings.steps:
                stop.number = stopped  # whichever process it was sent to
                raise Interrupted(
                    f"Stopped at step {run.step} of {settings.steps}; it is saved. "
                    f"Go on with {either('resume=True', '--resume')}.",
                    stop.exit_code,
                )
        tell(Ended(run.step, time.perf_counter() - began, time.process_time() - worked))


def _finish_all(run: Run, stepped: Stepped, agreed: int, tell: Callable[[Event], None]) -> None:
    """``_finish`` of several processes; nobody else hears of a signal before the next exchange."""
    if run.settings.due(run.step) or agreed:
        run.meet()
        parallel.alone(partial(_finish, run, stepped, partial(int, agreed), tell))
    else:
        tell(stepped)
        tell(Paused(run.step, run.settings.steps))


def _finish(
    run: Run, stepped: Stepped, asked: Callable[[], int], tell: Callable[[Event], None]
) -> int:
    """What one process does after a step while the others wait: write, and only then look.

    Returns:
        The signal that it was asked to stop by, for which it has saved; 0 for none.
    """
    tell(stepped)
    if run.settings.snapshot_due(run.step):
        run.snapshot()
    stopped = asked()
    if run.out is not None and (run.settings.save_due(run.step) or stopped):
        tell(Saved(run.step, run.save()))
    steps = run.settings.steps
    if not stopped or run.step == steps:
        tell(Paused(run.step, steps))
    return stopped


def _fewer(run: Run, before: int) -> str:
    return (
        f"memory ran out with {before} examples at once; from here on {run.micro_batch} at a time "
        "(equal up to rounding)."
    )


def _check(model: Model, data: Dataset) -> None:
    if tuple(data.info.shape) != tuple(model.shape):
        raise InputError(
            f"data {data.info.name!r} has events of shape {data.info.shape}; the model "
            f"was made for {tuple(model.shape)}."
        )
    known, given = model.classes, data.info.classes
    if known is None and given is None and "label" in model.reads:
        raise InputError(f"the model reads labels; data {data.info.name!r} has none.")
    if known is not None and (given is None or given > known):
        raise InputError(
            f"the model reads {known} labels; data {data.info.name!r} has {given or 'none'}."
        )
