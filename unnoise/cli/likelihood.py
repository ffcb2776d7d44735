"""unnoise likelihood"""

from pathlib import Path

from typer import Option

from unnoise.cli.options import RUN, SEED, Machine, Voice, home_of


def likelihood(
    run: str = RUN,
    data: str | None = Option(
        None, help="Any data: digits:test, or a path. [the model's own, held out]"
    ),
    n: int | None = Option(None, "-n", "--n", help="How many examples. [all]", min=1),
    probes: int | None = Option(None, help="Hutchinson probes an example. [the recipe's]", min=1),
    gaussian: bool = Option(False, "--gaussian", help="Probes of normals instead of signs."),
    exact: bool = Option(False, "--exact", help="Exact trace instead of probes."),
    steps: int | None = Option(
        None, help="ODE steps, one network call each. [the recipe's]", min=1
    ),
    sigma: float | None = Option(None, help="Noise level of the density. [the recipe's]"),
    draws: int | None = Option(None, help="Dequantisations of each example. [the recipe's]", min=1),
    bound: int | None = Option(
        None, help="Also the variational bound, by a chain of so many steps.", min=1
    ),
    seed: int = SEED,
    out: str | None = Option(None, "-o", "--out", help="Folder for the files. [the run's]"),
    *,
    machine: Machine,
    voice: Voice,
) -> None:
    """Log-likelihood of data under a model by the probability-flow ODE, with its error bar.

    Example: unnoise likelihood runs/digits --data digits:test -n 100 --exact
    """
    from unnoise.tasks import likelihood as task

    with voice.working("likelihood"):
        model = machine.load(run, "HasLikelihood")
        folder = home_of(run) if out is None else Path(out)
        changes = {"likelihood_sigma": sigma, "likelihood_steps": steps, "likelihood_draws": draws}
        how = {**changes, "divergence": task.divergence(probes, gaussian, exact)}
        found, path, arrays = task.likelihood(model, folder, data, how, n, seed, bound)
    voice.say(*task.told(found, bound))
    voice.finish(f"wrote {path} and {arrays}", {"wrote": str(path), **found})
