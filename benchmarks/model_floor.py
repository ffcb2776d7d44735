"""What the floor above the engine costs: a single sample, a training step, two processes.

    python benchmarks/model_floor.py BASE [--pairs 7]

Of this tree and of another commit, in interleaved pairs of fresh processes with one thread each;
medians of the pairs' ratios. ``sample(1)`` is compared with as many forwards of one row.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from machine import one_thread
from same_bits import trees

STEPS = 18
TOGETHER = ["-m", "torch.distributed.run", "--rdzv-backend", "c10d"]
TOGETHER += ["--rdzv-endpoint", "localhost:0", "--nproc-per-node", "2"]


def sample() -> float:
    """Seconds of ``sample(1)`` of 3x64x64 over those of its forwards of one row."""
    import torch

    from unnoise import Diffusion, UNet

    torch.set_num_threads(1)
    model = Diffusion(UNet(shape=(3, 64, 64), width=32)).eval()
    x, clock = torch.randn(1, 3, 64, 64), torch.zeros(1)
    ratios: list[float] = []
    with torch.no_grad():
        for turn in range(6):
            begun = time.perf_counter()
            for _ in range(STEPS):
                model.network(x, clock)
            forwards = time.perf_counter() - begun
            begun = time.perf_counter()
            model.sample(1, steps=STEPS)
            if turn:  # the first warms up
                ratios.append((time.perf_counter() - begun) / forwards)
    return statistics.median(ratios)


def train(steps: int) -> float:
    """Seconds of a training's steps on the digits."""
    from unnoise import MLP, Diffusion, Training, fit
    from unnoise.data import digits
    from unnoise.training import Ended

    seconds: list[float] = []

    def hear(event: Any, run: Any) -> None:
        if isinstance(event, Ended):
            seconds.append(event.seconds)

    model = Diffusion(MLP(shape=(1, 8, 8), classes=10))
    fit(model, digits(), Training(steps=steps), threads=1, listeners=[hear])
    return seconds[0] if seconds else 0.0


def asked(tree: Path, words: list[str], together: bool = False) -> float:
    """A figure of one tree, from a fresh process or from two together."""
    command = [sys.executable, *(TOGETHER if together else []), __file__, "-", *words]
    env = {**os.environ, **one_thread(), "PYTHONPATH": str(tree)}
    ended = subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, check=True)
    return max(json.loads(line) for line in ended.stdout.splitlines() if line[:1].isdigit())


def compared(this: Path, base: Path, pairs: int, words: list[str], together: bool) -> list[float]:
    """This tree's seconds over the other's, pair by pair, the first of a pair in turn."""
    ratios: list[float] = []
    for turn in range(pairs):
        order = (this, base) if turn % 2 else (base, this)
        found = {tree: asked(tree, words, together) for tree in order}
        ratios.append(found[this] / found[base])
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", help="a commit; - computes one figure here")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--sample", action="store_true")
    parser.add_argument("--train", type=int)
    given = parser.parse_args()
    if given.base == "-":
        print(json.dumps(sample() if given.sample else train(given.train)))
        return
    with trees(given.base) as (base, this):
        print(f"sample(1), 3x64x64: {asked(this, ['--sample']):.2f} x its forwards")
        for name, steps, together in (("step", 1200, False), ("step of two processes", 300, True)):
            ratios = compared(this, base, given.pairs, ["--train", str(steps)], together)
            listed = ", ".join(f"{r:.3f}" for r in sorted(ratios))
            print(f"{name}: {statistics.median(ratios):.3f} x {given.base} ({listed})", flush=True)


if __name__ == "__main__":
    main()
