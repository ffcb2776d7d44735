"""Model files (safetensors): weights, recipe, and what is known of the data, in one file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NotRequired

import torch
from annotated_types import Interval
from torch import Tensor
from torch.nn.parameter import is_lazy
from typing_extensions import TypedDict

from unnoise.catalogue.registry import build, load_plugin, schema, spec
from unnoise.catalogue.weights import at_most, named_as
from unnoise.core.errors import DamagedFileError, InputError, NumbersError, either, short
from unnoise.data import DataInfo, info_fields, info_from
from unnoise.models.base import Model
from unnoise.system.documents import checked
from unnoise.system.files import pack, unpack, write_atomic
from unnoise.system.modes import plain_modes

FORMAT = 2
_READ = (1, 2)  # formats that are read; what the older lacks counts as what the old code did


# Shape and type of each weight; no shape where a lazy layer will have one later.
Kinds = dict[str, tuple[torch.Size | None, torch.dtype]]


def check(model: Model) -> Kinds:
    """Refuse a model whose file could not be read again: the check that ``load`` makes, before.

    Returns:
        Shape and type of each weight that the model's recipe builds, for ``content``.

    Raises:
        InputError: a part is not registered, or the weights are not those of the recipe.
    """
    document, _ = _described(model)
    wanted = _kinds(_built(document["recipe"]["model"]).state_dict())
    _weights(model, wanted)
    return wanted


def content(model: Model, wanted: Kinds | None = None) -> bytes:
    """The bytes of a model's file.

    Arguments:
        model: any model made of registered parts.
        wanted: what ``check`` said of it; found out when absent.

    Raises:
        InputError: as ``check``.
        NumbersError: a weight holds NaN or infinite numbers.
    """
    document, tensors = _described(model)
    if wanted is None:
        wanted = _kinds(_built(document["recipe"]["model"]).state_dict())
    weights = _weights(model, wanted)
    bad = _not_finite(weights)
    if bad is not None:
        raise NumbersError(
            f"weight {bad} holds NaN or infinite numbers; such a model is not saved."
        )
    tensors.update({f"model.{name}": value for name, value in weights.items()})
    return pack(document, tensors)


def _described(model: Model) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The document of a model's file, and the tensors that belong to its data."""
    document: dict[str, Any] = {"format": FORMAT, "kind": "model"}
    tables = {"model": spec(model)}
    if model.sampling_kind is not None:
        tables["sampling"] = _without_kind(spec(model.sampling))
    document["recipe"] = {**model.recipe, **tables}
    if model.hidden is not None:
        document["hidden"] = dict(model.hidden)
    tensors: dict[str, Tensor] = {}
    if model.info is not None:
        document["data"], known = info_fields(model.info)
        info_from(document["data"], known)
        tensors = {f"data.{name}": value for name, value in known.items()}
    try:
        return json.loads(json.dumps(document)), tensors
    except (TypeError, ValueError) as error:
        raise InputError(f"model.recipe cannot be written to a file: {error}.") from error


def _weights(model: Model, wanted: Kinds) -> dict[str, Tensor]:
    """A model's weights under their plain names, as its recipe would build them."""
    held = named_as(wanted, model.state_dict())
    cure = "undo what was done to the network, or do it in its constructor."
    for name in sorted({*wanted, *held}):
        if name not in wanted:
            raise InputError(f"weight {name} is not in the model that its recipe builds; {cure}")
        if name not in held:
            raise InputError(f"weight {name} of the model that its recipe builds is gone; {cure}")
        value, (shape, dtype) = held[name], wanted[name]
        if is_lazy(value):
            raise InputError(f"weight {name} has no shape yet; call the model once first.")
        if value.dtype != dtype:
            told, want = (str(each).removeprefix("torch.") for each in (value.dtype, dtype))
            raise InputError(
                f"weight {name} is {told}; files hold {want}: call model.to(torch.{want})."
            )
        if shape is not None and value.shape != shape:
            given, want = tuple(value.shape), tuple(shape)
            raise InputError(f"weight {name} has shape {given}; its recipe builds {want}; {cure}")
    return held


def _kinds(weights: Mapping[str, Tensor]) -> Kinds:
    return {n: (None if is_lazy(v) else v.shape, v.dtype) for n, v in weights.items()}


def _fits(wanted: Kinds, held: Kinds) -> bool:
    return wanted.keys() == held.keys() and all(
        shape in (None, held[name][0]) and dtype == held[name][1]
        for name, (shape, dtype) in wanted.items()
    )


def _not_finite(weights: Mapping[str, Tensor]) -> str | None:
    """The first weight that holds NaN or infinite numbers."""
    floating = ((n, v) for n, v in weights.items() if v.is_floating_point())
    return next((n for n, v in floating if not bool(torch.isfinite(v).all())), None)


def _built(table: Any) -> Model:
    """The model of a recipe as any process would build it: on the CPU, in float32."""
    with plain_modes(), torch.device("cpu"):
        return build("model", table, "model")


def save(model: Model, path: str | Path) -> None:
    """Write a model into one file.

    Arguments:
        model: any model made of registered parts.
        path: ends in ".safetensors".

    Raises:
        InputError: the file could not be read again (see ``check``), or the suffix is another.
        NumbersError: a weight holds NaN or infinite numbers.
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
    with plain_modes():
        document, tensors = unpack(file)
        return model_from(document, tensors, file)


def model_from(document: Mapping[str, Any], tensors: Mapping[str, Tensor], file: Path) -> Model:
    """A model from the content of its file; ``file`` is for messages."""
    if document.get("kind") != "model":
        kind = short(document.get("kind", "nameless thing"))
        raise InputError(f"{file} holds no model but a {kind}.")
    if document.get("format") not in _READ:
        raise InputError(
            f"{file} has format {short(document.get('format'))}; this version of unnoise reads "
            f"{' and '.join(map(str, _READ))}."
        )
    recipe = checked(_Document, document, str(file))["recipe"]
    checked(_Recipe, recipe, str(file), more=True)
    state = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    other = DamagedFileError(f"{file}: its weights are not those that its recipe describes.")
    numbers = sum(value.numel() for value in state.values())
    try:
        # Some parts of others take a weight twice, and some make one only to throw it away.
        with at_most(4 * numbers + 1_000_000, 4 * len(state) + 1_000, other):
            model = _built(recipe["model"])
        sampling = _sampling(model.sampling_kind, recipe.get("sampling", {}), document["format"])
        info = info_in(document, tensors)
    except DamagedFileError:
        raise
    except InputError as error:
        raise InputError(f"{file}: {error}{_plugins(recipe)}") from error
    if not _fits(_kinds(model.state_dict()), _kinds(state)):
        raise other
    bad = _not_finite(state)
    if bad is not None:
        raise DamagedFileError(f"{file}: weight {bad} holds NaN or infinite numbers.")
    model.load_state_dict(state)
    model.sampling = sampling
    model.origin = file
    model.hidden = document.get("hidden")
    model.recipe = {k: v for k, v in recipe.items() if k not in ("model", "sampling")}
    model.info = info
    return model.eval()


def info_in(document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> DataInfo | None:
    """What the content of a model's file says of its data; None where it says nothing."""
    if "data" not in document:
        return None
    known = {k.removeprefix("data."): v for k, v in tensors.items() if k.startswith("data.")}
    return info_from(document["data"], known)


def _sampling(kind: str | None, table: Mapping[str, Any], version: int) -> Any:
    """Sampling defaults of a model, None where it does not draw."""
    if kind is None:
        return None
    if version == 1:  # every model had the keys of a walk
        table = {k: v for k, v in table.items() if k in schema("sampling", kind)["properties"]}
    return build("sampling", {**table, "kind": kind}, "sampling")


class _Recipe(TypedDict):
    """The recipe in a model's file; what stands in its tables is looked at when they are used."""

    model: dict[str, Any]
    sampling: NotRequired[dict[str, Any]]
    data: NotRequired[dict[str, Any]]
    training: NotRequired[dict[str, Any]]
    evaluation: NotRequired[dict[str, Any]]
    name: NotRequired[str]
    plugins: NotRequired[list[str]]


class _Document(TypedDict):
    """The JSON document of a model's file."""

    format: int
    kind: str
    recipe: dict[str, Any]
    data: NotRequired[dict[str, Any]]
    hidden: NotRequired[dict[str, Annotated[float, Interval(ge=0, le=1)]]]


def _plugins(recipe: Mapping[str, Any]) -> str:
    """A hint at the user's own files that a model was made with; they are never loaded unasked."""
    named = recipe.get("plugins")
    return (
        f" Name its plugins by {either('plugins=', '--plugin')}: {short(named)}." if named else ""
    )


def _without_kind(table: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in table.items() if k != "kind"}
