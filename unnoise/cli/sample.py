"""unnoise sample"""

from pathlib import Path
from typing import Annotated, Any

import typer

from unnoise.catalogue.ranges import LAST_SAMPLE
from unnoise.cli.options import (
    GridOption,
    GuidanceOption,
    GuideOption,
    JsonOption,
    PluginOption,
    QuietOption,
    RunArgument,
    SeedOption,
    SolverOption,
    StepsOption,
    ThreadsOption,
    finish,
    grid_of,
    guidance_of,
    guide_of,
    inside,
    load_model,
    solver_of,
)


def sample(
    run: RunArgument,
    n: Annotated[int, typer.Option("-n", "--n", help="How many samples.", min=1)] = 64,
    label: Annotated[
        str | None, typer.Option(help="Class of all, by number or name; absent: all in turn.")
    ] = None,
    guidance: GuidanceOption = None,
    guide: GuideOption = None,
    solver: SolverOption = None,
    steps: StepsOption = None,
    grid: GridOption = None,
    eta: Annotated[float | None, typer.Option(help="Randomness of --solver ddim, 0 to 1.")] = None,
    seed: SeedOption = 0,
    first: Annotated[
        int, typer.Option(help="Number of the first sample.", min=0, max=LAST_SAMPLE)
    ] = 0,
    fast: Annotated[
        bool, typer.Option("--fast", help="One batch instead of padded chunks: equal to rounding.")
    ] = False,
    out: Annotated[
        str | None,
        typer.Option("-o", "--out", help=".png sheet, .gif walk, .npz arrays, or a folder."),
    ] = None,
    threads: ThreadsOption = None,
    plugin: PluginOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Draw samples from a trained model. The suffix of --out decides what is written.

    Example: unnoise sample runs/digits -n 64 --label 3 --guidance 1.5 --solver heun -o threes.png
    """
    import time

    from unnoise.cli.progress import Walking
    from unnoise.models import Walks, needs
    from unnoise.system import parallel
    from unnoise.tasks import output
    from unnoise.tasks import sample as task

    parallel.join()
    model = load_model(run, plugin, threads)
    target = Path(out) if out is not None else inside(run, "samples", f"-s{seed}")
    if output.check_target(target) == ".gif":
        needs(model, Walks, run)
    began = time.perf_counter()
    leader = guide_of(guide, plugin)
    asked = output.whose_labels(model, leader)
    wanted = None if label is None else output.info_of(asked).label(label)
    how: dict[str, Any] = {
        "seed": seed,
        "label": wanted,
        "guidance": guidance_of(guidance),
        "solver": solver_of(solver, eta),
        "steps": steps,
        "grid": grid_of(grid),
        "first": first,
        "exact": not fast,
    }
    about = {"model": run, "n": n, **output.recipe_of(model, how)}
    if leader is not None:
        if guidance is None:
            about.pop("guidance", None)  # the model's own is not what a guide takes
        about["guide"] = guide
        how["guide"] = leader
    walking = Walking(quiet or json)
    frames: list[task.Frame] = []
    try:
        for frame in task.frames(model, n, **how):
            walking.see(frame.sigma, frame.steps)
            # A film shows every step, all else the last.
            frames = [*frames, frame] if target.suffix.lower() == ".gif" else [frame]
    finally:
        walking.close()
    if parallel.rank() > 0:
        return
    columns = None if label is None else max(1, round(n**0.5))
    task.write(model, frames, target, about, output.turn(asked, n, wanted, first), columns)
    seconds = time.perf_counter() - began
    if not (quiet or json):
        typer.echo(f"{n} samples in {seconds:.1f} s")
    finish(f"wrote {target}", {"wrote": str(target), "n": n, "seconds": round(seconds, 3)}, json)
