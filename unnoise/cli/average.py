"""unnoise average"""

from pathlib import Path

from typer import Option

from unnoise.cli.options import JSON, PLUGIN, RUN, find_run, finish
from unnoise.core.errors import InputError


def average(
    run: str = RUN,
    width: float | None = Option(
        None, help="Relative width of a power-function average, 0 to 0.28."
    ),
    half_life: float | None = Option(
        None, help="One of the run's training.half_lives, in examples."
    ),
    step: int | None = Option(None, help="Step that the width is meant at. [the last snapshot]"),
    out: str | None = Option(
        None, "-o", "--out", help="Model file. [RUN/average-WIDTH.safetensors]"
    ),
    plugin: list[str] | None = PLUGIN,
    json: bool = JSON,
) -> None:
    """Make a model of another average of a run's weights, after the training.

    Example: unnoise average runs/digits --width 0.07 -o wide.safetensors
    """
    from unnoise.models import save
    from unnoise.system.progress import counting
    from unnoise.training import read_average

    folder = find_run(run)
    if not folder.is_dir():
        raise InputError(f"{run}: averages are kept in the folder of a run; name that.")
    with counting("average", shown=not json):
        model = read_average(
            folder, width=width, half_life=half_life, step=step, plugins=tuple(plugin or ())
        )
    named = f"average-{half_life if width is None else width:g}.safetensors"
    target = folder / named if out is None else Path(out)
    if out is not None and target.exists():
        raise InputError(f"--out {target}: there is such a file already. Give another name.")
    save(model, target)
    finish(f"wrote {target}", {"wrote": str(target)}, json)
