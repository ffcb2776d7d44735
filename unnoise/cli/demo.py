"""unnoise demo"""

from typing import Annotated

import typer

from unnoise.cli.options import JsonOption, QuietOption, ThreadsOption, figures, finish, table


def demo(
    out: Annotated[str, typer.Option(help="Folder for everything.")] = "runs/demo",
    seed: Annotated[int, typer.Option(help="Of the training.")] = 0,
    threads: ThreadsOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Train a small diffusion model on real digits, sample from it, measure it, draw pictures:
    the whole tour in about half a minute. Nothing is downloaded.

    Example: unnoise demo
    """
    from unnoise.cli.progress import Progress
    from unnoise.tasks.demo import demo as run

    silent = quiet or json
    progress = Progress(silent)

    def say(text: str) -> None:
        if not silent:
            typer.echo(text)

    say("training on 1,200 real digits of 8x8 pixels (scikit-learn's, shipped inside)")
    try:
        shown = run(out, seed=seed, threads=threads, listeners=(progress,), say=say)
    finally:
        progress.close()
    if not silent:
        typer.echo(table(figures(shown.figures)))
        typer.echo("pictures:")
        typer.echo(table([(str(path), what) for path, what in shown.pictures]))
        typer.echo(f"go on:\n  unnoise sample {out} -n 16 --label 3 -o threes.png")
    finish(
        f"wrote {out}/metrics.json and {shown.model}",
        {"wrote": out, **shown.figures},
        json,
    )
