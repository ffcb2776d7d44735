"""What tests/training/test_sharded.py starts in two processes: the same training, held in three
ways. Each process writes what it saw to a file of its own."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch

from tests.small import SETTINGS, diffusion, points
from unnoise.core.errors import NumbersError
from unnoise.system import parallel
from unnoise.training import Event, Run, Stepped, Training, fit
from unnoise.training.shares import local

TRAINING: dict[str, Any] = {
    **SETTINGS,
    "micro_batch": 4,
    "save_every": 15,
    "sample_every": 15,
    "power_averages": (0.05,),
    "snapshot_every": 15,
}
TRAINING.pop("threads")


class Watch:
    """Looks at the model as a sample sheet does, and counts what is held here."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.looks: list[list[float]] = []

    def __call__(self, event: Event, run: Run) -> None:
        if isinstance(event, Stepped):
            self.losses.append(event.loss)
            if event.step % 15 == 0:
                with run.averaged() as model:
                    self.looks.append(model.sample(3).flatten().tolist())


def held(run: Run) -> int:
    """Elements of weights, average and optimiser in this process."""
    tensors = [*run.layout.trained.parameters(), *run.average.values]
    tensors += [t for o in run.optimisers for k in ("first", "second") for t in o.memory[k]]
    return sum(local(t).numel() for t in tensors)


def main(out: Path) -> None:
    said: dict[str, Any] = {}
    for name in ("replicated", "sharded", "resumed"):
        model, watch, folder = diffusion(width=32, dropout=0.1), Watch(), out / name
        resume = name == "resumed"
        if resume and parallel.rank() == 0:
            shutil.copytree(out / "sharded", folder)
            shutil.rmtree(folder / "checkpoints" / "step-000030")
        settings = Training(**TRAINING, sharded=name != "replicated")
        fit(model, points(), settings, out=folder, resume=resume, listeners=[watch], threads=1)
        said[name] = {
            "losses": watch.losses,
            "looks": watch.looks,
            "sample": model.sample(3).flatten().tolist(),
        }
    for sharded in (False, True):
        run = Run(diffusion(), points(), Training(**TRAINING, sharded=sharded), None)
        said[f"held {sharded}"] = held(run)
    # A weight that is no number is named in both, wherever it lies.
    broken = diffusion()
    with torch.no_grad():
        broken.network.out.weight[-1, -1] = torch.nan  # pyright: ignore
    try:
        fit(broken, points(), Training(**TRAINING, sharded=True), threads=1)
    except NumbersError as error:
        said["broken"] = str(error)
    (out / f"said-{parallel.rank()}.json").write_text(json.dumps(said))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
