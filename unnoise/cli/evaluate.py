"""unnoise evaluate"""

from pathlib import Path

from typer import Option

from unnoise.cli.options import DATA, GRID, RUN, Machine, Voice, Walk, figures, home_of, metrics_of


def evaluate(
    run: str = RUN,
    n: int | None = Option(None, "-n", "--n", help="Samples to draw. [the recipe's]", min=8),
    data: str | None = DATA,
    against: str | None = Option(
        None,
        help="Other data to compare with, its test split: a name, or a path as --data takes. "
        "NAME:train and PATH:train mean the other split. [--data]",
    ),
    *,
    walk: Walk,
    grid: str | None = GRID,
    seed: int | None = Option(None, help="Of the samples. [the recipe's]"),
    nll: int | None = Option(
        None, "--nll", help="Examples for the likelihood; 0 leaves it out.", min=0
    ),
    metrics: str | None = Option(
        None,
        help="What to compute: names by commas (see: unnoise show metric), or a list as in a "
        "recipe. [the recipe's]",
    ),
    out: str | None = Option(None, "-o", "--out", help="[RUN/metrics.json]"),
    machine: Machine,
    voice: Voice,
) -> None:
    """Measure a model: judge accuracy, Frechet distance, precision and recall, memorisation,
    and the likelihood of data it has not seen. Of a classifier: its accuracy at every noise level.

    Example: unnoise evaluate runs/digits -n 1000
    """
    from unnoise.system import parallel
    from unnoise.tasks.evaluate import to_file
    from unnoise.tasks.show import table

    with voice.working("evaluate"):
        model = machine.load(run, None)
        parallel.join()
        changes = {"count": n, "seed": seed, "likelihood": nll, "metrics": metrics_of(metrics)}
        how = walk.keywords(machine, grid)
        path = home_of(run) / "metrics.json" if out is None else Path(out)
        found = to_file(model, path, changes, how, data=data, against=against, name=run)
    if parallel.rank() > 0:
        return
    voice.say(table(figures(found)), f"  {found['protocol']}")
    voice.finish(f"wrote {path}", {"wrote": str(path), **found})
