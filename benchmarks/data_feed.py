"""Does the data keep up? Preparing pictures, feeding them, and what a small U-Net consumes.

    python benchmarks/data_feed.py --data ../cifar10-train.zip

Any folder or zip of pictures will do; they are prepared at 32x32 into a temporary folder.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import machine
import torch

from unnoise import Diffusion, UNet
from unnoise.data import Look, prepare, prepared
from unnoise.training import Training
from unnoise.training.run import Run

BATCH = 64


def rate(run: Run, steps: int) -> float:
    began = time.perf_counter()
    for step in range(steps):
        run.feed(step)
    return BATCH * steps / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=machine.HERE / "results" / "data-feed.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    result = machine.describe(["unnoise", "torch", "pillow"])
    place = Path(tempfile.mkdtemp(prefix="unnoise-bench-"))
    try:
        began = time.perf_counter()
        report = prepare(given.data, place / "ready", Look(32), workers=given.workers)
        seconds = time.perf_counter() - began
        count = sum(report.counts.values())
        result["prepared per second"] = count / seconds
        began = time.perf_counter()
        data = prepared(str(place / "ready"), flip=True)
        result["seconds to open"] = time.perf_counter() - began
        model = Diffusion(UNet(shape=data.info.shape, width=32, multipliers=(1, 2, 2)))
        for workers in (0, 1):
            settings = Training(batch=BATCH, steps=400, workers=workers)
            run = Run(model, data, settings, None)
            rate(run, 20)
            result[f"fed per second, workers {workers}"] = rate(run, 300)
            run.feed.close()
        run = Run(model, data, Training(batch=BATCH, steps=10), None)
        run.advance()
        began = time.perf_counter()
        for _ in range(4):
            run.advance()
        result["consumed per second"] = 4 * BATCH / (time.perf_counter() - began)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    keys = [key for key in result if "per second" in key or "seconds" in key]
    print(machine.markdown(["what", "value"], [[key, f"{result[key]:,.1f}"] for key in keys]))
    fed, eaten = result["fed per second, workers 0"], result["consumed per second"]
    print(f"fed {fed / eaten:.0f} times as fast as consumed, on one thread each")
    machine.finish(result)
    machine.write(given.out, result)
    print(f"wrote {given.out}")


if __name__ == "__main__":
    main()
