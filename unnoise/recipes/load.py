"""Recipes: TOML files that spell out constructor calls."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, cast

from unnoise.core.errors import InputError
from unnoise.core.registry import build, load_plugin, nearest, spec
from unnoise.data import DataInfo, Dataset
from unnoise.models import Model, Sampling
from unnoise.recipes.evaluation import Evaluation
from unnoise.training import Training

TABLES = ("data", "model", "sampling", "training", "evaluation")


@dataclass(frozen=True)
class Recipe:
    """A recipe, read and checked as far as is possible without its data.

    Arguments:
        name: what the run is called.
        plugins: Python files of the user's that it needs.
        data, model: tables with a ``kind``.
        sampling, training, evaluation: how to use, train and measure the model.
    """

    name: str
    plugins: tuple[str, ...]
    data: dict[str, Any]
    model: dict[str, Any]
    sampling: Sampling
    training: Training
    evaluation: Evaluation

    def dataset(self) -> Dataset:
        """The data set to train on."""
        return build("dataset", self.data, "data")

    def build_model(self, info: DataInfo) -> Model:
        """A fresh model; ``shape``, ``classes``, ``levels`` and ``seed`` that are absent from the
        recipe are taken from the data and from training.seed."""
        known = {"shape": info.shape, "classes": info.classes, "levels": info.levels}
        fill = {k: v for k, v in known.items() if v is not None}
        fill["seed"] = self.training.seed
        model: Model = build("model", self.model, "model", fill)
        model.sampling = self.sampling
        return model

    def tables(self, model: Model) -> dict[str, Any]:
        """The whole recipe with every default and everything taken from the data spelled out."""
        data = build("dataset", self.data, "data")
        return {
            **({"plugins": list(self.plugins)} if self.plugins else {}),
            "name": self.name,
            "data": spec(data),
            "model": spec(model),
            "sampling": plain(self.sampling),
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
    try:
        return _recipe(name, tables, plugins)
    except InputError as error:
        lines = str(error).split("\n")
        # What --set said stands in no line of the file.
        said = tuple(changes or ())
        found = [x if x.startswith(said) else _with_line(x, name, text) for x in lines]
        raise InputError("\n".join(found)) from error


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
            found[key.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            found[key.strip()] = value.strip()
    return found


def _tables(source: str | Path | Mapping[str, Any]) -> tuple[str, str, dict[str, Any]]:
    if isinstance(source, Mapping):
        return str(source.get("name", "recipe")), "", _copy(source)
    name = str(source)
    if name in shipped():
        text = resources.files("unnoise.recipes").joinpath(f"{name}.toml").read_text("utf-8")
    else:
        path = Path(source)
        if path.suffix != ".toml" or not path.is_file():
            known = dict.fromkeys(shipped())
            raise InputError(
                f"recipe {name!r}: no such recipe, and no .toml file.{nearest(name, known)} "
                f"Shipped: {', '.join(known)}."
            )
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"recipe {name} cannot be read: {error}.") from error
    try:
        return name, text, tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"recipe {name} is no TOML: {error}.") from error


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _copy(v) for k, v in cast(Mapping[str, Any], value).items()}
    return value


def _put(tables: dict[str, Any], path: str, value: Any) -> None:
    """Set a value by its dotted name; a name in its way becomes the kind of a table."""
    *parents, last = path.split(".")
    here = tables
    for parent in parents:
        inner = here.get(parent, {})
        table: dict[str, Any] = {"kind": inner} if isinstance(inner, str) else dict(inner)
        here[parent] = here = table
    here[last] = value


def _recipe(name: str, tables: dict[str, Any], plugins: Sequence[str]) -> Recipe:
    known = {**dict.fromkeys(TABLES), "plugins": None, "name": None}
    problems = [
        f"{key}: no such table.{nearest(key, known)} Known: {', '.join(known)}."
        for key in tables
        if key not in known
    ]
    named = tables.get("plugins", [])
    if not isinstance(named, list) or not all(isinstance(p, str) for p in cast(list[Any], named)):
        problems.append(f"plugins = {named!r}: give a list of Python files.")
        named = []
    problems += [f"{t}: this table is needed." for t in ("data", "model") if t not in tables]
    problems += [
        f"{t} = {tables[t]!r}: this must be a table."
        for t in TABLES
        if t in tables and not isinstance(tables[t], dict)
    ]
    if problems:
        raise InputError("\n".join(problems))
    every = tuple(dict.fromkeys([*cast(list[str], named), *plugins]))
    for plugin in every:
        load_plugin(plugin)
    parts: dict[str, Any] = {}
    for table in ("sampling", "training", "evaluation"):
        try:
            parts[table] = build(table, {**tables.get(table, {}), "kind": table}, table)
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise InputError("\n".join(problems))
    stem = Path(str(tables.get("name", name))).stem
    return Recipe(stem, every, tables["data"], tables["model"], **parts)


def _with_line(message: str, name: str, text: str) -> str:
    """Add where in the file a complaint comes from, if its key can be found there."""
    found = re.match(r"([\w.-]+)(?=[: ])", message)
    if not found or not text:
        return message
    key = found[1].rpartition(".")[2]
    for number, line in enumerate(text.splitlines(), 1):
        if re.search(rf"(^|[\s{{,.\[]){re.escape(key)}\s*[=\]]", line.split("#")[0]):
            return f"{message} (recipe {name}, line {number})"
    return message
