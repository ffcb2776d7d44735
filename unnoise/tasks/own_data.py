"""Data of a trained model, and held-out data: what is opened, and on whose word.

A model file is a stranger's: what its header says of its data is opened only where the kind is
marked as one that opens nothing, as ``digits`` and the toys are. Places are named by the user, or
by the ``recipe.toml`` of the run that the file lies in.
"""

import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from unnoise.catalogue.construction import constructor_of
from unnoise.catalogue.registry import build, lookup, names
from unnoise.catalogue.schema import nearest, parameters_of
from unnoise.core.errors import InputError, either, short
from unnoise.data import Dataset
from unnoise.data.modelled import as_modelled
from unnoise.data.names import place_of
from unnoise.data.places import data_table
from unnoise.models import Model
from unnoise.recipes.load import read_toml


def dataset(name: str, table: Mapping[str, Any] | None = None) -> Dataset:
    """A data set by name and split, as in "digits:test".

    Arguments:
        name: a registered kind; after a colon its split.
        table: further settings of the data set.
    """
    kind, _, split = name.partition(":")
    known = dict.fromkeys(names("dataset"))
    if kind not in known:
        raise InputError(
            f"data {short(kind)}: unknown.{nearest(kind, known)} Give a name or a path."
        )
    changes = {"split": split} if split else {}
    return build("dataset", {**(table or {}), "kind": kind, **changes}, "data")


def own_data(model: Model, split: str, told: str | None = None) -> Dataset:
    """The data a model was trained on, or its held-out part.

    Arguments:
        model: a trained model.
        split: "train" or "test".
        told: where the user says that the data lies now: a name such as "digits", or a path as
            ``unnoise train --data`` takes it.

    Returns:
        The data, in the model's modelled values.

    Raises:
        InputError: nobody says what the data was, or only a file's header says so and it names a
            place; or the data has no such split.
    """
    if told is not None:
        return as_modelled(_by_name_or_path(told, model, {"split": split}), model.info)
    run = _run_table(model)
    table = _header(model) if run is None else run
    if not table:
        raise InputError(
            "this model does not say what it was trained on; name it: "
            f"{either('train=, held_out=', '--data')}."
        )
    kind = table.get("kind")
    maker = lookup("dataset", kind, "data.kind")
    if model.origin is not None and run is None and not getattr(maker, "opens_nothing", False):
        at = f" at {short(table['path'], 40)}" if "path" in table else ""
        raise InputError(
            f"{model.origin.name} says that its data is {short(kind, 20)}{at}; a file's word opens "
            f"nothing. Name the data: {either('train=, held_out=', '--data PATH')}."
        )
    return as_modelled(dataset(f"{kind}:{split}", table), model.info)


def other_data(told: str, model: Model) -> Dataset:
    """Any data, to ask a model about.

    Of a folder, an archive or an array that is all of it; of other data the part that is trained
    on, or the split that is named.

    Arguments:
        told: a name or path as ``own_data`` takes, perhaps with a split: "digits:test".
        model: whose size pictures are scaled to.
    """
    return as_modelled(_by_name_or_path(told, model, {"held_out": 0.0}), model.info)


def _by_name_or_path(told: str, model: Model, changes: Mapping[str, Any]) -> Dataset:
    """Data that the user names, with the settings of the model's own that can name no place."""
    if not told.strip():
        raise InputError(f"data {told!r}: give a name such as digits:test, or a path.")
    place, _, split = told.rpartition(":")
    if split in ("train", "test") and place:
        told, changes = place, {"split": split}
    if told in names("dataset"):
        return dataset(told, {k: v for k, v in changes.items() if k == "split"})
    if not told.startswith(("hf:", "http://", "https://")) and not Path(place_of(told)).exists():
        return dataset(told)  # which says that there is none
    table = data_table(told)
    known = parameters_of(constructor_of(lookup("dataset", table["kind"])).call)
    said = _run_table(model) or _header(model)
    if said.get("kind") == table["kind"]:
        kept = {k for k, hint in known.items() if k != "split" and not _may_name_a_place(hint)}
        table = {k: v for k, v in said.items() if k in kept} | table
    if len(model.shape) == 3:
        table = {"size": model.shape[-1], "channels": model.shape[0], **table}
    fitting = {k: v for k, v in {**table, **changes}.items() if k in known}
    return build("dataset", {"kind": table["kind"], **fitting}, "data")


def _header(model: Model) -> dict[str, Any]:
    """What a model says of its data."""
    table = dict(model.recipe.get("data", {}))
    if not table and model.info is not None and model.info.name in names("dataset"):
        table = {"kind": model.info.name}
    return table


def _run_table(model: Model) -> dict[str, Any] | None:
    """The [data] of the recipe.toml of the run that a model's file lies in; None without one."""
    if model.origin is None:
        return None
    folder = model.origin.resolve().parent
    run = folder.parent.parent if folder.parent.name == "checkpoints" else folder
    file = run / "recipe.toml"
    try:
        text = file.read_text("utf-8") if file.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}.") from error
    table = read_toml(text, str(file)).get("data")
    return cast(dict[str, Any], table) if isinstance(table, dict) else None


def _may_name_a_place(hint: Any) -> bool:
    """Whether a setting is free text."""
    return hint in (str, Any, Path) or any(map(_may_name_a_place, typing.get_args(hint)))
