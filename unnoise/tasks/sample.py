"""Sampling from any model that draws; ``unnoise sample``, sample sheets and evaluation use it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unnoise.catalogue.registry import member
from unnoise.core.condition import Condition
from unnoise.core.errors import InputError, short
from unnoise.data import Dataset
from unnoise.denoisers import Constant, Guidance
from unnoise.models import Draws, Model, OdeModel, SampleRequest, Walks, distributed, needs
from unnoise.models.conditions import UNIFORM
from unnoise.system import parallel
from unnoise.system.progress import counting
from unnoise.tasks import output

_OF_A_WALK = ("guidance", "guide", "solver", "steps", "grid", "given", "near")


class Frame(NamedTuple):
    """Samples on their way from noise to data.

    Arguments:
        x: modelled values, shape (n, *event).
        visible: the same, scaled so that noise looks like noise.
        sigma: of the noise that is left.
    """

    x: Tensor
    visible: Tensor
    sigma: float


def conditions_of(model: Model, data: Dataset, n: int) -> Condition | None:
    """Conditions of examples of a data set, for a model that reads more than labels; else None."""
    if not model.reads - {"label"}:
        return None
    cond = data.batch(torch.arange(n) % len(data)).cond
    return cond if cond is not None and model.reads <= cond.slots else None


def draw(model: Model, n: int, cond: Condition | None = None, **keywords: Any) -> Tensor:
    """Samples of a model, shape (n, *event), shared by all processes.

    Arguments:
        model: any model that draws.
        n: how many.
        cond: conditions, one row for each.
        keywords: as of ``SampleRequest``; None is left out.

    Raises:
        InputError: the model draws nothing, or not in the way that is asked for.
    """
    if isinstance(model, Walks):
        return distributed.sample(model.plan(SampleRequest.of(n, cond, _given(keywords))))
    return distributed.draw(**_at_once(model, n, cond, keywords))


def frames(model: Model, n: int, **keywords: Any) -> list[Frame]:
    """The same step by step where a model walks, and in one frame where it draws at once."""
    if not isinstance(model, Walks):
        x = distributed.draw(**_at_once(model, n, None, keywords))
        return [Frame(x, x, 0.0)]
    plan = model.plan(SampleRequest.of(n, None, _given(keywords)))
    found: list[Frame] = []
    with counting("drawing samples", len(plan), "steps") as count:
        for step in distributed.walk(plan):
            sigma, visible = output.shown(needs(model, OdeModel), step.x, step.s)
            found.append(Frame(step.x, visible, sigma))
            count()
    return found


def _given(keywords: Mapping[str, Any]) -> Any:
    return {name: value for name, value in keywords.items() if value is not None}


def _at_once(
    model: Model, n: int, cond: Condition | None, keywords: Mapping[str, Any]
) -> dict[str, Any]:
    """Arguments of ``distributed.draw``."""
    given = _given(keywords)
    asked = next((name for name in given if name in _OF_A_WALK), None)
    needs(model, Draws)
    if asked is not None:
        why = "draws without a walk from noise to data"
        raise InputError(f"{asked}: a {type(model).__name__} {why}; leave it out.")
    label, first = given.pop("label", None), given.get("first", 0)
    if label is not None and model.classes is None:
        raise InputError(f"label = {short(label)}: this model was trained without labels.")
    given.pop("exact", None)  # it always is
    if cond is None:
        numbers = output.classes_of(model, n, label, first, given.get("seed", 0))
        cond = None if numbers is None else Condition(label=numbers)
    return {"model": model, "n": n, "cond": cond, "seed": 0, **given}


def _wanted(model: Model, label: str | None, sheet: bool) -> int | str | None:
    """What classes samples are asked to be of."""
    if label is None:
        return UNIFORM if sheet and model.labels is not None else None
    return label if label == UNIFORM else output.info_of(model).label(label)


def calls(model: Model, n: int) -> int:
    """Network calls that ``n`` samples of a model take, each sample and what pads it counted."""
    own: Any = model.sampling
    n = -(-n // (own.chunk or 1)) * (own.chunk or 1) if isinstance(model, Draws) else 0
    if not isinstance(model, Walks):
        return n
    guided = bool(model.reads) and member(Guidance, own.guidance) != Constant(1.0)
    return n * own.steps * (own.solver.calls or 1) * (1 + guided)


def to_file(
    model: Model,
    n: int,
    path: Path,
    names: Mapping[str, Any],
    *,
    label: str | None = None,
    seed: int = 0,
    **how: Any,
) -> None:
    """Draw samples and write them, in process 0; the suffix says how.

    Arguments:
        model: any model that draws; of a film one that walks.
        n: how many.
        path: as ``output.check_target`` allows: .png sheet, .gif film, .npz, or a folder.
        names: what the files call the "model" and, where there is one, the "guide".
        label: class of all, by number or name; "uniform" takes the classes in turn, and so does
            None on a sheet or film; elsewhere None goes by the data's frequencies.
        seed, how: keywords of ``SampleRequest``.
    """
    film = output.check_target(path) == ".gif"
    if film:
        needs(model, Walks, names["model"])
    asked = output.whose_labels(model, how.get("guide"))
    wanted = _wanted(asked, label, sheet=film or path.suffix.lower() == ".png")
    how = {"seed": seed, "label": wanted, **how}
    about = {"model": names["model"], "n": n, **output.recipe_of(model, how)}
    if how.get("guide") is not None:
        about["guide"] = names["guide"]
    walk = frames(model, n, **how) if film else []
    x = torch.empty(0) if film else draw(model, n, **how)
    if parallel.rank() > 0:
        return
    labels = output.classes_of(asked, n, wanted, how.get("first", 0), seed)
    if film:
        output.draw_walk(model, [frame.visible for frame in walk], path, labels, asked)
    elif path.suffix.lower() == ".png":
        output.draw(model, x, path, about, labels, asked)
    else:
        write = output.write_files if path.suffix == "" else output.write_arrays
        write(model, x, labels, path, about)
