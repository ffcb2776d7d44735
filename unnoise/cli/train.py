"""unnoise train"""

from pathlib import Path

import typer
from typer import Argument, Option

from unnoise.cli.options import PLUGIN, THREADS, Voice, find_run, made


def train(
    recipe: str = Argument(help="digits, digits-unet, moons, or a .toml file."),
    out: str | None = Option(None, help="Folder of the run. [runs/RECIPE]"),
    data: str | None = Option(
        None, help="Your own data: prepared, a folder or .zip of pictures, .npy, hf:NAME."
    ),
    change: list[str] | None = Option(
        None, "--set", help="A setting, e.g. training.lr=1e-3 (as often as needed)."
    ),
    steps: int | None = Option(None, help="Short for --set training.steps=N."),
    seed: int | None = Option(None, help="Short for --set training.seed=N."),
    precision: str | None = Option(
        None, help="Short for --set training.precision=float32|bfloat16."
    ),
    quick: bool = Option(False, "--quick", help="A tenth of the steps, for a try."),
    resume: bool = Option(False, "--resume", help="Go on with --out, bit for bit."),
    fork: str | None = Option(None, help="Start from the weights of this run."),
    dry_run: bool = Option(
        False, "--dry-run", help="Check everything, print the whole recipe, stop."
    ),
    device: str | None = Option(None, help="cpu, cuda, ... [a GPU if any]"),
    threads: int | None = THREADS,
    track: list[str] | None = Option(
        None, help="tensorboard, wandb: figures go there too (as often as needed)."
    ),
    plugin: list[str] | None = PLUGIN,
    *,
    voice: Voice,
) -> None:
    """Train a model by a recipe. Everything lands in one folder: the model, checkpoints, the whole
    recipe, metrics.jsonl, sample sheets.

    Example: unnoise train digits --out runs/digits --set training.steps=1500
    """
    from unnoise.cli.events import Printed
    from unnoise.tasks.train import assemble, changes_of, check_folder, own_recipe, toml
    from unnoise.tasks.train import train as run

    short = {"steps": steps, "seed": seed, "precision": precision}
    changes = changes_of(data, change or (), short)
    start = None if fork is None else find_run(fork)
    source = own_recipe(recipe, out, resume)
    with voice.working("reading the data"):
        ready = assemble(source, changes, plugin or (), start, device, quick=quick)
    if dry_run:
        typer.echo(toml(ready.tables).rstrip())
        return
    folder = out or f"runs/{ready.recipe.name}"
    check_folder(Path(folder), resume)
    if ready.data.told:
        voice.say(ready.data.told)
    voice.say(ready.told())
    trackers = [made("tracker", each, "--track") for each in track or ()]
    run(
        ready,
        folder,
        resume=resume,
        threads=threads,
        listeners=[Printed(voice.silent)],
        track=trackers,
        progress=not voice.silent,
    )
    path = f"{folder}/model.safetensors"
    voice.finish(f"wrote {path}", {"model": path, "steps": ready.recipe.training.steps})
