"""unnoise demo"""

from typer import Option

from unnoise.cli.options import THREADS, Voice, figures


def demo(
    out: str = Option("runs/demo", help="Folder for everything."),
    seed: int = Option(0, help="Of the training."),
    threads: int | None = THREADS,
    *,
    voice: Voice,
) -> None:
    """Train a small diffusion model on real digits, sample from it, measure it, draw pictures:
    the whole tour in about half a minute. Nothing is downloaded.

    Example: unnoise demo
    """
    from unnoise.cli.events import Printed
    from unnoise.tasks.demo import demo as run
    from unnoise.tasks.show import table

    voice.say("training on 1,200 real digits of 8x8 pixels (scikit-learn's, shipped inside)")
    with voice.working("demo"):
        printed = Printed(voice.silent)
        shown = run(out, seed=seed, threads=threads, listeners=(printed,), say=voice.say)
    pictures = table([(str(path), what) for path, what in shown.pictures])
    voice.say(table(figures(shown.figures)), "pictures:", pictures)
    voice.say(f"go on:\n  unnoise sample {out} -n 16 --label 3 -o threes.png")
    voice.finish(f"wrote {out}/metrics.json and {shown.model}", {"wrote": out, **shown.figures})
