"""Distributed sampling and likelihoods: several processes share the work, each gets the whole.

Parts begin where one process alone would begin a chunk, so the bits are those it would give.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from unnoise.core.condition import Condition
from unnoise.likelihood import Likelihood
from unnoise.models.diffusion import Diffusion
from unnoise.models.ode_model import AT_ONCE, OdeModel
from unnoise.solvers import Step
from unnoise.system import parallel


def sample(model: Diffusion, n: int, label: Tensor | None = None, **how: Any) -> Tensor:
    """``model.sample(n, ...)``; every process must call it with the same arguments.

    Arguments:
        model: a trained model, the same everywhere.
        n: samples in all.
        label: one class for each, shape (n,), or None.
        how: further arguments of ``Diffusion.sample``.

    Returns:
        All samples, shape (n, *event).
    """
    rows = parallel.share(n, model.sampling.chunk)
    first = how.pop("first", 0)
    x = torch.zeros((0, *model.shape), device=model.device)
    if len(rows):
        if label is not None:
            how["label"] = label[rows.start : rows.stop]
        x = model.sample(len(rows), first=first + rows.start, **how)
    return parallel.gather(x, n, model.sampling.chunk)


def walk(model: Diffusion, n: int, first: int = 0, **how: Any) -> Iterator[Step]:
    """``model.walk(n, ...)`` without its beliefs; every process must take every step."""
    unit = model.sampling.chunk
    rows = parallel.share(n, unit)
    # Whoever is left without a share walks one sample that nobody looks at.
    for step in model.walk(max(1, len(rows)), first=first + rows.start, **how):
        x = parallel.gather(step.x[: len(rows)], n, unit)
        yield Step(step.index, step.t, step.s, x, None)


def likelihood(model: OdeModel, x: Tensor, cond: Condition | None, **how: Any) -> Likelihood:
    """``model.likelihood(x, cond, ...)``; every process must call it with the same arguments."""
    rows = parallel.share(len(x), AT_ONCE)
    part = slice(rows.start, rows.stop)
    # Whoever is left without a share computes one row that nobody looks at.
    kept = part if len(rows) else slice(0, 1)
    some = None if cond is None else cond[kept]
    found = model.likelihood(x[kept], some, first=rows.start if len(rows) else 0, **how)
    parts = (found.log_prob, found.standard_error, found.latent)
    values, errors, latents = (parallel.gather(p[: len(rows)], len(x), AT_ONCE) for p in parts)
    return Likelihood(values, errors, latents, found.calls)
