"""How a constructor is read and checked: its type hints are the schema."""

import difflib
import functools
import inspect
import json
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from unnoise.core.errors import InputError

_PLAIN = (int, float, str, bool, type(None))


def call_of(maker: Callable[..., Any]) -> Callable[..., Any]:
    call = maker.__init__ if isinstance(maker, type) else maker
    return inspect.unwrap(call)


@functools.cache
def parameters_of(call: Callable[..., Any]) -> dict[str, Any]:
    """Name and type hint of each parameter, ``self`` aside."""
    hints = typing.get_type_hints(call, include_extras=True)
    found = list(inspect.signature(call).parameters)
    return {n: hints.get(n, Any) for n in found if n != "self"}


def member_of(annotation: Any) -> tuple[Any, bool] | None:
    """The family base inside an annotation, and whether many are meant; None without one."""
    if isinstance(annotation, type) and isinstance(getattr(annotation, "family", None), str):
        return annotation, False
    origin = typing.get_origin(annotation)
    if origin is None:
        return None
    for inner in typing.get_args(annotation):
        found = member_of(inner)
        if found is not None:
            return found[0], found[1] or origin in (list, tuple)
    return None


def is_opaque(annotation: Any) -> bool:
    """Whether values of this type (tensors, functions) are beyond what a recipe can hold."""
    if member_of(annotation) is not None or annotation in _PLAIN or annotation is Ellipsis:
        return False
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return False
    if origin is typing.Annotated:
        return is_opaque(typing.get_args(annotation)[0])
    if origin in (list, tuple, dict, typing.Union, types.UnionType):
        return any(is_opaque(inner) for inner in typing.get_args(annotation))
    return True


@functools.cache
def model_of(call: Callable[..., Any]) -> Any:
    """A pydantic model of a constructor's parameters; members and opaque ones pass unseen."""
    import pydantic  # costs 0.1 s, and only who builds something needs it

    fields: dict[str, Any] = {}
    found = inspect.signature(call).parameters
    for name, annotation in parameters_of(call).items():
        unseen = member_of(annotation) is not None or is_opaque(annotation)
        default = found[name].default
        required = default is inspect.Parameter.empty
        shown = ... if required else (None if unseen else default)
        fields[name] = (Any if unseen else annotation, shown)
    config = pydantic.ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=()
    )
    return pydantic.create_model("Settings", __config__=config, **fields)


def problems_of(call: Callable[..., Any], arguments: Mapping[str, Any], where: str) -> list[str]:
    """What is wrong with the arguments of a constructor, one line each."""
    import pydantic

    parameters = parameters_of(call)
    unseen = {k for k, a in parameters.items() if member_of(a) is not None or is_opaque(a)}
    seen = {k: None if k in unseen else v for k, v in arguments.items()}
    try:
        # Through JSON: lists and tuples are one thing, booleans are no numbers, text is no number.
        model_of(call).model_validate_json(json.dumps(seen, default=jsonable))
    except pydantic.ValidationError as error:
        return [_line(dict(e), parameters, where) for e in error.errors()]
    except TypeError as error:
        key = next(k for k, v in seen.items() if not _is_jsonable(v))
        return [f"{where}.{key}: {error}."]
    return []


def _is_jsonable(value: Any) -> bool:
    try:
        json.dumps(value, default=jsonable)
    except TypeError:
        return False
    return True


def check(call: Callable[..., Any], arguments: Mapping[str, Any], where: str) -> None:
    problems = problems_of(inspect.unwrap(call), arguments, where)
    if problems:
        raise InputError("\n".join(problems))


def _line(error: dict[str, Any], parameters: Mapping[str, Any], where: str) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        known = ", ".join(parameters) or "none"
        return f"{where}.{key}: no such setting.{nearest(key, parameters)} Known: {known}."
    if error["type"] == "missing":
        return f"{where}.{key}: this setting is needed and has no default."
    message = error["msg"][0].lower() + error["msg"][1:]
    return f"{where}.{key} = {error['input']!r}: {message}."


def nearest(word: str, known: Mapping[str, Any]) -> str:
    """ " Did you mean ...?" with the known name nearest to a word, or nothing."""
    near = difflib.get_close_matches(word, known, 1)
    return f" Did you mean {near[0]!r}?" if near else ""


def jsonable(value: Any) -> Any:
    """Numbers of other libraries, and paths, as plain values."""
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        return value.item()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a {type(value).__name__} ({value}) cannot stand here")
