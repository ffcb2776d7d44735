"""unnoise sample"""

from pathlib import Path

from typer import Option

from unnoise.catalogue.ranges import LAST_SAMPLE
from unnoise.cli.options import GRID, RUN, SEED, Machine, Voice, Walk, inside


def sample(
    run: str = RUN,
    n: int = Option(64, "-n", "--n", help="How many samples.", min=1),
    label: str | None = Option(
        None,
        help="Class of all, by number or name; uniform: all in turn, as on sheets and films where "
        "it is absent; elsewhere absent: by the data's frequencies.",
    ),
    *,
    walk: Walk,
    grid: str | None = GRID,
    eta: float | None = Option(None, help="Randomness of --solver ddim, 0 to 1."),
    seed: int = SEED,
    first: int = Option(0, help="Number of the first sample.", min=0, max=LAST_SAMPLE),
    fast: bool = Option(
        False, "--fast", help="One batch instead of padded chunks: equal to rounding."
    ),
    out: str | None = Option(
        None, "-o", "--out", help=".png sheet, .gif walk, .npz arrays, or a folder."
    ),
    machine: Machine,
    voice: Voice,
) -> None:
    """Draw samples from a trained model. The suffix of --out decides what is written.

    Example: unnoise sample runs/digits -n 64 --label 3 --guidance 1.5 --solver heun -o threes.png
    """
    import time

    from unnoise.system import parallel
    from unnoise.tasks.sample import to_file

    parallel.join()
    with voice.working("sample"):
        model = machine.load(run, "Draws")
        target = inside(run, "samples", f"-s{seed}") if out is None else Path(out)
        began = time.perf_counter()
        how = {"first": first, "exact": not fast, **walk.keywords(machine, grid, eta)}
        names = {"model": run, "guide": walk.guide}
        to_file(model, n, target, names, seed=seed, label=label, **how)
    seconds = time.perf_counter() - began
    voice.say(f"{n} samples in {seconds:.1f} s")
    record = {"wrote": str(target), "n": n, "seconds": round(seconds, 3)}
    voice.finish(f"wrote {target}", record)
