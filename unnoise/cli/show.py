"""unnoise show"""

from pathlib import Path
from typing import Annotated, Any

import typer

from unnoise.catalogue.ranges import MOST
from unnoise.cli.options import (
    DataOption,
    PluginOption,
    ThreadsOption,
    find_run,
    load_model,
    made,
    table,
)

BLOCKS = " ▁▂▃▄▅▆▇█"


def show(
    what: Annotated[
        str | None,
        typer.Argument(help="A run, a picture, 'recipe', or a family: process, solver, grid ..."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Argument(help="Which one, e.g. vp; of a run a view of it: a name or a table."),
    ] = None,
    out: Annotated[
        str | None, typer.Option("-o", "--out", help="Picture of a view. [the run's folder]")
    ] = None,
    data: DataOption = None,
    threads: ThreadsOption = None,
    plugin: PluginOption = None,
) -> None:
    """Explain what is there: a run, the recipe inside a picture, or any kind with its settings; or
    draw a view of a run (unnoise show view lists them).

    Example: unnoise show runs/moons paths -o paths.png
    """
    from importlib import import_module

    from unnoise import recipes
    from unnoise.catalogue import registry
    from unnoise.catalogue.schema import among
    from unnoise.core.errors import InputError

    import_module("unnoise.views")  # registers everything
    for path in plugin or []:
        registry.load_plugin(path)
    of_a_run = what is not None and name is not None and what not in registry.families()
    if out is not None and not (of_a_run and find_run(what or "").exists()):
        raise InputError("--out is for views of a run: unnoise show runs/moons paths -o paths.png")
    if what is None:
        rows = [(family, ", ".join(registry.names(family))) for family in registry.families()]
        typer.echo("Kinds (unnoise show FAMILY NAME tells their settings):")
        typer.echo(table([r for r in rows if r[0] not in ("sampling", "training", "evaluation")]))
        typer.echo("Recipes (unnoise show recipe NAME):")
        typer.echo("  " + ", ".join(recipes.shipped()))
        return
    if what == "recipe":
        typer.echo(_recipe(name))
    elif what in registry.families():
        kinds = registry.names(what)
        only = kinds[0] if len(kinds) == 1 else None
        chosen = name or only
        typer.echo(", ".join(kinds) if chosen is None else _kind(what, chosen))
    elif find_run(what).exists():
        if name is None:
            typer.echo(_thing(find_run(what)))
        else:
            _view(what, name, out, data, threads, plugin)
    else:
        homes = [f for f in registry.families() if what in registry.names(f)]
        if homes:
            raise InputError(f"{what!r} is a {homes[0]}; say: unnoise show {homes[0]} {what}")
        known = dict.fromkeys([*registry.families(), "recipe"])
        raise InputError(f"{what!r}: no such run, file or family.{among(what, known)}")


def _view(
    run: str,
    name: str,
    out: str | None,
    data: str | None,
    threads: int | None,
    plugin: list[str] | None,
) -> None:
    """Draw a view of a run, and say what it shows."""
    from unnoise.catalogue.registry import spec
    from unnoise.core.errors import InputError
    from unnoise.tasks.output import check_target
    from unnoise.tasks.own_data import own_data

    view = made("view", name, "view")
    model = load_model(run, plugin, threads, "Walks")
    found = find_run(run)
    folder = found if found.is_dir() else found.parent
    kind = spec(view)["kind"]
    target = folder / f"{kind}{view.suffix}" if out is None else Path(out)
    if check_target(target) != view.suffix:
        raise InputError(f"--out {target}: view {kind!r} writes a {view.suffix} file.")
    for line in view.save(model, own_data(model, "train", data), target):
        typer.echo(line)
    typer.echo(f"wrote {target}")


def _recipe(name: str | None) -> str:
    from importlib import resources

    from unnoise.recipes import load_recipe, shipped

    if name is None:
        return ", ".join(shipped())
    load_recipe(name)  # says what is wrong with it
    if name in shipped():
        return (
            resources.files("unnoise.recipes").joinpath(f"{name}.toml").read_text("utf-8").rstrip()
        )
    return Path(name).read_text(encoding="utf-8").rstrip()


def _kind(family: str, name: str) -> str:
    import inspect

    from unnoise.catalogue import registry

    maker = registry.lookup(family, name)
    lines = [inspect.getdoc(maker) or "", "", "Settings:"]
    described: dict[str, Any] = registry.schema(family, name)
    needed = set(described.get("required", []))
    rows: list[tuple[str, str]] = []
    for key, entry in described["properties"].items():
        kind = (
            f"{entry['family']}: {', '.join(entry['enum'])}" if "family" in entry else _type(entry)
        )
        default = entry.get("default")
        rows.append((key, kind + (" (needed)" if key in needed else "") + _default(default)))
    lines.append(table(rows) if rows else "  none")
    if family == "process":
        lines += ["", *_curves(registry.build("process", name))]
    return "\n".join(lines)


def _type(entry: dict[str, Any]) -> str:
    if "enum" in entry:
        return " | ".join(map(str, entry["enum"]))
    if "anyOf" in entry:
        return " or ".join(_type(e) for e in entry["anyOf"] if e.get("type") != "null")
    limits = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    ranges = [
        f"{sign} {entry[key]}" for key, sign in limits.items() if entry.get(key, MOST) != MOST
    ]
    return " ".join([str(entry.get("type", "anything")), *ranges])


def _default(value: Any) -> str:
    return "" if value is None else f" [{value}]"


def _curves(process: Any) -> list[str]:
    """alpha, sigma and log SNR over time, drawn with blocks."""
    import torch

    t = torch.linspace(float(process.t_min), 1.0, 60, dtype=torch.float64)
    alpha, sigma = process.scales(t)
    curves = {"alpha": alpha, "sigma": sigma, "log SNR": process.log_snr(t).clamp(-30, 30)}
    lines: list[str] = []
    for name, values in curves.items():
        low, high = float(values.min()), float(values.max())
        scaled = (values - low) / (high - low) if high > low else torch.ones_like(values)
        drawn = "".join(BLOCKS[round(float(v) * 8)] for v in scaled)
        lines.append(f"  {name:<8}{drawn}  {low:.3g} to {high:.3g}")
    return [*lines, f"  {'':8}t = 0 (data) {'-' * 36} t = 1 (noise)"]


def _thing(path: Path) -> str:
    """A run, a model file, or a picture of ours."""
    from unnoise.core.errors import InputError

    if path.suffix.lower() == ".png":
        from unnoise.plots import image_metadata

        found = image_metadata(path)
        if found is None:
            raise InputError(f"{path} is a picture, but not one that unnoise made.")
        return table([(k, str(v)) for k, v in found.items()])
    if path.is_file() and path.suffix != ".safetensors":
        raise InputError(f"{path}: only runs, .safetensors and .png files can be explained.")
    from unnoise.models import load
    from unnoise.tasks.train import toml

    model = load(path)
    count = sum(p.numel() for p in model.parameters())
    lines = [f"{path}: a {type(model).__name__} of {count:,} weights"]
    info = model.info
    if info is not None:
        labels = f", labels 0 to {info.classes - 1}" if info.classes else ""
        levels = f", {info.levels} levels" if info.levels else ""
        lines.append(f"data {info.name}: {info.count:,} of shape {info.shape}{levels}{labels}")
        lines.append(f"licence of the data: {info.licence}")
    from unnoise.catalogue.registry import spec
    from unnoise.recipes.load import plain

    tables = {"model": spec(model)}
    if model.sampling is not None:
        tables["sampling"] = plain(model.sampling)
    return "\n".join([*lines, "", toml(tables).rstrip()])
