"""Distributed sampling and likelihoods: several processes share the work, each gets the whole.

Parts begin where one process alone would begin a chunk, so the bits are those it would give.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from unnoise.core.condition import Condition
from unnoise.likelihood import Likelihood
from unnoise.models.base import Generative
from unnoise.models.ode_model import AT_ONCE
from unnoise.models.plan import Plan
from unnoise.models.protocols import HasLikelihood
from unnoise.solvers import Step
from unnoise.system import parallel


def _rows(plan: Plan) -> tuple[range, int]:
    """This process's samples of a plan, by absolute number, and the unit they are shared in."""
    unit, first = plan.model.sampling.chunk, plan.request.first
    rows = parallel.share(plan.request.n, unit)
    return range(first + rows.start, first + rows.stop), unit


def sample(plan: Plan) -> Tensor:
    """``plan.sample()`` of all processes, shape (n, *event); each must call it alike."""
    rows, unit = _rows(plan)
    model = plan.model
    x = plan.sample(rows) if len(rows) else torch.zeros((0, *model.shape), device=model.device)
    return parallel.gather(x, plan.request.n, unit)


def walk(plan: Plan) -> Iterator[Step]:
    """``plan.walk()`` of all processes, without its beliefs; each must take every step."""
    rows, unit = _rows(plan)
    # Whoever is left without a share walks one sample that nobody looks at.
    for step in plan.walk(rows or [plan.request.first]):
        x = parallel.gather(step.x[: len(rows)], plan.request.n, unit)
        yield Step(step.index, step.t, step.s, x, None)


def draw(
    model: Generative, n: int, cond: Condition | None, seed: int, first: int = 0, **own: Any
) -> Tensor:
    """Samples of a model that draws at once, shape (n, *event), of all processes.

    Arguments:
        model: a trained model, the same everywhere.
        n: samples in all.
        cond: conditions, one row for each.
        seed: any integer.
        first: number of the first sample.
        own: further arguments of the model's ``sample``.
    """
    unit = getattr(model.sampling, "chunk", None) or model.space.together
    rows = parallel.share(n, unit)
    x = torch.zeros((0, *model.shape), device=next(model.parameters()).device)
    if len(rows):
        some = None if cond is None else cond[rows.start : rows.stop]
        # A model of one process need not know of numbers.
        begin = {"first": first + rows.start} if first + rows.start else {}
        x = model.sample(len(rows), some, seed=seed, **begin, **own)
    return parallel.gather(x, n, unit)


def likelihood(
    model: HasLikelihood, x: Tensor, cond: Condition | None, seed: int, **how: Any
) -> Likelihood:
    """``model.likelihood(x, cond, ...)`` of all processes; each must call it alike."""
    rows = parallel.share(len(x), AT_ONCE)
    part = slice(rows.start, rows.stop)
    # Whoever is left without a share computes one row that nobody looks at.
    kept = part if len(rows) else slice(0, 1)
    some = None if cond is None else cond[kept]
    begin = {"first": rows.start} if len(rows) and rows.start else {}
    found = model.likelihood(x[kept], some, seed=seed, **begin, **how)
    parts = (found.log_prob, found.standard_error, found.latent)
    values, errors, latents = (parallel.gather(p[: len(rows)], len(x), AT_ONCE) for p in parts)
    return replace(found, log_prob=values, standard_error=errors, latent=latents)
