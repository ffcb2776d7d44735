"""unnoise prepare"""

from pathlib import Path

from typer import Argument, Option

from unnoise.cli.options import Voice
from unnoise.core.errors import InputError


def prepare(
    source: str = Argument(help="Folder, .zip or .tar file of pictures, hf:NAME."),
    out: str = Argument(help="New folder; or an index.json for a folder of .tar shards."),
    size: int | None = Option(
        None, help="Side of the square cut from the middle.", min=1, max=4096
    ),
    channels: int = Option(3, help="3 for colour, 1 for grey.", min=1, max=3),
    background: str = Option(
        "white", help="white or black: what shows through transparent pixels."
    ),
    test: str | None = Option(None, help="A second source to hold out."),
    held_out: float = Option(
        0.1, help="Share to hold out where there is no --test and no test/.", min=0, max=1
    ),
    bad: float = Option(0.05, help="Largest share of bad files.", min=0, max=1),
    licence: str = Option("unknown", help="Of the data; goes into every model."),
    workers: int | None = Option(None, help="Processes. [one a core]", min=1, max=256),
    *,
    voice: Voice,
) -> None:
    """Check, decode and scale pictures once; training then reads them as fast as memory. Bad files
    are left out and named in refused.jsonl.

    Example: unnoise prepare cifar10.zip data/cifar10 --size 32
    """
    from unnoise.data import Look, write_index
    from unnoise.data import prepare as run
    from unnoise.data.pictures.images import told
    from unnoise.system.threads import cores

    if channels == 2:
        raise InputError("--channels 2: give 3 for colour or 1 for grey.")
    if background not in ("white", "black"):
        raise InputError(f"--background {background}: give white or black.")
    if out.endswith(".json"):
        with voice.working("prepare"):
            target = write_index(source, out)
        voice.finish(f"wrote {target}", {"wrote": str(target)})
        return
    with voice.working("prepare", "pictures") as count:
        report = run(
            source,
            Path(out),
            Look(size, channels, 255 if background == "white" else 0),
            test=test,
            held_out=held_out,
            bad=bad,
            licence=licence,
            workers=workers or cores(),
            tell=count.of,
        )
    total = sum(report.counts.values()) + len(report.refused)
    voice.say(report.told)
    purpose = {"train": "train on", "test": "hold out"}
    voice.say(", ".join(f"{count:,} to {purpose[s]}" for s, count in report.counts.items()))
    if report.refused:
        voice.say(f"{told(report.refused, total)} All of them: {out}/refused.jsonl")
    record = {"wrote": out, **report.counts, "refused": len(report.refused)}
    voice.finish(f"wrote {out}", record)
