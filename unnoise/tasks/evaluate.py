"""Evaluation of a model: samples are drawn and measured against data it has not seen."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from unnoise.catalogue.registry import build, written
from unnoise.core.condition import Condition
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.data import as_dataset
from unnoise.data.modelled import as_modelled
from unnoise.denoisers import Guidance
from unnoise.evaluation import Evaluation
from unnoise.evaluation.metric import Featured, Samples
from unnoise.evaluation.report import measure
from unnoise.models import Classifies, Draws, Model, Walks, needs
from unnoise.models.guides import guide_of
from unnoise.system import parallel
from unnoise.system.progress import counting
from unnoise.tasks.classify import classify
from unnoise.tasks.output import check_json, recipe_of, write_json
from unnoise.tasks.own_data import own_data
from unnoise.tasks.sample import conditions_of, draw


def evaluate(
    model: Model,
    settings: Evaluation | None = None,
    *,
    cache: Path | None = None,
    train: Any = None,
    held_out: Any = None,
    progress: bool | None = None,
    **how: Any,
) -> dict[str, Any]:
    """Measure a model; see ``unnoise.evaluation`` for what each figure means.

    Arguments:
        model: a trained model that draws.
        settings: the [evaluation] table.
        cache: folder to keep the trained judge in.
        train, held_out: data, as ``fit`` takes it; the model's own when absent.
        progress: whether a line shows how far it is, as of ``unnoise.progress``.
        how: arguments of its ``sample`` (guidance, guide, solver, steps, grid).

    Returns:
        Figures by name, ready for metrics.json; of several processes only number 0 has all.
    """
    settings = Evaluation() if settings is None else settings
    needs(model, Draws)
    train, held_out = (None if d is None else as_dataset(d) for d in (train, held_out))
    train = own_data(model, "train") if train is None else as_modelled(train, model.info)
    held_out = own_data(model, "test") if held_out is None else as_modelled(held_out, model.info)
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
    count, most = settings.count, settings.reference
    guide = how.get("guide")
    # A classifier that guides says what can be asked for, whether or not the data has labels.
    known = guide_of(guide).labels or model.labels
    cond = conditions_of(model, held_out, count)
    asked = None if known is None or cond is not None else known.shares_of(count)
    with counting("evaluating", shown=progress):
        x = draw(model, count, cond, label=asked, seed=settings.seed, **how)
        told = Condition(asked) if cond is None and asked is not None else cond
        drawn = Samples(info, x.cpu(), told)
        found = measure(
            settings.chosen(),
            Featured(drawn, info, count),
            Featured(train, info, most),
            Featured(held_out, info, most, cache),
            model,
            Noise(settings.seed, range(count)).child("metrics"),
        )
    found["sampling"] = {"seed": settings.seed, **_sampling(model, how)}
    return found


def to_file(
    model: Model,
    path: Path,
    changes: Mapping[str, Any],
    how: Mapping[str, Any],
    *,
    data: str | None = None,
    against: str | None = None,
    name: str = "the model",
) -> dict[str, Any]:
    """Figures by name of a model that draws or of a classifier, written by process 0.

    Arguments:
        model: beside whose file the judge is kept.
        path: of the .json file.
        changes: as of ``settings_of``.
        how: how it draws, as of ``evaluate``.
        data, against: the model's own data and what to compare with, by name or path.
        name: how a refusal calls the model.
    """
    check_json(path)
    settings = settings_of(model, changes)
    held_out = own_data(model, "test", data if against is None else against)
    if isinstance(model, Classifies):
        options = {"count": "n", "likelihood": "nll", "metrics": "metrics"}
        useless = [*how, *(o for key, o in options.items() if changes.get(key) is not None)]
        if useless:
            why = "holds a classifier, which is not sampled"
            raise InputError(f"{name} {why}; leave {useless} out.")
        found = classify(model, settings, held_out)
    else:
        needs(model, Draws, name)
        cache = None if model.origin is None else model.origin.parent
        train = own_data(model, "train", data)
        found = evaluate(model, settings, cache=cache, train=train, held_out=held_out, **how)
    if parallel.rank() == 0:
        write_json(path, found)
    return found


def _sampling(model: Model, how: Mapping[str, Any]) -> dict[str, Any]:
    """How the samples were drawn."""
    own = model.sampling
    if not isinstance(model, Walks):
        return {} if own is None else recipe_of(model, {})
    guide = how.get("guide")
    return {
        "guidance": written(Guidance, how.get("guidance", own.guidance)),
        "steps": how.get("steps", own.steps),
        "solver": str(how.get("solver", type(own.solver).__name__)),
        **({} if guide is None else {"guide": type(guide).__name__}),
    }


def settings_of(model: Model, changes: Mapping[str, Any]) -> Evaluation:
    """The [evaluation] table of the recipe that trained a model, with some settings changed; None
    changes nothing."""
    table = {"kind": "evaluation", **model.recipe.get("evaluation", {})}
    settings: Evaluation = build("evaluation", table)
    return replace(settings, **{k: v for k, v in changes.items() if v is not None})
