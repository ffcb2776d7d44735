"""unnoise edit"""

from pathlib import Path

from typer import Argument, Option

from unnoise.cli.options import RUN, SEED, Machine, Voice, Walk, inside, made
from unnoise.core.errors import InputError


def edit(
    run: str = RUN,
    files: list[str] = Argument(help="Pictures of the model's size."),
    inpaint: bool = Option(False, "--inpaint", help="Fill in what --mask names."),
    mask: str | None = Option(None, help="For --inpaint: white where it is to be filled in."),
    colorize: bool = Option(False, "--colorize", help="Colour by the grey alone."),
    upscale: int | None = Option(None, help="Enlarge pictures that are so many times smaller."),
    deblur: str | None = Option(None, help="Sharpen what this kernel has blurred (.npy, h x w)."),
    vary: float | None = Option(None, help="Variations: 0 keeps everything, 1 nothing."),
    between: bool = Option(
        False, "--between", help="From the first of two pictures to the second."
    ),
    relabel: str | None = Option(
        None, help="Make it one of this class: inverted under --label, decoded under this."
    ),
    method: str = Option(
        "mmps", help="A name (see: unnoise show imputation) or a {kind = ...} table."
    ),
    std: float = Option(0.0, help="Noise of what is given, in units of half its range.", min=0),
    n: int = Option(4, "-n", "--n", help="Results for each.", min=1),
    label: str | None = Option(None, help="Class, by number or name."),
    *,
    walk: Walk,
    seed: int = SEED,
    out: str | None = Option(None, "-o", "--out", help="The picture. [RUN/edits/TIME.png]"),
    machine: Machine,
    voice: Voice,
) -> None:
    """Edit real pictures with a model that was never taught to: fill in, colour, enlarge, sharpen,
    vary, make another class of, or walk from one to another. One picture shows what was given, the
    results, their mean and how sure the model is of each pixel.

    Example: unnoise edit runs/digits seven.png --inpaint --mask lower.png --method repaint
    """
    from unnoise.tasks import edit as task
    from unnoise.tasks.output import check_target

    asked = {"inpaint": inpaint, "colorize": colorize, "upscale": upscale, "deblur": deblur}
    asked |= {"vary": vary, "between": between, "relabel": relabel}
    name, to = task.chosen(asked, files, mask, walk.guide)
    words = {"label": label, "relabel": relabel, "guidance": walk.guidance, "guide": walk.guide}
    words |= {"method": method, "std": std, "solver": walk.solver, "steps": walk.steps}
    about = {"model": run, "edit": f"--{name}", "files": files, "n": n, "seed": seed}
    about |= {name: word for name, word in words.items() if word is not None}
    with voice.working("edit"):
        model = machine.load(run, "Walks")
        if out is not None and check_target(Path(out)) != ".png":
            raise InputError(f"{out}: an edit is shown as one .png; give it that suffix.")
        way = () if name in task.BY_ODE else (made("imputation", method, "--method"), std)
        how = walk.keywords(machine) | ({} if name in task.BY_ODE else {"seed": seed})
        job = task.JOBS[name](to, model, *way)
        edits = task.edit(model, files[:1] if between else files, job, n, label, **how)
        target = inside(run, "edits") if out is None else Path(out)
        task.draw(model, edits, target, about)
    voice.finish(f"wrote {target}", {"wrote": str(target), "files": len(files), "n": n})
