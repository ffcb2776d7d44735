"""unnoise prepare"""

from pathlib import Path
from typing import Annotated

import typer

from unnoise.cli.options import JsonOption, QuietOption, finish


def prepare(
    source: Annotated[str, typer.Argument(help="Folder, .zip or .tar file of pictures, hf:NAME.")],
    out: Annotated[
        str, typer.Argument(help="New folder; or an index.json for a folder of .tar shards.")
    ],
    size: Annotated[
        int | None, typer.Option(help="Side of the square cut from the middle.", min=1, max=4096)
    ] = None,
    channels: Annotated[int, typer.Option(help="3 for colour, 1 for grey.", min=1, max=3)] = 3,
    background: Annotated[
        str, typer.Option(help="white or black: what shows through transparent pixels.")
    ] = "white",
    test: Annotated[str | None, typer.Option(help="A second source to hold out.")] = None,
    held_out: Annotated[
        float, typer.Option(help="Share to hold out where there is no --test.", min=0, max=1)
    ] = 0.1,
    bad: Annotated[float, typer.Option(help="Largest share of bad files.", min=0, max=1)] = 0.05,
    licence: Annotated[str, typer.Option(help="Of the data; goes into every model.")] = "unknown",
    workers: Annotated[
        int | None, typer.Option(help="Processes. [one a core]", min=1, max=256)
    ] = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Check, decode and scale pictures once; training then reads them as fast as memory. Bad files
    are left out and named in refused.jsonl.

    Example: unnoise prepare cifar10.zip data/cifar10 --size 32
    """
    from unnoise.cli.progress import counted
    from unnoise.core.errors import InputError
    from unnoise.data import Look, write_index
    from unnoise.data import prepare as run
    from unnoise.data.pictures.images import told

    if channels == 2:
        raise InputError("--channels 2: give 3 for colour or 1 for grey.")
    if background not in ("white", "black"):
        raise InputError(f"--background {background}: give white or black.")
    if out.endswith(".json"):
        target = write_index(source, out)
        finish(f"wrote {target}", {"wrote": str(target)}, json)
        return
    cores = workers or _cores()
    with counted("pictures", quiet or json) as tell:
        report = run(
            source,
            Path(out),
            Look(size, channels, 255 if background == "white" else 0),
            test=test,
            held_out=held_out,
            bad=bad,
            licence=licence,
            workers=cores,
            tell=tell,
        )
    total = sum(report.counts.values()) + len(report.refused)
    counts = ", ".join(f"{count:,} to {_PURPOSE[s]}" for s, count in report.counts.items())
    if not (quiet or json):
        typer.echo(counts)
        if report.refused:
            typer.echo(f"{told(report.refused, total)} All of them: {out}/refused.jsonl")
    record = {"wrote": out, **report.counts, "refused": len(report.refused)}
    finish(f"wrote {out}", record, json)


_PURPOSE = {"train": "train on", "test": "hold out"}


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
