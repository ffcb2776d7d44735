"""Colour and fill in real pictures, with one small unconditional model trained in minutes.

    python examples/cifar10_inverse.py --data cifar10-train.zip --test cifar10-test.zip

Trains on pictures of 32x32 pixels (a quarter of an hour on two CPU cores; --steps changes that),
then takes test pictures that it has never seen, hides their colours, their middle, or all but the
means of 4x4 pixels, and draws four guesses each, their mean and their spread, beside the originals.
Stop it and start it again: the training goes on where it was.
"""

import argparse
import time
from pathlib import Path

import torch

import unnoise
from unnoise import Downscale, Grey, Mask, Measurement
from unnoise.operators import Projection
from unnoise.plots import save_image, sheet
from unnoise.training import Event, Run, Stepped

RECIPE = {
    "name": "cifar10-inverse",
    "model": {
        "kind": "diffusion",
        "network": {"kind": "unet", "width": 32, "multipliers": [1, 2, 2], "patch": 2},
        "process": {"kind": "edm", "sigma_min": 0.01, "sigma_max": 50.0},
        "head": {"kind": "edm", "sigma_data": 0.5},
        "objective": {
            "kind": "regression",
            "times": {"kind": "lognormal", "mean": -0.8, "std": 1.4},
            "weight": {"kind": "edm", "sigma_data": 0.5},
        },
    },
    "sampling": {"solver": "dpmpp-2m", "steps": 18, "grid": "karras", "chunk": 4},
    "training": {"batch": 64, "lr": 2e-3, "warmup": 200, "ema_half_life": 32000.0},
}
MIDDLE = torch.ones(32, 32, dtype=torch.bool)
MIDDLE[10:22, 10:22] = False
JOBS: dict[str, Projection] = {
    "colorization": Grey(),
    "inpainting": Mask(MIDDLE),
    "enlarging": Downscale(4),
}


def trained(train: str, test: str, out: Path, steps: int) -> unnoise.Diffusion:
    """The run's model; made, or gone on with where it stopped."""
    data = {"kind": "images", "path": train, "test": test, "size": 32, "flip": True}
    recipe = {**RECIPE, "data": {**data, "labels": False}}
    recipe["training"] = {**recipe["training"], "steps": steps, "save_every": 250}

    def say(event: Event, run: Run) -> None:
        if isinstance(event, Stepped) and event.step % 100 == 0:
            print(f"step {event.step}/{steps}  loss {event.loss:.4f}  {event.left:.0f} s left")

    resume = (out / "recipe.toml").is_file()
    model = unnoise.train(recipe, out, resume=resume, listeners=[say])
    assert isinstance(model, unnoise.Diffusion)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="folder or zip of pictures to train on")
    parser.add_argument("--test", required=True, help="folder or zip of pictures to try it on")
    parser.add_argument("--out", type=Path, default=Path("runs/cifar10-inverse"))
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--walk", type=int, default=60, help="steps from noise to a picture")
    parser.add_argument("--count", type=int, default=8, help="test pictures")
    given = parser.parse_args()
    began = time.perf_counter()
    model = trained(given.data, given.test, given.out, given.steps)
    print(f"trained after {time.perf_counter() - began:.0f} s")
    test = unnoise.data.images(given.test, size=32, labels=False, held_out=0.0)
    index = torch.arange(given.count) * len(test) // given.count
    real = test.batch(index).x
    info = test.info
    for name, operator in JOBS.items():
        cells: list[torch.Tensor] = []
        for x in real.split(1):
            seen = operator(x)
            guesses = model.sample(4, given=Measurement(operator, seen), steps=given.walk, seed=0)
            shown = operator.impose(torch.zeros_like(x), seen)
            spread = (guesses.std(0) / 0.5 * 255).clamp(0, 255).to(torch.uint8)
            parts = [x, shown, *guesses.split(1), guesses.mean(0, keepdim=True)]
            cells += [*(info.to_bytes(part)[0] for part in parts), spread]
        labels = ["original", "seen", "1", "2", "3", "4", "mean", "spread"]
        picture = sheet(torch.stack(cells), columns=len(labels), column_labels=labels)
        path = given.out / f"{name}.png"
        save_image(picture, path, {"made by": "examples/cifar10_inverse.py"})
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
