"""Likelihood of data under a model, with its error bars, written to a folder."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from unnoise.core.errors import InputError
from unnoise.evaluation import HeldOutLikelihood
from unnoise.evaluation import likelihood_figures as of
from unnoise.evaluation.report import known
from unnoise.likelihood import Divergence, ExactTrace, GaussianProbes, Hutchinson
from unnoise.models import Model, OdeModel, needs
from unnoise.system import parallel
from unnoise.tasks.evaluate import settings_of
from unnoise.tasks.output import write_json, write_npz
from unnoise.tasks.own_data import other_data, own_data


def likelihood(
    model: Model,
    folder: Path,
    data: str | None = None,
    changes: Mapping[str, Any] | None = None,
    count: int | None = None,
    seed: int = 0,
    bound: int | None = None,
) -> tuple[dict[str, Any], Path, Path]:
    """Log-likelihood of the first examples; by an ODE also how much steps and ends change it.

    Arguments:
        model: one that has a likelihood.
        folder: for likelihood.json and likelihood.npz, which process 0 writes.
        data: what is asked about, as ``other_data`` takes it; None is the model's own, held out.
        changes: as of ``settings_of``; its ``likelihood_...`` say how.
        count: of them; None takes all.
        seed: of probes and dequantisation.
        bound: steps of the variational bound that is computed beside; None computes none.

    Returns:
        Figures ready for JSON, and the two files; the .npz has arrays by example.
    """
    asked = own_data(model, "test") if data is None else other_data(data, model)
    if not folder.is_dir():
        raise InputError(f"--out {folder}: there is no such folder.")
    settings = settings_of(model, changes or {})
    parallel.join()
    how = replace(settings, likelihood=count).of_likelihood(HeldOutLikelihood())
    found, each = of.likelihood(model, asked, how, seed)
    if isinstance(model, OdeModel):
        found |= of.likelihood_sensitivity(model, asked, how, seed)
    if bound is not None:
        found |= of.bound(needs(model, OdeModel), asked, count, seed, bound)
    figures: dict[str, Any] = {name: known(value) for name, value in found.items()}
    path, arrays = folder / "likelihood.json", folder / "likelihood.npz"
    if parallel.rank() == 0:
        write_npz(arrays, {name: value.numpy() for name, value in each.items()})
        write_json(path, figures)
    return figures, path, arrays


def divergence(probes: int | None, gaussian: bool, exact: bool) -> Divergence | None:
    """How the divergence is computed, where anything is asked for."""
    if exact:
        return ExactTrace()
    if gaussian or probes is not None:
        return (GaussianProbes if gaussian else Hutchinson)(probes or 1)
    return None


def told(figures: dict[str, Any], bound: int | None) -> list[str]:
    """The figures in words, a line each."""
    unit, name = ("bits/dim", "bits_per_dim") if "bits_per_dim" in figures else ("nats", "nats")
    count, calls = figures["likelihood_count"], figures["likelihood_calls"]
    sigma = figures.get("likelihood_sigma")
    density = "" if sigma is None else f"; density of the data with noise sigma {sigma:g}"
    lines = [f"{with_error(figures, name)} {unit} (n={count}, {calls} calls each{density})"]
    if "nats_of_stored_minus_modelled" in figures:
        shift = figures["nats_of_stored_minus_modelled"]
        lines.append(f"of modelled (standardised) values; of stored ones {shift:+.3f} nats")
    if "sensitivity_count" in figures:
        lines.append(
            f"changes (first {figures['sensitivity_count']}): half the steps "
            f"{figures['sensitivity_steps']:+.2g}, ending at half the noise "
            f"{figures['sensitivity_end']:+.2g}, asking at twice sigma "
            f"{figures['sensitivity_begin']:+.2g}"
        )
    if bound is not None:
        of_what = ", of the levels themselves" if name == "bits_per_dim" else ""
        value = with_error(figures, f"elbo_{name}")
        lines.append(f"{value} {unit} by the bound of {bound} steps{of_what}")
    return lines


def with_error(found: dict[str, Any], name: str) -> str:
    """A figure with its standard error, where it has one."""
    value, error = found[name], found.get(f"{name}_standard_error")
    told = "unknown" if value is None else f"{value:.3f}"
    return told + ("" if error is None else f" ± {error:.3f}")
