"""The catalogue of everything with a name, where **the constructor is the schema**.

``@register("process", "vp")`` puts a class (or a function that returns an object) into the
catalogue. A table ``{kind = "vp", beta_max = 12}`` then builds it, checked by pydantic against the
constructor's own type hints; ``spec(obj)`` prints the table that builds ``obj`` again, with every
default spelled out, so that a file keeps its meaning when defaults move.

A class belongs to the family named by the ``family`` attribute of its base (``Process.family`` is
"process"), and a parameter annotated with such a base is a *member*: given as an object, as a
table, or as a string that is short for ``{kind = "..."}``.
"""

import difflib
import functools
import importlib.util
import inspect
import json
import sys
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from unnoise.core.errors import InputError
from unnoise.core.schema import (
    call_of,
    check,
    is_opaque,
    jsonable,
    member_of,
    model_of,
    nearest,
    parameters_of,
    problems_of,
)

_CATALOGUE: dict[str, dict[str, Callable[..., Any]]] = {}
_NUMBERS: dict[str, tuple[str, str]] = {}  # family: the kind a bare number means, and its setting

Maker = TypeVar("Maker", bound=Callable[..., Any])


def register(family: str, name: str, number: str | None = None) -> Callable[[Maker], Maker]:
    """Put a class or a function into the catalogue, under the ``kind`` it has in recipes.

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
        table[name] = made = _remembering(maker, name)
        if number is not None:
            _NUMBERS[family] = (name, number)
        return typing.cast(Maker, made)

    return put


def _no_arguments(self: object) -> None:
    """What ``object.__init__`` is: its own signature says that it takes anything."""


def _remembering(maker: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Wrap a maker so that each object knows the call that made it, and bad values are refused."""
    call: Callable[..., Any] = maker.__init__ if isinstance(maker, type) else maker
    if call is object.__init__:
        call = _no_arguments
    signature = inspect.signature(call)

    @functools.cache
    def members() -> dict[str, Any]:
        # Not before the first call: hints may name what is defined further down in the file.
        found = {k: member_of(a) for k, a in parameters_of(inspect.unwrap(call)).items()}
        return {k: v[0] for k, v in found.items() if v is not None}

    def read(*args: Any, **kwargs: Any) -> inspect.BoundArguments:
        """The call's arguments with defaults, members built, and everything checked."""
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        for key, base in members().items():
            value = bound.arguments[key]
            if _is_short(base.family, value):
                where = f"{maker.__name__}.{key}"
                bound.arguments[key] = build(base.family, typing.cast(object, value), where)
        known = parameters_of(inspect.unwrap(call))
        check(call, {k: v for k, v in bound.arguments.items() if k in known}, maker.__name__)
        return bound

    def remember(obj: Any, bound: inspect.BoundArguments) -> None:
        arguments = {k: v for k, v in bound.arguments.items() if k != "self"}
        object.__setattr__(obj, "_made_by", (name, call, arguments))

    if isinstance(maker, type):

        @functools.wraps(call)
        def init(*args: Any, **kwargs: Any) -> None:
            bound = read(*args, **kwargs)
            remember(args[0], bound)
            call(*bound.args, **bound.kwargs)

        maker.__init__ = init  # pyright: ignore[reportAttributeAccessIssue]
        return maker

    @functools.wraps(maker)
    def make(*args: Any, **kwargs: Any) -> Any:
        bound = read(*args, **kwargs)
        obj = maker(*bound.args, **bound.kwargs)
        remember(obj, bound)
        return obj

    return make


def _is_short(family: str, value: object) -> bool:
    """Whether a value stands for a member: a name, a table, or a number where one is enough."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, str | Mapping) or (number and family in _NUMBERS)


def names(family: str) -> list[str]:
    """The kinds known in a family, sorted."""
    return sorted(_CATALOGUE.get(family, {}))


def families() -> list[str]:
    """The families that have at least one kind, sorted."""
    return sorted(_CATALOGUE)


def lookup(family: str, name: object, where: str = "") -> Callable[..., Any]:
    """The registered class or function; an unknown name is answered with the nearest known one."""
    table = _CATALOGUE.get(family, {})
    if not isinstance(name, str) or name not in table:
        raise InputError(
            f"{where or family} = {name!r}: no such {family}.{nearest(str(name), table)} "
            f"Known: {', '.join(sorted(table)) or 'none'}."
        )
    return table[name]


def build(
    family: str, value: object, where: str = "", fill: Mapping[str, Any] | None = None
) -> Any:
    """Make an object from a recipe's table, or from a string that is short for one.

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
    where = where or family
    if isinstance(value, str):
        value = {"kind": value}
    elif family in _NUMBERS and _is_short(family, value) and not isinstance(value, Mapping):
        kind, setting = _NUMBERS[family]
        value = {"kind": kind, setting: value}
    if not isinstance(value, Mapping):
        raise InputError(f"{where} = {value!r}: give a name or a table with a 'kind' ({family}).")
    table = dict(typing.cast(Mapping[str, Any], value))
    if "kind" not in table:
        near = difflib.get_close_matches("kind", table, 1)
        if near:
            raise InputError(f"{where}.{near[0]}: no such setting. Did you mean 'kind'?")
        raise InputError(f"{where}: 'kind' is missing. Known: {', '.join(names(family))}.")
    return construct(lookup(family, table.pop("kind"), f"{where}.kind"), table, where, fill)


def construct(
    maker: Callable[..., Any],
    table: Mapping[str, Any],
    where: str,
    fill: Mapping[str, Any] | None = None,
) -> Any:
    """Call a constructor with a table of a recipe; see ``build``."""
    call = call_of(maker)
    parameters = parameters_of(call)
    filled = {k: v for k, v in (fill or {}).items() if k in parameters and k not in table}
    arguments = {**filled, **table}
    problems: list[str] = []
    for name, value in table.items():
        member = member_of(parameters[name]) if name in parameters else None
        if name in parameters and is_opaque(parameters[name]):
            problems.append(f"{where}.{name}: a {parameters[name]} cannot be written in a recipe.")
        elif member is not None and value is not None:
            try:
                arguments[name] = _build_member(member, value, f"{where}.{name}", fill)
            except InputError as error:
                problems.append(str(error))
                arguments[name] = None
        elif isinstance(value, list) and typing.get_origin(parameters.get(name)) is tuple:
            arguments[name] = tuple(typing.cast(list[Any], value))  # files know lists only
    problems = problems_of(call, arguments, where) + problems
    if problems:
        raise InputError("\n".join(problems))
    try:
        return maker(**arguments)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    except (RuntimeError, OverflowError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]  # torch adds pages
        raise InputError(f"{where} cannot be built: {reason}.") from error


def member(base: type, value: Any) -> Any:
    """What a constructor does with a member argument: objects pass, names and tables are built.

    Arguments:
        base: the family's base class, e.g. ``Head``.
        value: an object of that class, a name ("v"), a table, or a number where one is enough.
    """
    family: str = getattr(base, "family")  # noqa: B009  (the base is known only at run time)
    if _is_short(family, value):
        value = build(family, value)
    if not isinstance(value, base):
        raise InputError(
            f"{value!r} is no {family}; give one of {', '.join(names(family))} or an object."
        )
    return value


def spec(obj: Any) -> dict[str, Any]:
    """The table that builds an equal object, every default spelled out.

    Raises:
        InputError: the object, or one inside it, is not registered or holds a function or tensor.
    """
    made = getattr(obj, "_made_by", None)
    if made is None:
        raise InputError(
            f"a {type(obj).__name__} cannot be written to a recipe: its class is not registered. "
            'Put @unnoise.register("family", "name") above it.'
        )
    name, call, arguments = made
    parameters = parameters_of(call)
    table: dict[str, Any] = {"kind": name}
    for key, value in arguments.items():
        if value is None:
            default = inspect.signature(call).parameters[key].default
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


def schema(family: str, name: str) -> dict[str, Any]:
    """JSON schema of one kind's settings; members are marked with their family."""
    call = call_of(lookup(family, name))
    result = model_of(call).model_json_schema()
    for key, annotation in parameters_of(call).items():
        found = member_of(annotation)
        if found is not None:
            result["properties"][key] = {"family": found[0].family, "enum": names(found[0].family)}
    return result


def load_plugin(path: str | Path) -> None:
    """Run a file of the user's, named by the user, so that what it registers can be used.

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
    found: tuple[Any, bool], value: Any, where: str, fill: Mapping[str, Any] | None
) -> Any:
    base, many = found
    if many:
        if not isinstance(value, list | tuple):
            raise InputError(f"{where} = {value!r}: give a list.")
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


def written(base: Any, value: Any) -> Any:
    """What a recipe says of a member: its table, or the number that is enough.

    Arguments:
        base: the family's base class.
        value: whatever ``member`` takes, or a list of such.
    """
    if isinstance(value, list | tuple):
        return [written(base, item) for item in typing.cast(list[Any], value)]
    table = spec(member(base, value))
    kind, setting = _NUMBERS.get(base.family, ("", ""))
    return table[setting] if table.keys() == {"kind", setting} and table["kind"] == kind else table
