"""All the figures of a model, against data it has not seen."""

import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unnoise.catalogue.registry import build, written
from unnoise.core.condition import Condition
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.data import Batch, Dataset
from unnoise.denoisers import Guidance
from unnoise.evaluation import Judge, cached_judge, features, score
from unnoise.likelihood import Likelihood, bits_per_dim
from unnoise.models import Classifier, Diffusion
from unnoise.recipes import sharing
from unnoise.recipes.evaluation import Evaluation
from unnoise.system import parallel
from unnoise.tasks.own_data import own_data


def evaluate(
    model: Diffusion,
    settings: Evaluation | None = None,
    *,
    cache: Path | None = None,
    train: Dataset | None = None,
    held_out: Dataset | None = None,
    **how: Any,
) -> dict[str, Any]:
    """Measure a model; see ``unnoise.evaluation`` for what each figure means.

    Arguments:
        model: a trained model.
        settings: the [evaluation] table.
        cache: folder to keep the trained judge in.
        train, held_out: data sets; the model's own when absent.
        how: arguments of ``Diffusion.sample`` (guidance, guide, solver, steps, grid).

    Returns:
        Figures by name, ready for metrics.json; of several processes only number 0 has all.
    """
    settings = Evaluation() if settings is None else settings
    train = own_data(model, "train") if train is None else train
    held_out = own_data(model, "test") if held_out is None else held_out
    info = train.info
    if model.info is not None and train.info.sha256 != model.info.sha256:
        raise InputError(
            f"the model was trained on other data than {train.info.name!r} is now (hash "
            f"{model.info.sha256[:12]}, now {train.info.sha256[:12]}); give that data as train."
        )
    if held_out.info.sha256 == train.info.sha256:
        raise InputError(
            "the data to compare with is the data the model was trained on; the figures would only "
            "praise it. Name data that it has not seen."
        )
    count = settings.count
    guide = how.get("guide")
    # A classifier that guides says what can be asked for, whether or not the data has labels.
    known = info.classes if model.classes else None
    classes = guide.classes if isinstance(guide, Classifier) else known
    asked = None if classes is None else torch.arange(count) % classes
    x = sharing.sample(model, count, asked, seed=settings.seed, **how)
    found = parallel.alone(lambda: _scores(x, asked, train, held_out, settings, cache)) or {}
    if settings.likelihood != 0:
        found.update(likelihood(model, held_out, settings)[0])
    found["sampling"] = {
        "seed": settings.seed,
        "guidance": written(Guidance, how.get("guidance", model.sampling.guidance)),
        "steps": how.get("steps", model.sampling.steps),
        "solver": str(how.get("solver", type(model.sampling.solver).__name__)),
        **({} if guide is None else {"guide": type(guide).__name__}),
    }
    return found


def _scores(
    x: Tensor,
    asked: Tensor | None,
    train: Dataset,
    held_out: Dataset,
    settings: Evaluation,
    cache: Path | None,
) -> dict[str, Any]:
    """What is seen in samples, asked for by class or not."""
    info = train.info
    known, unseen = _some(train, settings.reference), _some(held_out, settings.reference)
    judge: Judge | None = None
    if unseen.label is not None and asked is not None:
        shown = features(info, unseen.x)
        if cache is None:
            judge = Judge.train(shown, unseen.label)
        else:
            path = cache / "judge.safetensors"
            judge = cached_judge(path, shown, unseen.label, held_out.info.sha256)
    scores = score(
        features(info, x.cpu()), asked, features(info, known.x), features(info, unseen.x), judge
    )
    return {k: v for k, v in asdict(scores).items() if v is not None}


def _some(data: Dataset, most: int) -> Batch:
    """Examples spread evenly over a data set, which may be sorted by class."""
    count = min(len(data), most)
    return data.batch(torch.arange(count) * len(data) // count)


def likelihood(
    model: Diffusion, data: Dataset, settings: Evaluation
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Log-likelihood of data given its labels: bits a dimension, or nats for continuous data.

    Returns:
        Figures for metrics.json; and tensors by example: "log_prob" (nats, of modelled values),
        and "bits_per_dim" for discrete data.
    """
    info = data.info
    count = min(len(data), settings.likelihood or len(data))
    how = _how(model, settings)
    results: list[Likelihood] = []
    # More draws say nothing new of data that has no levels.
    for k in range(settings.likelihood_draws if info.levels is not None else 1):
        x, cond = dequantised(model, data, settings, count, k)
        results.append(sharing.likelihood(model, x, cond, seed=settings.seed + k, **how))
    log_prob = torch.stack([r.log_prob for r in results])
    each: dict[str, Tensor] = {"log_prob": log_prob.mean(0)}
    found: dict[str, Any] = {
        "likelihood_count": count,
        "likelihood_draws": len(results),
        "likelihood_calls": results[0].calls,
        "likelihood_sigma": round(math.tan(float(model.process.angle(how["t"]))), 6),
    }
    errors = torch.stack([r.standard_error for r in results])
    if info.levels is None:
        error = float(each["log_prob"].std()) / math.sqrt(count) if count > 1 else None
        found["nats"] = float(log_prob.mean())
        found["nats_standard_error"] = error
        found["nats_from_probes"] = _known(float(errors.square().mean().sqrt()) / math.sqrt(count))
        return found, each
    low, high = info.offset, info.offset + info.scale * info.levels
    bits = bits_per_dim(log_prob, info.shape, info.levels, low, high, errors)
    each["bits_per_dim"] = bits.each
    found["bits_per_dim"] = bits.value
    found["bits_per_dim_standard_error"] = _known(bits.standard_error)
    found["bits_per_dim_from_draws"] = _known(bits.from_draws)
    found["bits_per_dim_from_probes"] = _known(bits.from_probes)
    return found, each


def likelihood_sensitivity(
    model: Diffusion, data: Dataset, settings: Evaluation, count: int = 16
) -> dict[str, Any]:
    """How much the likelihood of the first examples hangs on steps and ends, as figures."""
    count = min(count, len(data), settings.likelihood or len(data))
    x, cond = dequantised(model, data, settings, count, 0)
    found = model.sensitivity(x, cond, seed=settings.seed, **_how(model, settings))
    # Bits fall where nats rise.
    unit = 1.0 if data.info.levels is None else -1 / (math.prod(data.info.shape) * math.log(2))
    return {f"sensitivity_{k}": v for k, v in asdict(found.scaled(unit)).items()}


def bound(
    model: Diffusion, data: Dataset, settings: Evaluation, steps: int | None = None
) -> dict[str, Any]:
    """The variational bound of the same examples as ``likelihood``, as figures."""
    count = min(len(data), settings.likelihood or len(data))
    x, cond = dequantised(model, data, settings, count, 0)
    found = model.elbo(x, cond, seed=settings.seed, steps=steps)
    unit, name = 1.0, "elbo_nats"
    if data.info.levels is not None:
        unit, name = 1 / (math.prod(data.info.shape) * math.log(2)), "elbo_bits_per_dim"
    total = unit * found.total
    return {
        name: float(total.mean()),
        f"{name}_standard_error": float(total.std()) / math.sqrt(count) if count > 1 else None,
        f"{name}_prior": unit * float(found.prior.mean()),
        f"{name}_steps": unit * float(found.steps.sum(1).mean()),
        f"{name}_decoder": unit * float(found.decoder.mean()),
        "elbo_length": found.steps.shape[1] + 1,
    }


def dequantised(
    model: Diffusion, data: Dataset, settings: Evaluation, count: int, draw: int
) -> tuple[Tensor, Condition | None]:
    """The first examples as modelled values, each anywhere in its level, and their conditions."""
    noise = Noise(settings.seed, range(count)).child("likelihood")
    batch = data.batch(torch.arange(count), noise.child(draw))
    return batch.x, batch.cond if model.classes else None


def _how(model: Diffusion, settings: Evaluation) -> dict[str, Any]:
    process, sigma = model.process, settings.likelihood_sigma
    return {
        "t": process.t_min if sigma is None else float(process.time(math.atan(sigma))),
        "steps": settings.likelihood_steps,
        "divergence": settings.divergence,
    }


def _known(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None


def settings_of(model: Diffusion) -> Evaluation:
    """The [evaluation] table of the recipe that trained a model."""
    return build("evaluation", {"kind": "evaluation", **model.recipe.get("evaluation", {})})


def with_changes(settings: Evaluation, **changes: Any) -> Evaluation:
    """A copy of the settings with some of them changed; None changes nothing."""
    return replace(settings, **{k: v for k, v in changes.items() if v is not None})
