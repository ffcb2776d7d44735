"""Log-likelihood and variational bound of held-out data as figures, with their error bars."""

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, cast, final

import torch
from torch import Tensor

from unnoise.catalogue.ranges import Draws, Examples, Positive, Steps
from unnoise.catalogue.registry import register
from unnoise.core.condition import Given
from unnoise.core.noise import Noise
from unnoise.data import Dataset
from unnoise.evaluation.metric import Metric
from unnoise.likelihood import Divergence, Hutchinson, Likelihood, bits_per_dim
from unnoise.models import HasLikelihood, Model, OdeModel, distributed, needs
from unnoise.system.progress import counting


@register("metric", "likelihood")
@final
@dataclass(frozen=True)
class HeldOutLikelihood(Metric):
    """Held-out log-likelihood (NLL): bits a dimension, or nats for continuous data.

    What is None is as the [evaluation] table says, by ``likelihood`` and ``likelihood_...``.

    Arguments:
        count: the first examples to take; else all.
        sigma: noise level (sigma / alpha) whose density is asked about; else the smallest that was
            trained.
        steps: steps of the probability-flow ODE, one network call each; else 64.
        draws: dequantisations of each example; else 1.
        divergence: how its divergence is computed; else Hutchinson's way.
    """

    shared: ClassVar = True

    count: Examples | None = None
    sigma: Positive | None = None
    steps: Steps | None = None
    draws: Draws | None = None
    divergence: Divergence | None = None

    def __call__(
        self, drawn: Dataset, train: Dataset, held_out: Dataset, model: Model, noise: Noise
    ) -> dict[str, float]:
        if not isinstance(model, HasLikelihood):
            return {}
        return likelihood(model, held_out, self, noise.seed)[0]


def likelihood(
    model: Model, data: Dataset, settings: HeldOutLikelihood, seed: int
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Log-likelihood of data given its labels: bits a dimension, or nats for continuous data.

    Returns:
        Figures, infinite where an error is unknown; and tensors by example: "log_prob" (nats, of
        modelled values), and "bits_per_dim" for discrete data.
    """
    info = data.info
    count = min(len(data), settings.count or len(data))
    able = needs(model, HasLikelihood)
    how, told = _how(model, settings)
    results: list[Likelihood] = []
    # More draws say nothing new of data that has no levels.
    draws = (settings.draws or 1) if info.levels is not None else 1
    with counting("likelihood", draws, "draws") as drawn:
        for k in range(draws):
            x, cond = dequantised(model, data, count, seed, k)
            results.append(distributed.likelihood(able, x, cond, seed + k, **how))
            drawn()
    log_prob = torch.stack([r.log_prob for r in results])
    each: dict[str, Tensor] = {"log_prob": log_prob.mean(0)}
    found: dict[str, float] = {
        "likelihood_count": count,
        "likelihood_draws": len(results),
        "likelihood_calls": results[0].calls,
        **told,
    }
    errors = torch.stack([r.standard_error for r in results])
    if info.levels is None:
        found["nats"] = float(log_prob.mean())
        found["nats_standard_error"] = _standard_error(each["log_prob"])
        found["nats_from_probes"] = float(errors.square().mean().sqrt()) / math.sqrt(count)
        if info.log_scale:
            found["nats_of_stored_minus_modelled"] = info.log_scale
        return found, each
    low, high = cast(tuple[float, float], info.ends)
    bits = bits_per_dim(log_prob, info.shape, info.levels, low, high, errors)
    each["bits_per_dim"] = bits.each
    found["bits_per_dim"] = bits.value
    found["bits_per_dim_standard_error"] = bits.standard_error
    found["bits_per_dim_from_draws"] = bits.from_draws
    found["bits_per_dim_from_probes"] = bits.from_probes
    return found, each


def likelihood_sensitivity(
    model: OdeModel, data: Dataset, settings: HeldOutLikelihood, seed: int, most: int = 16
) -> dict[str, float]:
    """How much the likelihood of the first examples depends on steps and ends, as figures."""
    count = min(most, len(data), settings.count or len(data))
    x, cond = dequantised(model, data, count, seed)
    found = model.sensitivity(x, cond, seed=seed, **_how(model, settings)[0])
    # Bits fall where nats rise.
    unit = 1.0 if data.info.levels is None else -1 / (math.prod(data.info.shape) * math.log(2))
    return {f"sensitivity_{k}": v for k, v in asdict(found.scaled(unit)).items()}


def bound(
    model: OdeModel, data: Dataset, count: int | None, seed: int, steps: int | None = None
) -> dict[str, float]:
    """The variational bound of the same examples as ``likelihood``, as figures."""
    x, cond = dequantised(model, data, min(len(data), count or len(data)), seed)
    found = model.elbo(x, cond, seed=seed, steps=steps)
    unit, name = 1.0, "elbo_nats"
    if data.info.levels is not None:
        unit, name = 1 / (math.prod(data.info.shape) * math.log(2)), "elbo_bits_per_dim"
    total = unit * found.total
    return {
        name: float(total.mean()),
        f"{name}_standard_error": _standard_error(total),
        f"{name}_prior": unit * float(found.prior.mean()),
        f"{name}_steps": unit * float(found.steps.sum(1).mean()),
        f"{name}_decoder": unit * float(found.decoder.mean()),
        "elbo_length": found.steps.shape[1] + 1,
    }


def dequantised(
    model: Model, data: Dataset, count: int, seed: int, draw: int = 0
) -> tuple[Tensor, Given]:
    """The first examples as modelled values, each anywhere in its level, and their conditions."""
    noise = Noise(seed, range(count)).child("likelihood")
    batch = data.batch(torch.arange(count), noise.child(draw))
    return batch.x, batch.cond if model.classes or model.reads else None


def _standard_error(each: Tensor) -> float:
    """Of the mean of values (N,); infinite of one value."""
    return float(each.std()) / math.sqrt(len(each)) if len(each) > 1 else math.inf


def _how(model: Model, settings: HeldOutLikelihood) -> tuple[dict[str, Any], dict[str, float]]:
    """Arguments of a likelihood by an ODE, and its noise level; of any other there are none."""
    if not isinstance(model, OdeModel):
        return {}, {}
    process, sigma = model.process, settings.sigma
    t = process.t_min if sigma is None else float(process.time(math.atan(sigma)))
    divergence = settings.divergence or Hutchinson()
    told = {"likelihood_sigma": round(math.tan(float(process.angle(t))), 6)}
    return {"t": t, "steps": settings.steps or 64, "divergence": divergence}, told
