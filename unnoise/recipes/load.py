"""Recipes: TOML files that spell out constructor calls."""

import inspect
import re
import tomllib
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, cast

from unnoise.catalogue.registry import build, load_plugin, lookup, spec
from unnoise.catalogue.schema import nearest
from unnoise.core.errors import InputError, short
from unnoise.data import DataInfo, Dataset
from unnoise.data.names import place_of
from unnoise.evaluation import Evaluation
from unnoise.models import Model
from unnoise.recipes.positions import Source
from unnoise.training import Training

_SETTINGS = ("sampling", "training", "evaluation")  # tables of one kind each
TABLES = ("data", "model", *_SETTINGS)
_MOST_BYTES = 1_000_000
_MOST_DOTS = 50
_WORD = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
# Tried at the beginning of a word only: a text of one long word would else take for ever.
_DOTTED = re.compile(rf"(?<![\w-]){_WORD}(?:[ \t]*\.[ \t]*{_WORD})++")


@dataclass(frozen=True)
class Recipe:
    """A recipe, read and checked as far as is possible without its data.

    Arguments:
        name: what the run is called.
        plugins: Python files of the user's that it needs.
        data, model: tables with a ``kind``.
        sampling, training, evaluation: how to use, train and measure the model.
        written: what it was read from, for messages.
    """

    name: str
    plugins: tuple[str, ...]
    data: dict[str, Any]
    model: dict[str, Any]
    sampling: Any
    training: Training
    evaluation: Evaluation
    written: Source = field(default=Source(), compare=False)

    def dataset(self) -> Dataset:
        """The data set to train on."""
        with self.written.named():
            return build("dataset", self.data, "data")

    def build_model(self, info: DataInfo) -> Model:
        """A fresh model; ``shape``, ``classes``, ``levels`` and ``seed`` that are absent from the
        recipe are taken from the data and from training.seed."""
        known = {"shape": info.shape, "classes": info.classes, "levels": info.levels}
        fill = {k: v for k, v in known.items() if v is not None}
        fill["seed"] = self.training.seed
        with self.written.named():
            model: Model = build("model", self.model, "model", fill)
        if self.sampling is not None:
            model.sampling = self.sampling
        return model

    def tables(self, model: Model, data: Dataset) -> dict[str, Any]:
        """The whole recipe with every default and everything taken from the data spelled out."""
        return {
            **({"plugins": list(self.plugins)} if self.plugins else {}),
            "name": self.name,
            "data": spec(data),
            "model": spec(model),
            **({} if model.sampling is None else {"sampling": plain(model.sampling)}),
            "training": plain(self.training),
            "evaluation": plain(self.evaluation),
        }


def plain(table: Any) -> dict[str, Any]:
    """A settings object as the table of a recipe, which has no kind."""
    return {k: v for k, v in spec(table).items() if k != "kind"}


def shipped() -> list[str]:
    """Names of the recipes in the package."""
    folder = resources.files("unnoise.recipes")
    return sorted(
        f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")
    )


def load_recipe(
    source: str | Path | Mapping[str, Any],
    changes: Mapping[str, Any] | None = None,
    plugins: Sequence[str] = (),
) -> Recipe:
    """Read a recipe.

    Arguments:
        source: the name of a shipped recipe ("digits"), a path to a .toml file, or tables.
        changes: values by dotted name, e.g. {"training.lr": 1e-3}; they win.
        plugins: further Python files to load first.

    Raises:
        InputError: no such recipe, no TOML, or settings that are unknown or wrong: one line each.
    """
    name, text, tables = _tables(source)
    for path, value in (changes or {}).items():
        _put(tables, path, value)
    written = Source(name, text, tuple(changes or ()))
    with written.named():
        return _recipe(written, tables, plugins)


def data_table(path: str) -> dict[str, Any]:
    """The [data] table for data of the user's own, by what lies there.

    Arguments:
        path: prepared data, a .npy or .npz file, a folder with an index.json or its URL, or
            whatever kind "images" reads.

    Raises:
        InputError: the path is empty.
    """
    place = Path(place_of(path))
    if _is_file(place / "manifest.json"):
        return {"kind": "prepared", "path": path}
    if place.suffix.lower() in (".npy", ".npz"):
        return {"kind": "npy", "path": path}
    if path.startswith(("http://", "https://")) or _is_file(place / "index.json"):
        return {"kind": "webdataset", "path": path}
    return {"kind": "images", "path": path}


def parse_changes(given: Sequence[str]) -> dict[str, Any]:
    """``["training.lr=1e-3"]`` as {"training.lr": 0.001}; what is no TOML value is text."""
    found: dict[str, Any] = {}
    for item in given:
        key, equals, value = item.partition("=")
        if not equals or not re.fullmatch(r"[\w-]+(\.[\w-]+)*", key.strip()):
            raise InputError(
                f"--set {item}: write it as table.setting=value, e.g. training.lr=1e-3."
            )
        try:
            read = read_toml(f"value = {value}", f"--set {key.strip()}")
        except NoTOMLError:
            read = {}
        found[key.strip()] = read["value"] if len(read) == 1 else value.strip()
    return found


class NoTOMLError(InputError):
    """A text is no TOML."""


def read_toml(text: str, what: str) -> dict[str, Any]:
    """Tables from TOML of the user's.

    Arguments:
        text: TOML.
        what: how a refusal calls it, such as "recipe mine.toml".

    Raises:
        NoTOMLError: it is none.
        InputError: it holds what nobody writes and tomllib cannot read, or not in a life's time.
    """
    if any(found[0].count(".") > _MOST_DOTS for found in _DOTTED.finditer(text)):
        raise InputError(f"{what}: a name in it has more than {_MOST_DOTS} dots; write it shorter.")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise NoTOMLError(f"{what} is no TOML: {error}.") from error
    except RecursionError as error:
        raise InputError(f"{what}: tables or lists lie too deep in each other.") from error
    except ValueError as error:  # of Python, which reads no longer ones
        raise InputError(f"{what}: a whole number in it has more than 4,300 digits.") from error


def _tables(source: str | Path | Mapping[str, Any]) -> tuple[str, str, dict[str, Any]]:
    if isinstance(source, Mapping):
        name = source.get("name")
        try:
            return name if isinstance(name, str) else "recipe", "", _copy(source)
        except RecursionError as error:
            raise InputError("recipe: its tables lie too deep in each other.") from error
    name = str(source)
    if name in shipped():
        text = resources.files("unnoise.recipes").joinpath(f"{name}.toml").read_text("utf-8")
    else:
        path = Path(source)
        if path.suffix != ".toml" or not _is_file(path):
            known = dict.fromkeys(shipped())
            # Who gives a path wants none of those.
            listed = "" if len(path.parts) > 1 else f" Shipped: {', '.join(known)}."
            cure = nearest(name, known) or listed
            raise InputError(f"recipe {short(name)}: no such recipe, and no .toml file.{cure}")
        try:
            size = path.stat().st_size
            if size > _MOST_BYTES:
                raise InputError(
                    f"recipe {name} has {size:,} bytes; at most {_MOST_BYTES:,} are read."
                )
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"recipe {name} cannot be read: {error}.") from error
    return name, text, read_toml(text, f"recipe {name}")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, say
        return False


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _copy(v) for k, v in cast(Mapping[str, Any], value).items()}
    return value


def _put(tables: dict[str, Any], path: str, value: Any) -> None:
    """Set a value by its dotted name; a name in its way becomes the kind of a table."""
    *parents, last = path.split(".")
    if len(parents) > _MOST_DOTS:
        raise InputError(f"{path}: no such setting; its name has more than {_MOST_DOTS} dots.")
    here = tables
    for parent in parents:
        inner = here.get(parent, {})
        if not isinstance(inner, str | Mapping):
            raise InputError(f"{path}: {parent} = {short(inner)} has no settings of its own.")
        table: dict[str, Any] = {"kind": inner} if isinstance(inner, str) else dict(inner)
        here[parent] = here = table
    here[last] = value


def _no_text(tables: Mapping[str, Any]) -> Iterator[str]:
    """Dotted names of texts that no file can hold: what was typed was not UTF-8."""
    left: list[tuple[str, Any]] = list(tables.items())
    for where, value in left:  # which grows on the way
        if isinstance(value, Mapping):
            left += [(f"{where}.{k}", v) for k, v in cast(Mapping[str, Any], value).items()]
        elif isinstance(value, list):
            left += [(where, v) for v in cast(list[Any], value)]
        elif isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
            yield where


def _sampling_kind(model: Mapping[str, Any]) -> str | None:
    """The kind of a model's [sampling] table; a wrong model is refused where it is built."""
    try:
        maker = lookup("model", model.get("kind"))
    except InputError:
        return "walk"
    made = typing.get_type_hints(maker).get("return") if inspect.isfunction(maker) else maker
    return getattr(made, "sampling_kind", None)


def _recipe(written: Source, tables: dict[str, Any], plugins: Sequence[str]) -> Recipe:
    name, named = tables.get("name", Path(written.name).stem), tables.get("plugins", [])
    problems = [*_wrong_words(tables, name, named), *_wrong_tables(tables, named, plugins)]
    if problems:
        raise InputError("\n".join(problems))
    # A recipe's plug-ins lie beside it; paths are kept whole, so that a run's copy finds them too.
    here = Path(written.name).parent
    beside = [here / p if _is_file(here / p) else p for p in named]
    found = [str(Path(p).resolve()) if _is_file(Path(p)) else str(p) for p in [*beside, *plugins]]
    every = tuple(dict.fromkeys(found))
    for plugin in every:
        load_plugin(plugin)
    parts = _settings(tables)
    return Recipe(name, every, tables["data"], tables["model"], **parts, written=written)


def _are_words(named: Any) -> bool:
    return isinstance(named, list) and all(isinstance(p, str) for p in cast(list[Any], named))


def _wrong_words(tables: Mapping[str, Any], name: Any, named: Any) -> Iterator[str]:
    """What is wrong with the names of tables, plug-ins and the recipe, in lines."""
    known = {**dict.fromkeys(TABLES), "plugins": None, "name": None}
    for i, key in enumerate(key for key in tables if key not in known):
        # A search for each of thousands, of which few are shown, would take its time.
        cure = nearest(key, known) if i < 20 else ""
        yield f"{key}: no such table.{cure} Known: {', '.join(known)}."
    if not _are_words(named):
        yield f"plugins = {short(named)}: give a list of Python files."
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w.-]{0,199}", name):
        yield f"name = {short(name)}: give a word; the run's folder is called after it."


def _wrong_tables(tables: Mapping[str, Any], named: Any, plugins: Sequence[str]) -> Iterator[str]:
    """What is wrong with tables by themselves, in lines."""
    yield from (f"{t}: this table is needed." for t in ("data", "model") if t not in tables)
    for table in TABLES:
        if not isinstance(tables.get(table, {}), dict):
            yield f"{table} = {short(tables[table])}: this must be a table."
    every = [*(named if _are_words(named) else []), *plugins]
    for where in _no_text({**tables, "plugins": every}):
        yield f"{where} holds bytes that are not UTF-8; rename the folder or file."
    for table in _SETTINGS:
        if isinstance(tables.get(table), dict) and "kind" in tables[table]:
            yield f"{table}.kind: no such setting. This table is of one kind; leave it out."


def _settings(tables: Mapping[str, Any]) -> dict[str, Any]:
    """What the tables of one kind each build; all that are wrong are refused at once."""
    problems: list[str] = []
    parts: dict[str, Any] = {}
    for table in _SETTINGS:
        try:
            kind = _sampling_kind(tables["model"]) if table == "sampling" else table
            given = {**tables.get(table, {}), "kind": kind or "walk"}
            # Runs of old have the table of a walk for models that do not draw, too.
            found = build(table, given, table) if kind or table in tables else None
            parts[table] = found if kind else None
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise InputError("\n".join(problems))
    return parts
