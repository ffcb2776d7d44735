"""What ``unnoise show`` tells: of all that is there, of a recipe, a kind, a run or a picture."""

import inspect
from importlib import resources
from pathlib import Path
from typing import Any

import torch

from unnoise import recipes
from unnoise.catalogue import registry
from unnoise.catalogue.ranges import MOST
from unnoise.catalogue.schema import among
from unnoise.core.errors import DamagedFileError, InputError
from unnoise.data import prepared
from unnoise.models import load
from unnoise.plots import image_metadata
from unnoise.recipes.load import plain
from unnoise.system.documents import parsed
from unnoise.tasks.train import toml

_BLOCKS = " ▁▂▃▄▅▆▇█"
_LIMITS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


def tell(what: str | None = None, name: str | None = None, path: Path | None = None) -> str:
    """A text about one thing.

    Arguments:
        what: "recipe", a family, or what the user calls a run; None tells of everything.
        name: which recipe or kind.
        path: where that run would be.

    Raises:
        InputError: there is no such thing.
    """
    if what is None:
        return everything()
    if what == "recipe":
        return ", ".join(recipes.shipped()) if name is None else recipe(name)
    if what in registry.families():
        kinds = registry.names(what)
        if not name and len(kinds) != 1:
            return ", ".join(kinds)
        return kind(what, name or kinds[0])
    if path is not None and path.exists():
        if path.suffix.lower() == ".png":
            return picture(path)
        return prepared_data(path) if is_prepared(path) else run(path)
    homes = [family for family in registry.families() if what in registry.names(family)]
    if homes:
        raise InputError(f"{what!r} is a {homes[0]}; say: unnoise show {homes[0]} {what}")
    known = dict.fromkeys([*registry.families(), "recipe"])
    raise InputError(f"{what!r}: no such run, file or family.{among(what, known)}")


def everything() -> str:
    """All families with their kinds, and all recipes."""
    families = [f for f in registry.families() if f not in ("sampling", "training", "evaluation")]
    kinds = table([(family, ", ".join(registry.names(family))) for family in families])
    return (
        f"Kinds (unnoise show FAMILY NAME tells their settings):\n{kinds}\n"
        f"Recipes (unnoise show recipe NAME):\n  {', '.join(recipes.shipped())}"
    )


def recipe(name: str) -> str:
    """A recipe as it is written."""
    recipes.load_recipe(name)  # says what is wrong with it
    shipped = name in recipes.shipped()
    file = resources.files("unnoise.recipes").joinpath(f"{name}.toml") if shipped else Path(name)
    return file.read_text("utf-8").rstrip()


def kind(family: str, name: str) -> str:
    """A kind's own words, and its settings; of a process also its curves."""
    text = inspect.getdoc(registry.lookup(family, name)) or ""
    described = registry.schema(family, name)
    needed = set(described.get("required", []))
    rows = [
        (key, _type(entry) + (" (needed)" if key in needed else "") + _default(entry))
        for key, entry in described["properties"].items()
    ]
    curves = ["", *_curves(registry.build("process", name))] if family == "process" else []
    return "\n".join([text, "", "Settings:", table(rows) if rows else "  none", *curves])


def _type(entry: dict[str, Any]) -> str:
    if "family" in entry:
        return f"{entry['family']}: {', '.join(entry['enum'])}"
    if "enum" in entry:
        return " | ".join(map(str, entry["enum"]))
    if "anyOf" in entry:
        return " or ".join(_type(e) for e in entry["anyOf"] if e.get("type") != "null")
    limits = [f"{sign} {entry[k]}" for k, sign in _LIMITS.items() if entry.get(k, MOST) != MOST]
    return " ".join([str(entry.get("type", "anything")), *limits])


def _default(entry: dict[str, Any]) -> str:
    return "" if entry.get("default") is None else f" [{entry['default']}]"


def _curves(process: Any) -> list[str]:
    """alpha, sigma and log SNR over time, drawn with blocks."""
    t = torch.linspace(float(process.t_min), 1.0, 60, dtype=torch.float64)
    alpha, sigma = process.scales(t)
    curves = {"alpha": alpha, "sigma": sigma, "log SNR": process.log_snr(t).clamp(-30, 30)}
    lines: list[str] = []
    for name, values in curves.items():
        low, high = float(values.min()), float(values.max())
        scaled = (values - low) / (high - low) if high > low else torch.ones_like(values)
        drawn = "".join(_BLOCKS[round(float(v) * 8)] for v in scaled)
        lines.append(f"  {name:<8}{drawn}  {low:.3g} to {high:.3g}")
    return [*lines, f"  {'':8}t = 0 (data) {'-' * 36} t = 1 (noise)"]


def picture(path: Path) -> str:
    """How a picture of ours was made."""
    found = image_metadata(path)
    if found is None:
        raise InputError(f"{path} is a picture, but not one that unnoise made.")
    return table([(name, str(value)) for name, value in found.items()])


def run(path: Path) -> str:
    """The model of a run or in a file, its data, and the tables that it is built by."""
    if path.is_file() and path.suffix != ".safetensors":
        raise InputError(f"{path}: only runs, .safetensors and .png files can be explained.")
    model = load(path)
    count = sum(p.numel() for p in model.parameters())
    lines = [f"{path}: a {type(model).__name__} of {count:,} weights"]
    info = model.info
    if info is not None:
        labels = f", labels 0 to {info.classes - 1}" if info.classes else ""
        levels = f", {info.levels} levels" if info.levels else ""
        lines.append(f"data {info.name}: {info.count:,} of shape {info.shape}{levels}{labels}")
        lines += [] if info.labels is None else [info.labels.told(150)]
        lines.append(f"licence of the data: {info.licence}")
    sampling = {} if model.sampling is None else {"sampling": plain(model.sampling)}
    return "\n".join([*lines, "", toml({"model": registry.spec(model), **sampling}).rstrip()])


def is_prepared(path: Path) -> bool:
    """Whether a folder holds data that ``unnoise prepare`` stored."""
    file = path / "manifest.json"
    if not file.is_file() or (path / "recipe.toml").exists():
        return False
    document = parsed(file.read_bytes(), str(file))
    return isinstance(document, dict) and document.get("kind") == "pictures"


def prepared_data(path: Path) -> str:
    """The pictures of a prepared folder: how many, of what shape and classes."""
    parts = {"train": prepared(str(path), check=False)}
    try:
        parts["test"] = prepared(str(path), "test", check=False)
    except DamagedFileError:
        raise
    except InputError:  # nothing was held out
        pass
    return "\n".join(
        [
            f"{path}: prepared data; train on it by: unnoise train RECIPE --data {path}",
            table([(split, repr(data)) for split, data in parts.items()]),
            f"licence of the data: {parts['train'].info.licence}",
        ]
    )


def table(rows: list[tuple[str, str]]) -> str:
    """Two columns, aligned."""
    width = max((len(name) for name, _ in rows), default=0)
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in rows)
