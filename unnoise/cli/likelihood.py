"""unnoise likelihood"""

from pathlib import Path
from typing import Annotated, Any

import typer

from unnoise.cli.options import (
    JsonOption,
    PluginOption,
    QuietOption,
    RunArgument,
    SeedOption,
    ThreadsOption,
    find_run,
    finish,
    load_model,
)


def likelihood(
    run: RunArgument,
    data: Annotated[
        str | None,
        typer.Option(help="Any data: digits:test, or a path. [the model's own, held out]"),
    ] = None,
    n: Annotated[
        int | None, typer.Option("-n", "--n", help="How many examples. [all]", min=1)
    ] = None,
    probes: Annotated[
        int | None, typer.Option(help="Hutchinson probes an example. [the recipe's]", min=1)
    ] = None,
    gaussian: Annotated[
        bool, typer.Option("--gaussian", help="Probes of normals instead of signs.")
    ] = False,
    exact: Annotated[bool, typer.Option("--exact", help="Exact trace instead of probes.")] = False,
    steps: Annotated[
        int | None, typer.Option(help="ODE steps, one network call each. [the recipe's]", min=1)
    ] = None,
    sigma: Annotated[
        float | None, typer.Option(help="Noise level of the density. [the recipe's]")
    ] = None,
    draws: Annotated[
        int | None, typer.Option(help="Dequantisations of each example. [the recipe's]", min=1)
    ] = None,
    bound: Annotated[
        int | None,
        typer.Option(help="Also the variational bound, by a chain of so many steps.", min=1),
    ] = None,
    seed: SeedOption = 0,
    out: Annotated[
        str | None, typer.Option("-o", "--out", help="Folder for the files. [the run's]")
    ] = None,
    threads: ThreadsOption = None,
    plugin: PluginOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Log-likelihood of data under a model by the probability-flow ODE, with its error bar.

    Example: unnoise likelihood runs/digits --data digits:test -n 100 --exact
    """
    from unnoise.core.errors import InputError
    from unnoise.likelihood import ExactTrace, GaussianProbes, Hutchinson
    from unnoise.system import parallel
    from unnoise.tasks import likelihood as task
    from unnoise.tasks.evaluate import settings_of, with_changes
    from unnoise.tasks.own_data import other_data, own_data

    model = load_model(run, plugin, threads, "HasLikelihood")
    chosen = own_data(model, "test") if data is None else other_data(data, model)
    found = find_run(run)
    folder = Path(out) if out is not None else (found if found.is_dir() else found.parent)
    if not folder.is_dir():
        raise InputError(f"--out {folder}: there is no such folder.")
    changes: dict[str, Any] = {
        "likelihood_sigma": sigma,
        "likelihood_steps": steps,
        "likelihood_draws": draws,
    }
    if exact:
        changes["divergence"] = ExactTrace()
    elif gaussian or probes is not None:
        changes["divergence"] = (GaussianProbes if gaussian else Hutchinson)(probes or 1)
    settings = with_changes(settings_of(model), **changes)
    parallel.join()
    figures, arrays = task.likelihood(model, chosen, settings, n, seed, bound)
    path, each = task.write(folder, figures, arrays)
    if parallel.rank() > 0:
        return
    if not (quiet or json):
        for line in task.told(figures, bound):
            typer.echo(line)
    finish(f"wrote {path} and {each}", {"wrote": str(path), **figures}, json)
