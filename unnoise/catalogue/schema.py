"""Schema of a constructor from its type hints, validated by pydantic."""

import difflib
import functools
import inspect
import json
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, final

from unnoise.core.errors import InputError, short

_PLAIN = (int, float, str, bool, type(None))
_SIMPLE = frozenset(_PLAIN)
_TOLD = 20  # mistakes that are told one by one
_LONGEST = 80  # letters of a name, or of a list of names, in a message


@functools.cache
def parameters_of(call: Callable[..., Any]) -> dict[str, Any]:
    """Name and type hint of each parameter, ``self`` aside."""
    hints = typing.get_type_hints(call, include_extras=True)
    found = list(inspect.signature(call).parameters)
    return {n: hints.get(n, Any) for n in found if n != "self"}


def member_of(annotation: Any) -> tuple[Any, bool] | None:
    """Registry family (its base class) in a type hint, and whether many are meant; None without."""
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
    """Whether values of this type (tensors, functions) cannot be serialised to a recipe."""
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
    """A pydantic model of a constructor's parameters; members and opaque ones pass unchecked."""
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


@final
class Schema:
    """Validation of a constructor's arguments by its own type hints.

    Arguments:
        call: the constructor. Members and what no recipe can hold are not looked at here.
    """

    def __init__(self, call: Callable[..., Any]) -> None:
        import pydantic

        self._refused = pydantic.ValidationError
        self._parameters = parameters_of(call)
        found = self._parameters.items()
        self._unseen = {k for k, a in found if member_of(a) or is_opaque(a)}
        self._validator: Any = model_of(call).__pydantic_validator__

    def read(self, arguments: Mapping[str, Any], where: str) -> tuple[dict[str, Any], list[str]]:
        """Validate and convert all arguments; returns the values, and the errors, one line each.

        A whole number given for a float becomes one, a list becomes a tuple.
        """
        unseen = {k: v for k, v in arguments.items() if k in self._unseen} if self._unseen else {}
        seen = {**arguments, **dict.fromkeys(unseen)} if unseen else arguments
        try:
            if _SIMPLE.issuperset(map(type, seen.values())):
                found = self._validator.validate_python(seen)
            else:
                # Through JSON: lists and tuples are one thing, numbers of numpy are numbers.
                found = self._validator.validate_json(json.dumps(seen, default=jsonable))
        except self._refused as error:
            wrong = error.errors()
            told = [_line(dict(each), self._parameters, where) for each in wrong[:_TOLD]]
            # To look for the nearest name takes long, and nobody reads so many.
            return {}, told + [f"{where}: one more mistake." for _ in wrong[_TOLD:]]
        except (TypeError, ValueError, RecursionError) as error:
            key = next((k for k, v in seen.items() if not _is_jsonable(v)), "")
            reason = "it has too many digits" if "digits" in str(error) else str(error)
            return {}, [f"{where}.{key} = {short(seen.get(key))}: {reason}."]
        return {**found.__dict__, **unseen}, []


def _is_jsonable(value: Any) -> bool:
    try:
        json.dumps(value, default=jsonable)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _line(error: dict[str, Any], parameters: Mapping[str, Any], where: str) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{where}.{key[:_LONGEST]}: no such setting.{among(key, parameters)}"
    if error["type"] == "missing":
        return f"{where}.{key}: this setting is needed and has no default."
    message = error["msg"][0].lower() + error["msg"][1:]
    return f"{where}.{key} = {short(error['input'])}: {message}."


# What other libraries of the field call our arguments and settings.
_ELSEWHERE = {
    "accumulate_grad_batches": "micro_batch",
    "accumulation": "micro_batch",
    "batch_size": "batch",
    "cfg": "guidance",
    "cfg_scale": "guidance",
    "class_label": "label",
    "class_labels": "label",
    "cond_scale": "guidance",
    "condition": "cond",
    "ema": "ema_half_life",
    "ema_decay": "ema_half_life",
    "epochs": "steps",
    "eta_min": "schedule",
    "generator": "seed",
    "grad_clip": "clip",
    "gradient_clip_val": "clip",
    "guidance_scale": "guidance",
    "iterations": "steps",
    "labels": "label",
    "learning_rate": "lr",
    "lr_scheduler": "schedule",
    "manual_seed": "seed",
    "max_epochs": "steps",
    "max_grad_norm": "clip",
    "max_steps": "steps",
    "max_train_steps": "steps",
    "mixed_precision": "precision",
    "n_samples": "n",
    "num_epochs": "steps",
    "num_images": "n",
    "num_inference_steps": "steps",
    "num_iterations": "steps",
    "num_samples": "n",
    "num_steps": "steps",
    "num_train_epochs": "steps",
    "num_workers": "workers",
    "output_dir": "out",
    "p_uncond": "label_dropout",
    "per_device_train_batch_size": "batch",
    "random_state": "seed",
    "sampler": "solver",
    "sampling_steps": "steps",
    "save_steps": "save_every",
    "scheduler": "solver",
    "timesteps": "steps",
    "train_batch_size": "batch",
    "train_steps": "steps",
    "unconditional_guidance_scale": "guidance",
    "warmup_steps": "warmup",
    "y": "label",
}


def check_keywords(what: str, given: Iterable[str], known: Sequence[str]) -> None:
    """Refuse a keyword that a method does not take, with the name that it has here.

    Raises:
        InputError: names the first unknown one.
    """
    names = dict.fromkeys(known)
    for name in given:
        if name not in names:
            cure = nearest(name, names) or f" Known: {', '.join(names)}."
            raise InputError(f"{what} has no argument {short(name)}.{cure}")


def nearest(word: str, known: Mapping[str, Any]) -> str:
    """Spelling suggestion " Did you mean ...?" with the known name nearest to a word, or "".

    A name of other libraries is near to what is called so here.
    """
    here = _ELSEWHERE.get(word, "")
    if here in known:
        return f" Did you mean {here!r}?"
    near = difflib.get_close_matches(word[:_LONGEST], known, 1)
    return f" Did you mean {near[0]!r}?" if near else ""


def among(word: str, known: Mapping[str, Any]) -> str:
    """Spelling suggestion of ``nearest``, and the first known names."""
    names = list(known)
    count = 1
    while count < len(names) and len(", ".join(names[: count + 1])) <= _LONGEST:
        count += 1
    more = ", ..." if count < len(names) else ""
    return f"{nearest(word, known)} Known: {', '.join(names[:count]) or 'none'}{more}."


def jsonable(value: Any) -> Any:
    """JSON fallback: numbers of other libraries, and paths, as plain values."""
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        return value.item()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a {type(value).__name__} cannot stand here")
