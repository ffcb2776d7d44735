"""unnoise edit"""

from pathlib import Path
from typing import Annotated, Any

import typer

from unnoise.cli.options import (
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
    guidance_of,
    guide_of,
    inside,
    load_model,
    made,
    solver_of,
)


def edit(
    run: RunArgument,
    files: Annotated[list[str], typer.Argument(help="Pictures of the model's size.")],
    inpaint: Annotated[bool, typer.Option("--inpaint", help="Fill in what --mask names.")] = False,
    mask: Annotated[
        str | None, typer.Option(help="For --inpaint: white where it is to be filled in.")
    ] = None,
    colorize: Annotated[bool, typer.Option("--colorize", help="Colour by the grey alone.")] = False,
    upscale: Annotated[
        int | None, typer.Option(help="Enlarge pictures that are so many times smaller.")
    ] = None,
    deblur: Annotated[
        str | None, typer.Option(help="Sharpen what this kernel has blurred (.npy, h x w).")
    ] = None,
    vary: Annotated[
        float | None, typer.Option(help="Variations: 0 keeps everything, 1 nothing.")
    ] = None,
    between: Annotated[
        bool, typer.Option("--between", help="From the first of two pictures to the second.")
    ] = False,
    relabel: Annotated[
        str | None,
        typer.Option(help="Make it one of this class: inverted under --label, decoded under this."),
    ] = None,
    method: Annotated[
        str, typer.Option(help="A name (see: unnoise show imputation) or a {kind = ...} table.")
    ] = "mmps",
    std: Annotated[
        float, typer.Option(help="Noise of what is given, in units of half its range.", min=0)
    ] = 0.0,
    n: Annotated[int, typer.Option("-n", "--n", help="Results for each.", min=1)] = 4,
    label: Annotated[str | None, typer.Option(help="Class, by number or name.")] = None,
    guidance: GuidanceOption = None,
    guide: GuideOption = None,
    solver: SolverOption = None,
    steps: StepsOption = None,
    seed: SeedOption = 0,
    out: Annotated[
        str | None, typer.Option("-o", "--out", help="The picture. [RUN/edits/TIME.png]")
    ] = None,
    threads: ThreadsOption = None,
    plugin: PluginOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Edit real pictures with a model that was never taught to: fill in, colour, enlarge, sharpen,
    vary, make another class of, or walk from one to another. One picture shows what was given, the
    results, their mean and how sure the model is of each pixel.

    Example: unnoise edit runs/digits seven.png --inpaint --mask lower.png --method repaint
    """
    from unnoise.cli.progress import counted
    from unnoise.core.errors import InputError
    from unnoise.tasks import edit as editing
    from unnoise.tasks import output as pictures

    asked = {
        "--inpaint": inpaint,
        "--colorize": colorize,
        "--upscale": upscale is not None,
        "--deblur": deblur is not None,
        "--vary": vary is not None,
        "--between": between,
        "--relabel": relabel is not None,
    }
    chosen = [name for name, given in asked.items() if given]
    if len(chosen) != 1:
        raise InputError(f"give one of {', '.join(asked)}; given: {', '.join(chosen) or 'none'}.")
    if inpaint != (mask is not None):
        raise InputError("--inpaint and --mask go together: the mask is white where to fill in.")
    if between and len(files) != 2:
        raise InputError(f"--between takes two pictures; given {len(files)}.")
    if guide is not None and (between or relabel is not None):
        raise InputError(f"{chosen[0]} walks the model's own ODE; leave --guide out.")
    model = load_model(run, plugin, threads, "Walks")
    if out is not None and pictures.check_target(Path(out)) != ".png":
        raise InputError(f"{out}: an edit is shown as one .png; give it that suffix.")
    leader = guide_of(guide, plugin)
    named = pictures.whose_labels(model, leader)
    wanted = None if label is None else pictures.info_of(named).label(label)
    paths = [Path(file) for file in files]
    how: dict[str, Any] = {"label": wanted}
    about = {"model": run, "edit": chosen[0], "files": files, "n": n, "seed": seed}
    words = {"label": label, "relabel": relabel, "guidance": guidance, "guide": guide}
    words |= {"method": method, "std": std, "solver": solver, "steps": steps}
    about |= {name: word for name, word in words.items() if word is not None}
    given = {"guidance": guidance_of(guidance), "solver": solver_of(solver, None), "steps": steps}
    if between or relabel is not None:
        how |= {name: value for name, value in given.items() if value is not None}
    if between:
        found = [editing.between(model, paths[0], paths[1], max(n, 2), **how)]
    elif relabel is not None:
        to = pictures.info_of(model).label(relabel)
        with counted("pictures", quiet or json) as done:
            found = editing.edit(model, paths, editing.Relabel(to), 1, done, **how)
    else:
        how |= {**given, "guide": leader}
        by = made("imputation", method, "--method")
        if vary is not None:
            job: editing.Job = editing.Vary(vary)
        elif mask is not None:
            job = editing.Restore(editing.mask(Path(mask), model), by, std=std)
        elif colorize:
            job = editing.Restore(editing.grey(model), by, std=std)
        elif upscale is not None:
            job = editing.Undo(editing.smaller(upscale, model), by, std)
        else:
            job = editing.Undo(editing.kernel(Path(deblur or "")), by, std)
        with counted("pictures", quiet or json) as done:
            found = editing.edit(model, paths, job, n, done, seed=seed, **how)
    target = inside(run, "edits") if out is None else Path(out)
    editing.draw(model, found, target, about)
    finish(f"wrote {target}", {"wrote": str(target), "files": len(files), "n": n}, json)
