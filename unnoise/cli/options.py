"""Options that several commands share, and tables of figures. Imports no torch."""

import json
import re
import time
from collections import defaultdict
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import typer
from typer import Argument, Option

from unnoise.catalogue.ranges import MOST_THREADS
from unnoise.core.errors import InputError, short
from unnoise.system.progress import Count, aside, counting

RUN = Argument(help="Folder of a run, a name in runs/, or a .safetensors file.")
SEED = Option(0, help="Same seed, same samples, to the bit.")
PLUGIN = Option(None, "--plugin", help="Python file with @unnoise.register(...).")
THREADS = Option(
    None, help="CPU threads; chosen when absent.", min=1, max=MOST_THREADS, show_default=False
)
JSON = Option(False, "--json", help="One machine-readable line instead.")
DATA = Option(
    None,
    help="The model's own data, where it lies now: a name such as digits, or a path as train "
    "--data takes. [the run's]",
)
GRID = Option(
    None,
    help="Times: a name (see: unnoise show grid), a {kind = ...} table, or a list from 1 to 0. "
    "[the model's]",
)


@final
@dataclass(frozen=True)
class Machine:
    """What a model is loaded with."""

    threads: int | None = THREADS
    plugin: list[str] | None = PLUGIN

    def load(self, run: str, ability: str | None) -> Any:
        """The model of a run; ``threads`` counts for the whole command.

        Arguments:
            run: its folder, name or file.
            ability: what it must be able to, by the name in ``unnoise.models``; None asks nothing.
        """
        from unnoise import models
        from unnoise.system.threads import set_threads

        if self.threads is not None:
            set_threads(self.threads)
        model = models.load(find_run(run), tuple(self.plugin or ()))
        return model if ability is None else models.needs(model, getattr(models, ability), run)


@final
@dataclass(frozen=True)
class Voice:
    """How much a verb says."""

    quiet: bool = Option(False, "--quiet", "-q", help="Only the last line.")
    json: bool = JSON

    @property
    def silent(self) -> bool:
        """Whether nothing but the last line is printed."""
        return self.quiet or self.json

    def working(self, what: str, unit: str = "") -> AbstractContextManager[Count]:
        """Context: what takes long is seen on stderr, in a file by a line now and then."""
        return counting(what, unit=unit, shown=not self.silent)

    def say(self, *lines: str) -> None:
        """Lines for people."""
        with aside():
            for line in () if self.silent else lines:
                typer.echo(line)

    def finish(self, what: str, record: dict[str, Any]) -> None:
        """The last line of a verb: what it wrote."""
        finish(what, record, self.json)


@final
@dataclass(frozen=True)
class Walk:
    """How a model walks from noise to data."""

    guidance: str | None = Option(
        None,
        help="Guidance scale, 1 plain conditional, 0 unconditional; or a {kind = ...} table (see: "
        "unnoise show guidance). [the model's own]",
    )
    guide: str | None = Option(
        None,
        help="Run or model file to guide by: a classifier, or a weaker model. [the model itself, "
        "without its label]",
    )
    solver: str | None = Option(
        None, help="A name (see: unnoise show solver) or a {kind = ...} table. [the model's]"
    )
    steps: int | None = Option(None, help="Solver steps. [the model's own]")

    def keywords(
        self, machine: Machine, grid: str | None = None, eta: float | None = None
    ) -> dict[str, Any]:
        """The keywords of ``SampleRequest`` that were given."""
        found = {
            "guidance": None if self.guidance is None else _guidance(self.guidance),
            "solver": _solver(self.solver, eta),
            "steps": self.steps,
            "grid": None if grid is None else _grid(grid),
            "guide": None if self.guide is None else machine.load(self.guide, None),
        }
        return {name: value for name, value in found.items() if value is not None}


def find_run(name: str) -> Path:
    """A run by path, or by its name in runs/."""
    path = Path(name)
    inside = Path("runs") / name
    return inside if not path.exists() and inside.exists() else path


def home_of(run: str) -> Path:
    """The folder of a run, or of a model file."""
    found = find_run(run)
    return found if found.is_dir() else found.parent


def inside(run: str, folder: str, name: str = "") -> Path:
    """RUN/FOLDER/TIME and NAME.png, whose folder is made."""
    place = home_of(run) / folder
    place.mkdir(exist_ok=True)
    return place / f"{time.strftime('%Y%m%d-%H%M%S')}{name}.png"


def made(family: str, text: str, where: str) -> Any:
    """An object from the command line: a kind's name, or a table as in a recipe.

    Arguments:
        family: "solver", "view" ...
        text: ``heun``, or ``{kind = "churned", churn = 20}``.
        where: what a refusal calls it, such as "--solver".
    """
    return _built(family, _toml(text, where) if text.lstrip()[:1] == "{" else {"kind": text}, where)


def _built(family: str, value: Any, where: str) -> Any:
    from unnoise.catalogue.registry import build

    return build(family, value, where)


def _toml(text: str, where: str) -> Any:
    """A value as a recipe would write it."""
    from unnoise.recipes.load import NoTOMLError, read_toml

    try:
        return read_toml(f"given = {text}", where)["given"]
    except NoTOMLError as error:
        cure = 'Write a name, or a table such as {kind = "...", ...}.'
        raise InputError(f"{where} {short(text)}: {error.__cause__}. {cure}") from error


def _guidance(text: str) -> Any:
    """A guidance from --guidance: a number, a name, or a table."""
    try:
        number = float(text)
    except ValueError:
        return made("guidance", text, "--guidance")
    return _built("guidance", number, "--guidance")


def _grid(text: str) -> Any:
    """A grid from --grid: a name, a table, or a list of times."""
    if text.lstrip()[:1] != "[":
        return made("grid", text, "--grid") if text.lstrip()[:1] == "{" else text
    times = _toml(text, "--grid")
    if not all(type(t) in (int, float) and abs(t) <= 1 for t in times):
        raise InputError(
            f"--grid {short(text)}: a list of times holds numbers from 1 to 0, such as [1, 0.5, 0]."
        )
    return [float(t) for t in times]


def _solver(text: str | None, eta: float | None) -> Any:
    """A solver from --solver, a name or a table as in a recipe, and --eta."""
    if text is not None and text.lstrip()[:1] == "{":
        return made("solver", text, "--solver")
    if eta is None:
        return text
    return _built("solver", {"kind": text or "ddim", "eta": eta}, "--solver")


def metrics_of(text: str | None) -> Any:
    """Metrics from --metrics: names by commas, or a list as in a recipe; None stays None."""
    if text is None:
        return None
    listed = text.lstrip()[:1] == "["
    given = _toml(text, "--metrics") if listed else [name.strip() for name in text.split(",")]
    return tuple(_built("metric", each, "--metrics") for each in given)


def finish(what: str, record: dict[str, Any], as_json: bool) -> None:
    """The last line of a verb: what it wrote."""
    typer.echo(json.dumps(record) if as_json else what)


_WORDS = {
    "accuracy": ("judge accuracy", "{accuracy}  (1 is perfect)"),
    "frechet": ("Frechet distance", "{frechet}  (0 is perfect)"),
    "precision": ("precision / recall", "{precision} / {recall}"),
    "memorisation": (
        "memorisation ratio",
        "{memorisation}  (1: as far from the training data as new data)",
    ),
    "bits_per_dim": (
        "bits/dim, held out",
        "{bits_per_dim}  (n={likelihood_count}, {likelihood_calls} calls each)",
    ),
    "nats": ("log-likelihood, held out", "{nats} nats"),
}
_BESIDE = re.compile(  # told with another figure, or in the file alone
    r"count|recall|likelihood_(count|draws|calls|sigma)|"
    r"(bits_per_dim|nats)_(standard_error|from_draws|from_probes)"
)


def figures(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Rows of the table that ``evaluate`` and ``demo`` print: our figures in words, any other."""
    from unnoise.tasks.likelihood import with_error

    if "levels" in found and "sampling" not in found:  # of a classifier
        each = zip(found["levels"], found["accuracies"], found["nats"], strict=True)
        return [
            (f"sigma / alpha = {level:.3g}", f"accuracy {right:.3f}, -log p {nats:.3f} nats")
            for level, right, nats in each
        ]
    rows: list[tuple[str, str]] = []
    ours = {k: with_error(found, k) for k in found if k in _WORDS or k == "recall"}
    told = defaultdict(lambda: "unknown", {**found, **ours})
    for key, value in found.items():
        if key in _WORDS:
            name, text = _WORDS[key]
            rows.append((name, text.format_map(told)))
        elif not isinstance(value, str | dict) and not _BESIDE.fullmatch(key):
            rows.append((key, "unknown" if value is None else f"{value:.4g}"))
    return rows
