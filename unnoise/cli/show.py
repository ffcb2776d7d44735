"""unnoise show"""

from pathlib import Path

import typer
from typer import Argument, Option

from unnoise.cli.options import DATA, Machine, find_run, home_of, made
from unnoise.core.errors import InputError


def show(
    what: str | None = Argument(
        None, help="A run, a picture, 'recipe', or a family: process, solver, grid ..."
    ),
    name: str | None = Argument(
        None, help="Which one, e.g. vp; of a run a view of it: a name or a table."
    ),
    out: str | None = Option(None, "-o", "--out", help="Picture of a view. [the run's folder]"),
    data: str | None = DATA,
    *,
    machine: Machine,
) -> None:
    """Explain what is there: a run, the recipe inside a picture, or any kind with its settings; or
    draw a view of a run (unnoise show view lists them).

    Example: unnoise show runs/moons paths -o paths.png
    """
    from importlib import import_module

    from unnoise.catalogue import registry
    from unnoise.system.progress import counting
    from unnoise.tasks.show import tell

    import_module("unnoise.views")  # registers everything
    for path in machine.plugin or ():
        registry.load_plugin(path)
    run = None if what in (None, "recipe", *registry.families()) else find_run(what)
    if run is not None and run.exists() and name is not None:
        typer.echo("\n".join(_view(str(what), name, out, data, machine)))
    elif out is not None:
        raise InputError("--out is for views of a run: unnoise show runs/moons paths -o paths.png")
    else:
        with counting("show", shown=True):
            told = tell(what, name, run)
        typer.echo(told)


def _view(run: str, name: str, out: str | None, data: str | None, machine: Machine) -> list[str]:
    """Draw a view of a run; what it shows, and where."""
    from unnoise.catalogue.registry import spec
    from unnoise.system.progress import counting
    from unnoise.tasks.output import check_target
    from unnoise.tasks.own_data import own_data

    view = made("view", name, "view")
    kind = str(spec(view)["kind"])
    with counting(f"show {kind}", shown=True):
        model = machine.load(run, "Walks")
        target = home_of(run) / f"{kind}{view.suffix}" if out is None else Path(out)
        if check_target(target) != view.suffix:
            raise InputError(f"--out {target}: view {kind!r} writes a {view.suffix} file.")
        return [*view.save(model, own_data(model, "train", data), target), f"wrote {target}"]
