"""unnoise train"""

from pathlib import Path
from typing import Annotated

import typer

from unnoise.cli import options
from unnoise.cli.options import (
    JsonOption,
    PluginOption,
    QuietOption,
    ThreadsOption,
    find_run,
    finish,
)


def train(
    recipe: Annotated[str, typer.Argument(help="digits, digits-unet, moons, or a .toml file.")],
    out: Annotated[str | None, typer.Option(help="Folder of the run. [runs/RECIPE]")] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Your own data: prepared, a folder or .zip of pictures, .npy, hf:NAME."),
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting, e.g. training.lr=1e-3 (as often as needed)."),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Short for --set training.steps=N.")] = None,
    seed: Annotated[int | None, typer.Option(help="Short for --set training.seed=N.")] = None,
    precision: Annotated[
        str | None, typer.Option(help="Short for --set training.precision=float32|bfloat16.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A tenth of the steps, for a try.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with --out, bit for bit.")
    ] = False,
    fork: Annotated[str | None, typer.Option(help="Start from the weights of this run.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, print the whole recipe, stop.")
    ] = False,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ... [a GPU if any]")] = None,
    threads: ThreadsOption = None,
    track: Annotated[
        list[str] | None,
        typer.Option(help="tensorboard, wandb: figures go there too (as often as needed)."),
    ] = None,
    plugin: PluginOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Train a model by a recipe. Everything lands in one folder: the model, checkpoints, the whole
    recipe, metrics.jsonl, sample sheets.

    Example: unnoise train digits --out runs/digits --set training.steps=1500
    """
    from unnoise.cli.progress import Progress
    from unnoise.recipes import data_table, parse_changes
    from unnoise.system import parallel
    from unnoise.tasks import assemble
    from unnoise.tasks.train import check_folder, own_recipe, toml
    from unnoise.tasks.train import train as run

    given = parse_changes(change or [])
    own = {} if data is None else {f"data.{k}": v for k, v in data_table(data).items()}
    changes = {**({} if data is None else {"data": {}}), **own, **given}
    short = {"steps": steps, "seed": seed, "precision": precision}
    changes.update({f"training.{k}": v for k, v in short.items() if v is not None})
    source = own_recipe(recipe, None if out is None else Path(out), resume)
    start = None if fork is None else find_run(fork)
    made = assemble(source, changes, plugin or [], start, device)
    if quick:
        few = max(1, made.recipe.training.steps // 10)
        made = assemble(source, {**changes, "training.steps": few}, plugin or [], start, device)
    if dry_run:
        typer.echo(toml(made.tables).rstrip())
        return
    folder = out or f"runs/{made.recipe.name}"
    if parallel.rank() == 0:
        check_folder(Path(folder), resume)
    if not (quiet or json):
        info = made.data.info
        model = made.tables["model"]
        shown = [k for k in ("network", "process", "head") if k in model]
        kinds = ", ".join(f"{k} {model[k]['kind']}" for k in shown)
        typer.echo(
            f"data {info.name}: {info.count:,} of shape {info.shape}; {model['kind']}: {kinds}"
        )
    trackers = [options.made("tracker", each, "--track") for each in track or []]
    progress = Progress(quiet or json)
    try:
        run(made, folder, resume=resume, threads=threads, listeners=[progress], track=trackers)
    finally:
        progress.close()
    path = f"{folder}/model.safetensors"
    finish(f"wrote {path}", {"model": path, "steps": made.recipe.training.steps}, json)
