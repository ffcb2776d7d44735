"""unnoise evaluate"""

from pathlib import Path
from typing import Annotated, Any

import typer

from unnoise.cli.options import (
    DataOption,
    GridOption,
    GuidanceOption,
    GuideOption,
    JsonOption,
    PluginOption,
    QuietOption,
    RunArgument,
    SolverOption,
    StepsOption,
    ThreadsOption,
    figures,
    find_run,
    finish,
    grid_of,
    guidance_of,
    guide_of,
    levels,
    load_model,
    metrics_of,
    table,
)


def evaluate(
    run: RunArgument,
    n: Annotated[
        int | None, typer.Option("-n", "--n", help="Samples to draw. [the recipe's]", min=8)
    ] = None,
    data: DataOption = None,
    against: Annotated[
        str | None,
        typer.Option(
            help="Other data to compare with, its test split: a name, or a path as --data takes. "
            "NAME:train and PATH:train mean the other split. [--data]"
        ),
    ] = None,
    guidance: GuidanceOption = None,
    guide: GuideOption = None,
    solver: SolverOption = None,
    steps: StepsOption = None,
    grid: GridOption = None,
    seed: Annotated[int | None, typer.Option(help="Of the samples. [the recipe's]")] = None,
    nll: Annotated[
        int | None,
        typer.Option("--nll", help="Examples for the likelihood; 0 leaves it out.", min=0),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            help="What to compute: names by commas (see: unnoise show metric), or a list as in a "
            "recipe. [the recipe's]"
        ),
    ] = None,
    out: Annotated[str | None, typer.Option("-o", "--out", help="[RUN/metrics.json]")] = None,
    threads: ThreadsOption = None,
    plugin: PluginOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Measure a model: judge accuracy, Frechet distance, precision and recall, memorisation,
    and the likelihood of data it has not seen. Of a classifier: its accuracy at every noise level.

    Example: unnoise evaluate runs/digits -n 1000
    """
    from unnoise.core.errors import InputError
    from unnoise.models import Classifies, Draws, needs
    from unnoise.system import parallel
    from unnoise.tasks import evaluate as measure
    from unnoise.tasks.classify import classify
    from unnoise.tasks.evaluate import settings_of, with_changes
    from unnoise.tasks.listeners import check_json, write_json
    from unnoise.tasks.own_data import own_data

    model = load_model(run, plugin, threads, None)
    parallel.join()
    changes = {"count": n, "seed": seed, "likelihood": nll, "metrics": metrics_of(metrics)}
    settings = with_changes(settings_of(model), **changes)
    found = find_run(run)
    folder = found if found.is_dir() else found.parent
    how: dict[str, Any] = {"guidance": guidance_of(guidance), "solver": solver, "steps": steps}
    how |= {"grid": grid_of(grid), "guide": guide_of(guide, plugin)}
    how = {k: v for k, v in how.items() if v is not None}
    path = Path(out) if out is not None else folder / "metrics.json"
    check_json(path)
    held_out = own_data(model, "test", data if against is None else against)
    if isinstance(model, Classifies):
        others = {"n": n, "nll": nll, "metrics": metrics}
        useless = [*how, *(name for name, v in others.items() if v is not None)]
        if useless:
            raise InputError(
                f"{run} holds a classifier, which is not sampled; leave {useless} out."
            )
        result = classify(model, settings, held_out)
        rows = levels(result)
    else:
        needs(model, Draws, run)
        train = own_data(model, "train", data)
        result = measure(model, settings, cache=folder, train=train, held_out=held_out, **how)
        rows = figures(result) if parallel.rank() == 0 else []
    if parallel.rank() > 0:
        return
    write_json(path, result)
    if not (quiet or json):
        typer.echo(table(rows))
        typer.echo(f"  {result['protocol']}")
    finish(f"wrote {path}", {"wrote": str(path), **result}, json)
