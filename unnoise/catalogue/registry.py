"""Registry of all named components, where **the constructor is the schema**.

``@register("process", "vp")`` puts a class (or a function that returns an object) into the
catalogue. A table ``{kind = "vp", beta_max = 12}`` then builds it, checked by pydantic against the
constructor's own type hints; ``spec(obj)`` prints the table that builds ``obj`` again, with every
default spelled out, so that a file keeps its meaning when defaults move.

A class belongs to the family named by the ``family`` attribute of its base (``Process.family`` is
"process"), and a parameter annotated with such a base is a *member*: given as an object, as a
table, or as a string that is short for ``{kind = "..."}``.
"""

import copy
import difflib
import importlib.util
import inspect
import json
import re
import sys
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from torch import nn

from unnoise.catalogue.construction import Constructor, constructor_of, note_of
from unnoise.catalogue.schema import among, is_opaque, jsonable, member_of, model_of, parameters_of
from unnoise.catalogue.weights import named_as
from unnoise.core.errors import InputError, memory_ran_out, short

_CATALOGUE: dict[str, dict[str, Callable[..., Any]]] = {}
_NUMBERS: dict[str, tuple[str, str]] = {}  # family: the kind a bare number means, and its setting

Maker = TypeVar("Maker", bound=Callable[..., Any])


def register(family: str, name: str, number: str | None = None) -> Callable[[Maker], Maker]:
    """Register a class or a function under a ``kind``, its name in recipes (a decorator).

    Arguments:
        family: "process", "network", "dataset", "solver", "objective", "denoiser", "model" ...
        name: the kind's name, e.g. "vp".
        number: the setting that a bare number means, where a number is short for this kind.

    Raises:
        InputError: the name is taken by something else.
    """

    def put(maker: Maker) -> Maker:
        table = _CATALOGUE.setdefault(family, {})
        old = table.get(name)
        if old is not None and (old.__module__, old.__qualname__) != (
            maker.__module__,
            maker.__qualname__,
        ):
            raise InputError(f"{family} {name!r} is already {old.__module__}.{old.__qualname__}.")
        constructor = Constructor(family, name, maker, _build_member, _reduced)
        table[name] = constructor.installed
        if isinstance(maker, type) and issubclass(maker, nn.Module):
            maker.__deepcopy__ = _copied  # pyright: ignore[reportAttributeAccessIssue]
        if number is not None:
            _NUMBERS[family] = (name, number)
        return typing.cast(Maker, constructor.installed)

    return put


def _is_short(family: str, value: object) -> bool:
    """Whether a value stands for a member: a name, a table, or a number where one is enough."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, str | Mapping) or (number and family in _NUMBERS)


def _number(value: Any) -> Any:
    """A number of numpy or torch as Python's; anything else as it is."""
    alone = not isinstance(value, nn.Module) and getattr(value, "ndim", 1) == 0
    return cast(Any, value).item() if alone and hasattr(value, "item") else value


def names(family: str) -> list[str]:
    """The registered kinds of a family, sorted."""
    return sorted(_CATALOGUE.get(family, {}))


def families() -> list[str]:
    """The families that have at least one kind, sorted."""
    return sorted(_CATALOGUE)


def lookup(family: str, name: object, where: str = "") -> Callable[..., Any]:
    """Look up a registered class or function; an error suggests the nearest known name."""
    table = _CATALOGUE.get(family, {})
    if not isinstance(name, str) or name not in table:
        raise InputError(
            f"{where or family} = {short(name)}: no such {family}."
            f"{among(name if isinstance(name, str) else '', dict.fromkeys(sorted(table)))}"
        )
    return table[name]


def build(
    family: str, value: object, where: str = "", fill: Mapping[str, Any] | None = None
) -> Any:
    """Build a registered object from a recipe's table, or from a string that is short for one.

    Arguments:
        family: which catalogue to look into.
        value: ``{"kind": name, **arguments}``, the name alone, or a number where one is enough.
        where: path in the recipe, for messages ("model.network").
        fill: values for arguments that are absent, by name (``shape``, ``classes`` ...), taken
            wherever a constructor in the tree has such an argument.

    Raises:
        InputError: unknown kind or setting, wrong type, value out of range; all mistakes at once,
            one line each.
    """
    where, value = where or family, _number(value)
    if isinstance(value, str):
        value = {"kind": value}
    elif family in _NUMBERS and _is_short(family, value) and not isinstance(value, Mapping):
        kind, setting = _NUMBERS[family]
        value = {"kind": kind, setting: value}
    if not isinstance(value, Mapping):
        raise InputError(
            f"{where} = {short(value)}: give a name or a table with a 'kind' ({family})."
        )
    table = dict(typing.cast(Mapping[str, Any], value))
    if "kind" not in table:
        near = difflib.get_close_matches("kind", table, 1)
        if near:
            raise InputError(f"{where}.{near[0]}: no such setting. Did you mean 'kind'?")
        raise InputError(f"{where}: 'kind' is missing.{among('', dict.fromkeys(names(family)))}")
    maker = lookup(family, table.pop("kind"), f"{where}.kind")
    try:
        return construct(maker, table, where, fill)
    except RecursionError as error:
        raise InputError(f"{where}: its tables are nested too deeply.") from error


def construct(
    maker: Callable[..., Any],
    table: Mapping[str, Any],
    where: str,
    fill: Mapping[str, Any] | None = None,
) -> Any:
    """Call a registered constructor with a table of a recipe; see ``build``."""
    constructor = constructor_of(maker)
    parameters = {
        k: v for k, v in parameters_of(constructor.call).items() if k not in constructor.brought
    }
    _check_table(constructor, parameters, table, where)
    given = {k: v for k, v in (fill or {}).items() if k in parameters} | dict(table)
    absent = {k: v for k, v in constructor.defaults.items() if k not in given}
    asked = {k: v for k, v in absent.items() if v is not inspect.Parameter.empty}
    arguments = constructor.read(asked | given, where, fill)
    try:
        return constructor.make(arguments)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    except RecursionError:
        raise
    except (RuntimeError, OverflowError, TypeError, ValueError, MemoryError) as error:
        if memory_ran_out(error):
            raise InputError(
                f"{where} needs more memory than there is; make it smaller."
            ) from error
        reason = str(error).partition("\n")[0]  # torch adds pages
        raise InputError(f"{where} cannot be built: {reason}.") from error


def _check_table(
    constructor: Constructor, parameters: Mapping[str, Any], table: Mapping[str, Any], where: str
) -> None:
    """Refuse what only Python can give."""
    alien = next((k for k in table if k in constructor.brought), None)
    if alien is not None:
        raise InputError(f"{where}.{alien}: no such setting; only Python gives this argument.")
    opaque = [k for k in table if k in parameters and is_opaque(parameters[k])]
    if opaque:
        kinds = ", ".join(f"{where}.{k}" for k in opaque)
        raise InputError(f"{kinds}: functions and tensors cannot be written in a recipe.")


def member(base: type, value: Any) -> Any:
    """Resolve a member argument to an object: objects pass, names and tables are built.

    Arguments:
        base: the family's base class, e.g. ``Head``.
        value: an object of that class, a name ("v"), a table, or a number where one is enough.
    """
    family: str = getattr(base, "family")  # noqa: B009  (the base is known only at run time)
    value = _number(value)
    if _is_short(family, value):
        value = build(family, value)
    if not isinstance(value, base):
        raise InputError(
            f"{short(value)} is no {family}; give a name or an object."
            f"{among('', dict.fromkeys(names(family)))}"
        )
    return value


def spec(obj: Any) -> dict[str, Any]:
    """Serialise an object: the recipe table that builds an equal one, every default spelled out.

    Raises:
        InputError: the object, or one inside it, is not registered or holds a function or tensor.
    """
    note = note_of(obj)
    if note is None:
        raise InputError(_unregistered(obj))
    constructor, arguments = note
    parameters = parameters_of(constructor.call)
    table: dict[str, Any] = {"kind": constructor.kind}
    for key, value in arguments.items():
        if value is None:
            default = constructor.defaults[key]
            if default is not None and default is not inspect.Parameter.empty:
                raise InputError(
                    f"{type(obj).__name__}.{key} = None cannot be written to a file: what is "
                    f"absent there means the default, {default!r}. Make None the default."
                )
            continue
        found = member_of(parameters[key])
        if found is not None:
            table[key] = written(found[0], value)
        elif is_opaque(parameters[key]):
            raise InputError(
                f"{type(obj).__name__}.{key} holds a {type(value).__name__}, which cannot be "
                "written to a file; only numbers, text, lists and registered objects can."
            )
        else:
            table[key] = json.loads(json.dumps(value, default=jsonable))
    return table


def _unregistered(obj: Any) -> str:
    """Why an object cannot be written, and what to put above its class or what makes it."""
    kind = type(obj).__name__
    module = isinstance(obj, nn.Module) and not hasattr(obj, "family")
    family = "network" if module else getattr(obj, "family", "family")
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", kind).lower()
    above = f'@unnoise.register("{family}", "{name}")'
    if module:
        made = f"def {name.replace('-', '_')}(): return {kind}(...)"
        return f"a {kind} cannot be written to a file. Make it by two lines: {above} / {made}"
    what = f"a {kind} cannot be written to a recipe: its class is not registered."
    return f"{what} Put {above} above it."


def schema(family: str, name: str) -> dict[str, Any]:
    """JSON schema of one kind's settings; members are marked with their family."""
    call = constructor_of(lookup(family, name)).call
    result = model_of(call).model_json_schema()
    for key, annotation in parameters_of(call).items():
        found = member_of(annotation)
        if found is not None:
            result["properties"][key] = {"family": found[0].family, "enum": names(found[0].family)}
    return result


def load_plugin(path: str | Path) -> None:
    """Load a plug-in: run a Python file that the user named, so that it can register its parts.

    Raises:
        InputError: there is no such file, or it fails; the message has the file's own error.
    """
    file = Path(path).resolve()
    module_name = f"unnoise_plugin_{file.stem}"
    loaded = sys.modules.get(module_name)
    if loaded is not None and loaded.__file__ == str(file):
        return
    found = importlib.util.spec_from_file_location(module_name, file)
    if not file.is_file() or found is None or found.loader is None:
        raise InputError(f"plugin {path}: no such Python file.")
    module = importlib.util.module_from_spec(found)
    # Dataclasses look their module up by name to resolve their hints.
    sys.modules[module_name] = module
    try:
        found.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        raise InputError(f"plugin {path}: {type(error).__name__}: {error}") from error


def _build_member(
    member: tuple[Any, bool], value: Any, where: str, fill: Mapping[str, Any] | None
) -> Any:
    base, many = member
    if many:
        if not isinstance(value, list | tuple):
            raise InputError(f"{where} = {short(value)}: give a list.")
        items = typing.cast(list[Any], value)
        return tuple(
            _build_member((base, False), item, f"{where}[{i}]", fill)
            for i, item in enumerate(items)
        )
    made = value if isinstance(value, base) else build(base.family, value, where, fill)
    if not isinstance(made, base):
        raise InputError(
            f"{where}: a {type(made).__name__} cannot stand here; it needs a {base.__name__}."
        )
    return made


def _reduced(obj: Any) -> Any:
    """What pickle and copy keep of an object: its recipe, and of a module its state.

    An object without a recipe is kept as Python does. Nothing of ours ever reads a pickle.
    """
    try:
        table = spec(obj)
    except InputError:
        return obj.__reduce_ex__(4)
    state = _state(obj) if isinstance(obj, nn.Module) else None
    return _rebuilt, (note_of(obj)[0].family, table, state)  # pyright: ignore


def _state(module: nn.Module) -> dict[str, Any]:
    kept: tuple[str, ...] = getattr(module, "kept", ())
    return {
        "weights": dict(module.state_dict()),
        "frozen": [name for name, p in module.named_parameters() if not p.requires_grad],
        "training": module.training,
        "kept": {name: getattr(module, name) for name in kept},
    }


def _rebuilt(family: str, table: dict[str, Any], state: dict[str, Any] | None) -> Any:
    obj = build(family, table)
    if state is not None:
        # The tensors themselves: on their device, in their type.
        weights = named_as(obj.state_dict(), state["weights"])
        obj.load_state_dict(weights, assign=True)
        for name, parameter in obj.named_parameters():
            parameter.requires_grad_(name not in state["frozen"])
        obj.train(state["training"])
        for name, value in state["kept"].items():
            setattr(obj, name, value)
    return obj


def _copied(module: nn.Module, memo: dict[int, Any]) -> nn.Module:
    """A deep copy of a module with whatever was done to it since it was made."""
    new = object.__new__(type(module))
    memo[id(module)] = new
    new.__dict__.update(copy.deepcopy(module.__dict__, memo))
    return new


def written(base: Any, value: Any) -> Any:
    """Serialise a member for a recipe: its table, or the bare number that is short for it.

    Arguments:
        base: the family's base class.
        value: whatever ``member`` takes, or a list of such.
    """
    if isinstance(value, list | tuple):
        return [written(base, item) for item in typing.cast(list[Any], value)]
    table = spec(member(base, value))
    kind, setting = _NUMBERS.get(base.family, ("", ""))
    return table[setting] if table.keys() == {"kind", setting} and table["kind"] == kind else table
