"""A model as one file, complete by itself: weights, recipe, and what is known of the data."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unnoise.core.errors import DamagedFileError, InputError
from unnoise.core.files import pack, unpack, write_atomic
from unnoise.core.registry import build, load_plugin, spec
from unnoise.data import info_fields, info_from
from unnoise.models.base import Model

FORMAT = 1


def content(model: Model) -> bytes:
    """The bytes of a model's file."""
    document: dict[str, Any] = {"format": FORMAT, "kind": "model"}
    tables = {"model": spec(model), "sampling": _without_kind(spec(model.sampling))}
    document["recipe"] = {**model.recipe, **tables}
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    if model.info is not None:
        document["data"], known = info_fields(model.info)
        tensors.update({f"data.{name}": value for name, value in known.items()})
    return pack(json.loads(json.dumps(document)), tensors)


def save(model: Model, path: str | Path) -> None:
    """Write a model into one file.

    Arguments:
        model: any model made of registered parts.
        path: ends in ".safetensors".

    Raises:
        InputError: a part is not registered, or the suffix is another.
        StorageError: the file cannot be written.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise InputError(f"{path}: a model is saved as a .safetensors file; give it that suffix.")
    write_atomic(path, content(model))


def load(path: str | Path, plugins: tuple[str | Path, ...] = ()) -> Any:
    """Read a model from a file, or from the folder of a run.

    Arguments:
        path: ``model.safetensors``, or a folder that holds one.
        plugins: Python files of the user's that the model's parts are registered in; a file never
            loads one by itself.

    Returns:
        The model, in evaluation mode, on the CPU.

    Raises:
        InputError: no such file, not a model, or a part that nobody registered.
        DamagedFileError: the content does not match its checksum or its own recipe.
    """
    for plugin in plugins:
        load_plugin(plugin)
    file = Path(path)
    if file.is_dir():
        file = file / "model.safetensors"
    if not file.is_file():
        raise InputError(
            f"{path}: no model there. Give a .safetensors file, or the folder of a run that has "
            "saved one."
        )
    document, tensors = unpack(file)
    return model_from(document, tensors, file)


def model_from(document: Mapping[str, Any], tensors: Mapping[str, Tensor], file: Path) -> Model:
    """A model from the content of its file; ``file`` is for messages."""
    if document.get("kind") != "model":
        raise InputError(f"{file} holds no model but a {document.get('kind', 'nameless thing')!r}.")
    if document.get("format") != FORMAT:
        raise InputError(
            f"{file} has format {document.get('format')}; this version of unnoise reads {FORMAT}."
        )
    recipe: Any = document.get("recipe")
    if not isinstance(recipe, dict) or not isinstance(recipe.get("sampling"), dict):
        raise DamagedFileError(f"{file} has no recipe for its model.")
    state = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    try:
        _check_weights(recipe, state, file)
        sampling = build("sampling", {**recipe["sampling"], "kind": "sampling"}, "sampling")
    except DamagedFileError:
        raise
    except InputError as error:
        raise InputError(f"{file}: {error}{_plugins(recipe)}") from error
    model: Model = build("model", recipe["model"], "model")
    model.load_state_dict(state)
    model.sampling = sampling
    model.recipe = {k: v for k, v in recipe.items() if k not in ("model", "sampling")}
    if "data" in document:
        known = {k.removeprefix("data."): v for k, v in tensors.items() if k.startswith("data.")}
        model.info = info_from(dict(document["data"]), known)
    return model.eval()


def _plugins(recipe: Mapping[str, Any]) -> str:
    """A hint at the user's own files that a model was made with; they are never loaded unasked."""
    named = recipe.get("plugins")
    return f" It was trained with plugins, name them by --plugin: {named}." if named else ""


def _check_weights(recipe: Mapping[str, Any], state: Mapping[str, Tensor], file: Path) -> None:
    """Compare the weights with what the recipe would build, before any memory is taken for it."""
    with torch.device("meta"):
        wanted = build("model", recipe.get("model"), "model").state_dict()
    if {k: (v.shape, v.dtype) for k, v in wanted.items()} != {
        k: (v.shape, v.dtype) for k, v in state.items()
    }:
        raise DamagedFileError(f"{file}: its weights are not those that its recipe describes.")
    bad = [k for k, v in state.items() if v.is_floating_point() and not torch.isfinite(v).all()]
    if bad:
        raise DamagedFileError(f"{file}: weight {bad[0]} holds NaN or infinite numbers.")


def _without_kind(table: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in table.items() if k != "kind"}
