"""Sampling from any model that draws; ``unnoise sample``, sample sheets and evaluation use it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unnoise.core.condition import Condition
from unnoise.core.errors import InputError, short
from unnoise.data import Dataset
from unnoise.models import Draws, Model, OdeModel, SampleRequest, Walks, distributed, needs
from unnoise.tasks import output

_OF_A_WALK = ("guidance", "guide", "solver", "steps", "grid", "given", "near")


class Frame(NamedTuple):
    """Samples on their way from noise to data.

    Arguments:
        x: modelled values, shape (n, *event).
        visible: the same, scaled so that noise looks like noise.
        sigma: of the noise that is left.
        steps: steps so far.
    """

    x: Tensor
    visible: Tensor
    sigma: float
    steps: int


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
        return distributed.sample(model.plan(_request(n, cond, keywords)))
    return distributed.draw(**_at_once(model, n, cond, keywords))


def frames(model: Model, n: int, cond: Condition | None = None, **keywords: Any) -> Iterator[Frame]:
    """The same step by step where a model walks, and in one frame where it draws at once."""
    if isinstance(model, Walks):
        for step in distributed.walk(model.plan(_request(n, cond, keywords))):
            sigma, visible = output.shown(needs(model, OdeModel), step.x, step.s)
            yield Frame(step.x, visible, sigma, step.index + 1)
    else:
        x = distributed.draw(**_at_once(model, n, cond, keywords))
        yield Frame(x, x, 0.0, 1)


def _given(keywords: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in keywords.items() if value is not None}


def _request(n: int, cond: Condition | None, keywords: Mapping[str, Any]) -> SampleRequest:
    given: Any = _given(keywords)
    return SampleRequest.of(n, cond, given)


def _at_once(
    model: Model, n: int, cond: Condition | None, keywords: Mapping[str, Any]
) -> dict[str, Any]:
    """Arguments of ``distributed.draw``."""
    given = _given(keywords)
    asked = next((name for name in given if name in _OF_A_WALK), None)
    needs(model, Draws)
    if asked is not None:
        raise InputError(
            f"{asked}: a {type(model).__name__} draws without a walk from noise to data; leave it "
            "out."
        )
    label, first = given.pop("label", None), given.get("first", 0)
    if label is not None and model.classes is None:
        raise InputError(f"label = {short(label)}: this model was trained without labels.")
    given.pop("exact", None)  # it always is
    if cond is None:
        numbers = label if isinstance(label, Tensor) else output.turn(model, n, label, first)
        cond = None if numbers is None else Condition(label=numbers)
    return {"model": model, "n": n, "cond": cond, "seed": 0, **given}


def write(
    model: Model,
    drawn: list[Frame],
    path: Path,
    about: dict[str, Any],
    labels: Tensor | None,
    columns: int | None,
) -> None:
    """Write samples; the suffix of the path says how: .png sheet, .gif film, .npz, or a folder.

    Arguments:
        model: whose samples they are.
        drawn: frames, the last of them the samples; a film shows all.
        path: as ``output.check_target`` allows.
        about: how they were made; goes into the files.
        labels: classes that were asked for, shape (n,).
        columns: of a sheet.
    """
    x = drawn[-1].x
    if path.suffix.lower() == ".gif":
        output.draw_walk(model, [frame.visible for frame in drawn], path, labels)
    elif path.suffix.lower() == ".png":
        output.draw(model, x, path, about, labels, columns)
    elif path.suffix.lower() == ".npz":
        output.write_arrays(model, x, labels, path, about)
    else:
        output.write_files(model, x, labels, path, about)
