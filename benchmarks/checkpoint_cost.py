"""What checkpoints cost: writing one, against a thousand steps of the same training (A14).

A small U-Net and the digits' MLP; seconds of a step and of a save (two files with checksums,
synced), and how fast a container is verified. One thread, medians.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import machine
import torch

from unnoise import MLP, Diffusion, UNet
from unnoise.data import digits
from unnoise.system.files import unpack
from unnoise.training import Training
from unnoise.training.run import Run


def median(values: list[float]) -> float:
    return statistics.median(values)


def measure(model: Diffusion, batch: int, place: Path) -> dict[str, float]:
    run = Run(model, digits(), Training(batch=batch, steps=1000), place)
    model.info = run.data.info
    steps: list[float] = []
    saves: list[float] = []
    for i in range(12):
        began = time.perf_counter()
        run.advance()
        steps.append(time.perf_counter() - began)
        if i % 2:
            began = time.perf_counter()
            path = run.save()
            saves.append(time.perf_counter() - began)
    file = path / "state.safetensors"
    began = time.perf_counter()
    unpack(file)
    speed = file.stat().st_size / (time.perf_counter() - began) / 1e9
    step, save = median(steps[2:]), median(saves[1:])
    return {
        "weights": sum(p.numel() for p in model.parameters()),
        "step ms": 1000 * step,
        "save ms": 1000 * save,
        "share of 1,000 steps, %": 100 * save / (1000 * step),
        "state MB": file.stat().st_size / 1e6,
        "verified GB/s": speed,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    default = machine.HERE / "results" / "checkpoint-cost.json"
    parser.add_argument("--out", type=Path, default=default)
    given = parser.parse_args()
    torch.set_num_threads(1)
    result = machine.describe(["unnoise", "torch", "safetensors"])
    models = {
        "digits' MLP": (Diffusion(MLP(shape=(1, 8, 8), width=256, depth=2, classes=10)), 128),
        "U-Net of width 64": (
            Diffusion(UNet(shape=(1, 8, 8), width=64, multipliers=(1, 2), classes=10)),
            64,
        ),
    }
    result["arms"] = {}
    for name, (model, batch) in models.items():
        with tempfile.TemporaryDirectory() as place:
            result["arms"][name] = measure(model, batch, Path(place))
    head = ["", *next(iter(result["arms"].values()))]
    rows = [[name, *(f"{v:,.2f}" for v in row.values())] for name, row in result["arms"].items()]
    print(machine.markdown(head, rows))
    machine.finish(result)
    machine.write(given.out, result)
    print(f"wrote {given.out}")


if __name__ == "__main__":
    main()
