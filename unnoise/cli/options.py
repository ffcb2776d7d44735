"""Options that several verbs share, and how figures are printed. Imports no torch."""

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any

import typer

from unnoise.catalogue.ranges import MOST_THREADS

RunArgument = Annotated[
    str, typer.Argument(help="Folder of a run, a name in runs/, or a .safetensors file.")
]
SeedOption = Annotated[int, typer.Option(help="Same seed, same samples, to the bit.")]
PluginOption = Annotated[
    list[str] | None, typer.Option("--plugin", help="Python file with @unnoise.register(...).")
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        help="CPU threads; chosen when absent.", min=1, max=MOST_THREADS, show_default=False
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Only the last line.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One machine-readable line instead.")]
DataOption = Annotated[
    str | None,
    typer.Option(
        help="The model's own data, where it lies now: a name such as digits, or a path as train "
        "--data takes. [the run's]"
    ),
]
GuidanceOption = Annotated[
    str | None,
    typer.Option(
        help="Guidance scale, 1 plain conditional, 0 unconditional; or a {kind = ...} table (see: "
        "unnoise show guidance). [the model's own]"
    ),
]
GuideOption = Annotated[
    str | None,
    typer.Option(
        help="Run or model file to guide by: a classifier, or a weaker model. [the model itself, "
        "without its label]"
    ),
]
SolverOption = Annotated[
    str | None,
    typer.Option(help="A name (see: unnoise show solver) or a {kind = ...} table. [the model's]"),
]
StepsOption = Annotated[int | None, typer.Option(help="Solver steps. [the model's own]")]
GridOption = Annotated[
    str | None,
    typer.Option(
        help="Times: a name (see: unnoise show grid), a {kind = ...} table, or a list from 1 to 0. "
        "[the model's]"
    ),
]


def find_run(name: str) -> Path:
    """A run by path, or by its name in runs/."""
    path = Path(name)
    inside = Path("runs") / name
    return inside if not path.exists() and inside.exists() else path


def inside(run: str, folder: str, name: str = "") -> Path:
    """RUN/FOLDER/TIME and NAME.png, whose folder is made."""
    import time

    found = find_run(run)
    place = (found if found.is_dir() else found.parent) / folder
    place.mkdir(exist_ok=True)
    return place / f"{time.strftime('%Y%m%d-%H%M%S')}{name}.png"


def load_model(
    run: str, plugins: list[str] | None, threads: int | None, ability: str | None = "Draws"
) -> Any:
    """The model of a run; ``threads`` counts for the whole command.

    Arguments:
        run: its folder, name or file.
        plugins: Python files to load first.
        threads: CPU threads.
        ability: what it must be able to, by the name in ``unnoise.models``; None asks nothing.
    """
    from unnoise import models
    from unnoise.system.threads import set_threads

    if threads is not None:
        set_threads(threads)
    model = models.load(find_run(run), tuple(plugins or ()))
    return model if ability is None else models.needs(model, getattr(models, ability), run)


def guide_of(run: str | None, plugins: list[str] | None) -> Any:
    """What --guide names; None stays None."""
    return None if run is None else load_model(run, plugins, None, None)


def guidance_of(text: str | None) -> Any:
    """A guidance from --guidance: a number, a name, or a table; None stays None."""
    from unnoise.catalogue.registry import build

    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        return made("guidance", text, "--guidance")
    return build("guidance", number, "--guidance")


def made(family: str, text: str, where: str) -> Any:
    """An object from the command line: a kind's name, or a table as in a recipe.

    Arguments:
        family: "solver", "view" ...
        text: ``heun``, or ``{kind = "churned", churn = 20}``.
        where: what a refusal calls it, such as "--solver".
    """
    from unnoise.catalogue.registry import build

    if not text.lstrip().startswith("{"):
        return build(family, {"kind": text}, where)
    return build(family, _toml(text, where), where)


def _toml(text: str, where: str) -> Any:
    """A value as a recipe would write it."""
    from unnoise.core.errors import InputError, short
    from unnoise.recipes.load import NoTOMLError, read_toml

    try:
        return read_toml(f"given = {text}", where)["given"]
    except NoTOMLError as error:
        raise InputError(
            f"{where} {short(text)}: {error.__cause__}. Write a name, or a table such as "
            '{kind = "...", ...}.'
        ) from error


def grid_of(text: str | None) -> Any:
    """A grid from --grid: a name, a table, or a list of times; None stays None."""
    from unnoise.core.errors import InputError, short

    if text is None or not text.lstrip().startswith(("[", "{")):
        return text
    if text.lstrip().startswith("{"):
        return made("grid", text, "--grid")
    times = _toml(text, "--grid")
    if not all(map(_is_time, times)):
        raise InputError(
            f"--grid {short(text)}: a list of times holds numbers from 1 to 0, such as [1, 0.5, 0]."
        )
    return [float(t) for t in times]


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1


def solver_of(name: str | None, eta: float | None) -> Any:
    """A solver from --solver, a name or a table as in a recipe, and --eta."""
    from unnoise.catalogue.registry import build

    if name is not None and name.lstrip().startswith("{"):
        return made("solver", name, "--solver")
    return (
        name if eta is None else build("solver", {"kind": name or "ddim", "eta": eta}, "--solver")
    )


def metrics_of(text: str | None) -> Any:
    """Metrics from --metrics: names by commas, or a list as in a recipe; None stays None."""
    from unnoise.catalogue.registry import build

    if text is None:
        return None
    listed = text.lstrip().startswith("[")
    given = _toml(text, "--metrics") if listed else [name.strip() for name in text.split(",")]
    return tuple(build("metric", each, "--metrics") for each in given)


def finish(what: str, record: dict[str, Any], as_json: bool) -> None:
    """The last line of a verb: what it wrote."""
    typer.echo(json.dumps(record) if as_json else what)


def table(rows: list[tuple[str, str]]) -> str:
    """Two columns, aligned."""
    width = max((len(name) for name, _ in rows), default=0)
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in rows)


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


def levels(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Rows of the table that ``evaluate`` prints of a classifier."""
    each = zip(found["levels"], found["accuracies"], found["nats"], strict=True)
    return [
        (f"sigma / alpha = {level:.3g}", f"accuracy {right:.3f}, -log p {nats:.3f} nats")
        for level, right, nats in each
    ]
