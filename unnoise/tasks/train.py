"""Training from a recipe into a run folder."""

import json
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import tomli_w
import torch

from unnoise.catalogue.weights import at_most
from unnoise.core.errors import InputError, Interrupted, either, line_within, short, within
from unnoise.data import Dataset, as_dataset
from unnoise.data.modelled import in_map
from unnoise.data.pictures.images import told
from unnoise.data.places import data_table
from unnoise.models import Model, load
from unnoise.recipes.load import Recipe, load_recipe, parse_changes, shipped
from unnoise.system import parallel
from unnoise.system.files import becomes, write_atomic
from unnoise.system.memory import installed
from unnoise.tasks.held_out import HeldOut
from unnoise.tasks.listeners import Evaluations, Log, LossCurve, SampleSheets
from unnoise.tasks.output import write_json
from unnoise.tasks.own_data import own_data
from unnoise.tasks.trackers import Tracker
from unnoise.training import Event, Listener, MetricsLog, Run, Saved, Warned, fit, lock


@dataclass(frozen=True)
class Prepared:
    """Training run that was built and checked, before anything is written.

    Arguments:
        recipe: as read.
        model: fresh, or with another run's weights.
        data: to train on.
        tables: the recipe with every default spelled out.
        fork: where the first weights came from, if not from the seed.
    """

    recipe: Recipe
    model: Model
    data: Dataset
    tables: dict[str, Any]
    fork: str | None = None

    def told(self) -> str:
        """Its data and its model, in a line."""
        info, model = self.data.info, self.tables["model"]
        kinds = [f"{k} {model[k]['kind']}" for k in ("network", "process", "head") if k in model]
        # Of a source of the user's own the line before has said the classes.
        labels = None if self.data.told else info.labels
        classes = "" if labels is None else f", {labels.told(60)}"
        what = f"{info.count:,} of shape {info.shape}{classes}"
        return line_within(f"data {info.name}: {what}; {model['kind']}: {', '.join(kinds)}")


def changes_of(data: str | None, given: Sequence[str], short: Mapping[str, Any]) -> dict[str, Any]:
    """Changes of a recipe by dotted name: data of the user's own in place of its own, what --set
    was given, and settings of [training] where they are not None; what comes later wins."""
    own = {} if data is None else {"data": {}}
    own |= {} if data is None else {f"data.{k}": v for k, v in data_table(data).items()}
    few = {f"training.{name}": value for name, value in short.items() if value is not None}
    return {**own, **parse_changes(given), **few}


def assemble(
    source: str | Path | Mapping[str, Any],
    changes: Mapping[str, Any] | None = None,
    plugins: Sequence[str] = (),
    fork: str | Path | None = None,
    device: str | None = None,
    *,
    quick: bool = False,
    data: Any = None,
) -> Prepared:
    """Read a recipe and build what it names.

    Arguments:
        source: name of a shipped recipe, path of a .toml file, tables, or a Recipe's source.
        changes, plugins, fork, device: as of ``train``; changes win.
        quick: a tenth of the steps.
        data: in place of the recipe's own: a path, or whatever ``as_dataset`` takes.

    Raises:
        InputError: one line for each mistake.
    """
    if isinstance(data, str | Path):
        changes, data = {**changes_of(str(data), (), {}), **(changes or {})}, None
    read = partial(load_recipe, source, plugins=plugins)
    if data is not None:
        read = partial(read, needed=("model",))
    recipe = read(changes)
    if quick:
        few = {"training.steps": max(1, recipe.training.steps // 10)}
        recipe = read({**(changes or {}), **few})
    data = recipe.dataset() if data is None else as_dataset(data)
    memory = installed() or 1 << 60
    refusal = InputError(
        f"model: its weights need more than a quarter of this machine's {memory / 2**30:.0f} GiB, "
        "and training five times as much; make the network narrower (width) or shorter (depth)."
    )
    numbers = memory // 4 // 4  # of four bytes, in a quarter of the memory
    with at_most(numbers, 10_000_000, refusal):
        model = recipe.build_model(data.info)
    tables = recipe.tables(model, data)
    model.recipe = {k: v for k, v in tables.items() if k not in ("model", "sampling")}
    if fork is not None:
        first = load(fork)
        data = in_map(data, first.info)  # which its weights know
        try:
            model.load_state_dict(first.state_dict())
        except RuntimeError as error:
            raise InputError(
                f"{fork} has other weights than this recipe's model; fork with the same [model]."
            ) from error
    model.to(_device(device))
    return Prepared(recipe, model, data, tables, None if fork is None else str(fork))


def _device(asked: str | None) -> torch.device:
    try:
        own = f"cuda:{parallel.local_rank()}" if torch.cuda.is_available() else "cpu"
        device = torch.device(asked or own)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = within(str(error).splitlines()[0].rstrip("."), 100)
        raise InputError(f"device {short(asked)} cannot be used: {reason}. Try cpu.") from error
    return device


def train(
    recipe: str | Path | Mapping[str, Any] | Prepared,
    out: str | Path | None = None,
    *,
    data: Any = None,
    changes: Mapping[str, Any] | None = None,
    plugins: Sequence[str] = (),
    resume: bool = False,
    fork: str | Path | None = None,
    device: str | None = None,
    threads: int | None = None,
    listeners: Sequence[Listener] = (),
    track: Sequence[Tracker] = (),
    progress: bool | None = None,
) -> Model:
    """Train by a recipe and keep everything in one folder.

    Arguments:
        recipe: name of a shipped recipe ("digits"), path of a .toml file, or tables.
        out: the run's folder; "runs/NAME" when absent. It must be new or empty, unless ``resume``.
        data: in place of the recipe's own: a path, a tensor, an array, a pair (x, label), a torch
            Dataset or DataLoader ...; see ``unnoise.data.as_dataset``.
        changes: values by dotted name, e.g. {"training.lr": 1e-3}.
        plugins: the user's Python files to load first.
        resume: continue the run in ``out``, bit for bit.
        fork: a run or model file whose weights to start from.
        device: "cpu", "cuda" ...; None takes a GPU where there is one.
        threads: CPU threads; None chooses.
        listeners: called with every event, beside the folder's own.
        track: where the figures go beside metrics.jsonl: ``TensorBoard()``, ``WandB()``.
        progress: whether a line shows how far it is, as of ``unnoise.progress``.

    Returns:
        The trained model.

    Raises:
        InputError, StorageError, NumbersError, Interrupted: as ``fit``.
    """
    made = recipe
    if not isinstance(made, Prepared):
        made = assemble(own_recipe(made, out, resume), changes, plugins, fork, device, data=data)
    folder = Path("runs") / made.recipe.name if out is None else Path(out)
    settings = made.recipe.training
    parallel.join()
    check_folder(folder, resume)
    metrics = MetricsLog(folder / "metrics.jsonl")
    log = Log(folder / "log.txt")
    own: list[Listener] = [
        log,
        metrics,
        SampleSheets(folder / "samples", settings.sample_every),
        Evaluations(metrics, made.recipe.evaluation, settings.eval_every),
        LossCurve(metrics.path, folder / "loss.png"),
    ]
    named = 0

    def warn(event: Event, run: Run) -> None:
        for listener in (log, *listeners):
            listener(event, run)

    def begun(run: Run) -> None:
        """The recipe comes first: from here on the run can be resumed, whenever it is killed."""
        if not (folder / "recipe.toml").exists():
            write_atomic(folder / "recipe.toml", toml(made.tables).encode())
        for tracker in track:
            tracker.open(folder, made.tables)

    def record(event: Event, run: Run) -> None:
        nonlocal named
        # Shards are looked at as they come, so more may be refused later.
        if len(made.data.refused) > named:
            named = len(made.data.refused)
            warn(_name_refused(made.data, folder / "refused.jsonl"), run)
        if isinstance(event, Saved):
            write_atomic(folder / "recipe.toml", toml(made.tables).encode())
        if isinstance(event, Saved) or not (folder / "manifest.json").exists():
            write_json(folder / "manifest.json", manifest(made, run))

    if settings.eval_every is not None and parallel.rank() == 0:
        own.append(HeldOut(metrics, own_data(made.model, "test"), settings.eval_every, warn))
    try:
        return fit(
            made.model,
            made.data,
            settings,
            out=folder,
            resume=resume,
            threads=threads,
            listeners=[record, *own, *track, *listeners],
            begun=begun,
            progress=progress,
        )
    except Interrupted as stop:
        again = f"Go on with: unnoise train {folder}/recipe.toml --out {folder} --resume"
        said = str(stop).replace("Go on with --resume.", again)
        raise Interrupted(said, stop.exit_code) from None


def _name_refused(data: Dataset, path: Path) -> Warned:
    """Write refused.jsonl; a line that says so."""
    lines = [json.dumps(asdict(each), ensure_ascii=False) + "\n" for each in data.refused]
    write_atomic(path, "".join(lines).encode("utf-8", "backslashreplace"))
    total = len(data) + len(data.refused)
    return Warned(f"{told(data.refused, total)} All of them: {path}")


def own_recipe(recipe: Any, out: str | Path | None, resume: bool) -> Any:
    """What to read when a run goes on: a shipped recipe's name then means the run's own copy of it,
    with every ``--set`` that it was started with. A file of the user's is read as it is."""
    if not resume or not isinstance(recipe, str) or recipe not in shipped():
        return recipe
    folder = Path("runs") / recipe if out is None else Path(out)
    own = folder / "recipe.toml"
    if not own.is_file():
        return recipe  # check_folder says what is wrong
    name = load_recipe(own).name
    if name != recipe:
        raise InputError(
            f"{folder} is a run of {name!r}, not of {recipe!r}. Go on with it by: "
            f"unnoise train {own} --out {folder} --resume"
        )
    return own


def check_folder(folder: Path, resume: bool) -> None:
    """Refuse a folder that already holds something, unless it is a run to go on with;
    process 0 looks for all.

    What a run that was killed in its first moment leaves behind does not count.
    """
    if parallel.rank() > 0:
        return
    out, resuming = either("out=", "--out"), either("resume=True", "--resume")
    if folder.is_file():
        raise InputError(f"{folder} is a file; give the name of a new folder with {out}.")
    recipe = folder / "recipe.toml"
    if recipe.is_file() and resume:
        return
    empty = not folder.is_dir() or all(_before_the_recipe(path.name) for path in folder.iterdir())
    if empty and resume:
        raise InputError(f"{folder} holds no run yet that could be resumed; leave {resuming} out.")
    if empty:
        return
    if not recipe.is_file():
        raise InputError(f"{folder} exists already and holds no run; give a new folder by {out}.")
    number = next(i for i in range(2, 10_000) if not Path(f"{folder}-{i}").exists())
    forked = either(
        f"fork={str(folder)!r}, out='{folder}-{number}'",
        f"--fork {folder} --out {folder}-{number}",
    )
    raise InputError(
        f"{folder} exists already. Go on with it by {resuming}, or start from its weights: {forked}"
    )


def _before_the_recipe(name: str) -> bool:
    """Whether a file may lie in a folder whose run has not written its recipe yet."""
    return name == lock.NAME or becomes(name) == "recipe.toml"


def toml(tables: Mapping[str, Any]) -> str:
    """Tables of a recipe as a TOML file."""
    return tomli_w.dumps(tables)


def manifest(made: Prepared, run: Run) -> dict[str, Any]:
    """What else the bits of a run depend on, and how it was started."""
    from importlib.metadata import version

    return {
        "command": " ".join(sys.argv),
        "unnoise": version("unnoise"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "threads_why": run.why,
        "seed": made.recipe.training.seed,
        "fork": made.fork,
        **conditions(run),
    }


def conditions(run: Run) -> dict[str, Any]:
    """What else the bits of a run depend on, as far as a repetition can compare it."""
    return {
        "torch": torch.__version__,
        "device": str(run.accelerator.device),
        "threads": run.threads,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "processes": run.accelerator.num_processes,
        "data": {"name": run.data.info.name, "sha256": run.data.info.sha256},
    }
