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
    with_error,
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
    import io
    from dataclasses import replace

    import numpy as np

    from unnoise.core.errors import InputError
    from unnoise.evaluation import likelihood_figures as of
    from unnoise.evaluation.report import known
    from unnoise.likelihood import ExactTrace, GaussianProbes, Hutchinson
    from unnoise.system import parallel
    from unnoise.system.files import write_atomic
    from unnoise.tasks.evaluate import settings_of, with_changes
    from unnoise.tasks.listeners import write_json
    from unnoise.tasks.own_data import other_data, own_data

    model = load_model(run, plugin, threads)
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
    how = replace(settings, likelihood=n).of_likelihood(of.HeldOutLikelihood())
    parallel.join()
    found, each = of.likelihood(model, chosen, how, seed)
    found |= of.likelihood_sensitivity(model, chosen, how, seed)
    if bound is not None:
        found |= of.bound(model, chosen, n, seed, bound)
    figures: dict[str, Any] = {name: known(value) for name, value in found.items()}
    if parallel.rank() > 0:
        return
    stream = io.BytesIO()
    arrays: dict[str, Any] = {name: value.numpy() for name, value in each.items()}
    np.savez_compressed(stream, **arrays)
    write_atomic(folder / "likelihood.npz", stream.getvalue())
    write_json(folder / "likelihood.json", figures)
    count, calls = figures["likelihood_count"], figures["likelihood_calls"]
    if not (quiet or json):
        unit, name = ("bits/dim", "bits_per_dim") if "bits_per_dim" in figures else ("nats", "nats")
        typer.echo(
            f"{with_error(figures, name)} {unit} (n={count}, {calls} calls each; "
            f"density of the data with noise sigma {figures['likelihood_sigma']:g})"
        )
        typer.echo(
            f"changes (first {figures['sensitivity_count']}): half the steps "
            f"{figures['sensitivity_steps']:+.2g}, ending at half the noise "
            f"{figures['sensitivity_end']:+.2g}, asking at twice sigma "
            f"{figures['sensitivity_begin']:+.2g}"
        )
        if bound is not None:
            of = ", of the levels themselves" if name == "bits_per_dim" else ""
            told = with_error(figures, f"elbo_{name}")
            typer.echo(f"{told} {unit} by the bound of {bound} steps{of}")
    path = folder / "likelihood.json"
    finish(f"wrote {path} and {folder / 'likelihood.npz'}", {"wrote": str(path), **figures}, json)
