"""Likelihood of data under a model, with its error bars, written to a folder."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from unnoise.data import Dataset
from unnoise.evaluation import Evaluation, HeldOutLikelihood
from unnoise.evaluation import likelihood_figures as of
from unnoise.evaluation.report import known
from unnoise.models import Model, OdeModel, needs
from unnoise.system import parallel
from unnoise.system.files import write_atomic
from unnoise.tasks.listeners import write_json


def likelihood(
    model: Model,
    data: Dataset,
    settings: Evaluation,
    count: int | None,
    seed: int,
    bound: int | None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Log-likelihood of the first examples; by an ODE also how much steps and ends change it.

    Arguments:
        model: one that has a likelihood.
        data: what is asked about.
        settings: its ``likelihood_...`` say how.
        count: of them; None takes all.
        seed: of probes and dequantisation.
        bound: steps of the variational bound that is computed beside; None computes none.

    Returns:
        Figures ready for JSON, and arrays by example.
    """
    how = replace(settings, likelihood=count).of_likelihood(HeldOutLikelihood())
    found, each = of.likelihood(model, data, how, seed)
    if isinstance(model, OdeModel):
        found |= of.likelihood_sensitivity(model, data, how, seed)
    if bound is not None:
        found |= of.bound(needs(model, OdeModel), data, count, seed, bound)
    figures: dict[str, Any] = {name: known(value) for name, value in found.items()}
    return figures, {name: value.numpy() for name, value in each.items()}


def write(folder: Path, figures: dict[str, Any], arrays: dict[str, Any]) -> tuple[Path, Path]:
    """Write likelihood.json and likelihood.npz, in process 0."""
    paths = folder / "likelihood.json", folder / "likelihood.npz"
    if parallel.rank() == 0:
        stream = io.BytesIO()
        np.savez_compressed(stream, **arrays)
        write_atomic(paths[1], stream.getvalue())
        write_json(paths[0], figures)
    return paths


def told(figures: dict[str, Any], bound: int | None) -> list[str]:
    """The figures in words, a line each."""
    unit, name = ("bits/dim", "bits_per_dim") if "bits_per_dim" in figures else ("nats", "nats")
    count, calls = figures["likelihood_count"], figures["likelihood_calls"]
    density = ""
    if "likelihood_sigma" in figures:
        density = f"; density of the data with noise sigma {figures['likelihood_sigma']:g}"
    lines = [f"{with_error(figures, name)} {unit} (n={count}, {calls} calls each{density})"]
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
