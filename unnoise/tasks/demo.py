"""The demo: train on digits, sample, measure, and leave pictures that show what happened."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from unnoise.core.errors import InputError, either
from unnoise.models import OdeModel, load
from unnoise.models.conditions import UNIFORM
from unnoise.plots import evenly, film, forward_reverse, save_image, strip
from unnoise.tasks import sample
from unnoise.tasks.evaluate import evaluate
from unnoise.tasks.output import classes_of, draw, forward_frames, info_of, write_json
from unnoise.tasks.own_data import own_data
from unnoise.tasks.train import assemble, train
from unnoise.training import Listener
from unnoise.training.checkpoints import steps_of


@dataclass(frozen=True)
class Shown:
    """Files and figures of a demo.

    Arguments:
        figures: as in metrics.json.
        pictures: files with what they show.
        model: the trained model's file.
    """

    figures: dict[str, Any]
    pictures: list[tuple[Path, str]]
    model: Path


def demo(
    out: str | Path = "runs/demo",
    *,
    seed: int = 0,
    threads: int | None = None,
    listeners: tuple[Listener, ...] = (),
    say: Callable[[str], None] = lambda text: None,
) -> Shown:
    """Run the demo; a model that is already in ``out`` is used, an interrupted one finished.

    Arguments:
        out: folder for everything.
        seed: of the training; the pictures' samples are always those of seed 0.
        threads: CPU threads; None chooses.
        listeners: called with the training's events.
        say: called with a line of text at each stage.
    """
    folder = Path(out)
    made = assemble("digits", {"training.seed": seed, "name": "demo"}, device="cpu")
    steps = steps_of(folder)
    begun = (folder / "recipe.toml").exists()
    other = either("out=", "--out")
    if steps and steps[0] >= made.recipe.training.steps:
        say(f"{folder} holds a trained model already; using it ({other} trains another)")
        if load(folder).recipe.get("training", {}).get("seed") != seed:
            raise InputError(
                f"the model in {folder} was trained with another seed; give another folder: "
                f"{either('out=', '--out')}."
            )
    else:
        train(made, folder, resume=begun, threads=threads, listeners=listeners)
    model = load(folder)
    say("drawing")
    pictures = [(folder / "loss.png", "the loss while training"), *draw_all(model, folder)]
    say("measuring 1,000 samples")
    figures = evaluate(model, made.recipe.evaluation, cache=folder)
    write_json(folder / "metrics.json", figures)
    return Shown(figures, pictures, folder / "model.safetensors")


def draw_all(model: OdeModel, folder: Path) -> list[tuple[Path, str]]:
    """The demo's pictures, into a folder; each with what it shows."""
    info = info_of(model)
    classes = info.classes or 1
    samples, walk, walking = (folder / n for n in ("samples.png", "denoising.png", "walk.gif"))
    each = classes_of(model, 8 * classes, UNIFORM)
    x = model.sample(8 * classes, label=UNIFORM)
    draw(model, x, samples, {"what": "samples", "seed": 0}, each)
    frames = sample.frames(model, classes, label=UNIFORM)
    few = [frames[i] for i in evenly(len(frames), 10)]
    captions = [f"sigma {frame.sigma:.2g}" for frame in few]
    shown = strip([info.to_bytes(frame.visible) for frame in few], captions)
    save_image(shown, walk, {"what": "a walk from noise to data", "seed": 0})
    real = own_data(model, "train")
    labels = real[:].label
    if labels is None:
        raise InputError("the demo needs data with labels.")
    firsts = torch.tensor([int((labels == c).nonzero()[0]) for c in range(classes)])
    forward = forward_frames(model, real.batch(firsts).x, 18)
    there = [info.to_bytes(x) for _, x in forward]
    film(forward_reverse(there, [info.to_bytes(frame.visible) for frame in frames]), walking)
    return [
        (samples, "samples, one class a column"),
        (walk, "the same noise on its way to ten digits"),
        (walking, "real digits turned into noise, and noise into new digits"),
    ]
