"""What a step of a solver costs beside the network, which here answers in no time (P4).

Microseconds a network call, 3x32x32, 50 steps, batches of 1 and 64, one thread; every arm in turn,
medians. Ratios are to a floor: two in-place operations, and a draw more where the walk is random.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import machine
import pictures
import torch
from solver_error_peers import azula, diffusers, k_diffusion
from torch import Tensor

from unnoise import EDM, Condition, Moments, Noise, Normal, grid, integrate
from unnoise.catalogue.registry import build
from unnoise.denoisers import GaussianDenoiser

STEPS = 50
OURS = ("auto", "ddim", "dpmpp-2m", "ancestral", "reverse-diffusion", "euler-maruyama", "heun")
RANDOM = ("ancestral", "reverse-diffusion", "euler-maruyama")


class Still(GaussianDenoiser):
    """A network that takes no time."""

    def __init__(self, answer: Tensor):
        super().__init__()
        self.process, self.answer = EDM(), answer
        self.calls = 0

    def forward(self, x: Tensor, t: Tensor, cond: Condition | None = None) -> Normal:
        self.calls += 1
        return Normal(self.answer)


def arms(batch: int) -> dict[str, Callable[[], int]]:
    """Each returns how often the network was called."""
    shape = (batch, 3, 32, 32)
    x = 80 * Noise(0, range(batch)).normal(torch.empty(shape))
    answer = torch.zeros(shape)
    data = Moments(torch.zeros(shape[1:]), 0.25)
    sigmas = torch.cat([torch.linspace(80, 0.01, STEPS), torch.zeros(1)])

    def floor() -> int:
        y = x.clone()
        for _ in range(STEPS):
            y.mul_(0.9).add_(answer, alpha=0.1)
        return STEPS

    def random_floor() -> int:
        y = x.clone()
        for _ in range(STEPS):
            y.mul_(0.9).add_(answer, alpha=0.1).add_(torch.randn_like(y), alpha=0.1)
        return STEPS

    def ours(name: str) -> Callable[[], int]:
        solver, still = build("solver", name), Still(answer)
        times = grid(still.process, STEPS, "karras")
        noise = Noise(0, range(batch))

        def run() -> int:
            still.calls = 0
            integrate(solver, still, x, times, noise=noise, data=data)
            return still.calls

        return run

    def theirs(run: Callable) -> Callable[[], int]:
        def once() -> int:
            run(lambda x, sigma: answer, x.clone(), sigmas)
            return STEPS

        return once

    found: dict[str, Callable[[], int]] = {"floor": floor, "random floor": random_floor}
    found |= {f"unnoise {name}": ours(name) for name in OURS}
    peers = {**k_diffusion(), **azula(), **diffusers()}
    for name in ("k-diffusion dpmpp_2m", "azula DDIM", "azula zEAB 3", "diffusers DPM-Solver++ 2"):
        if name in peers:
            found[name] = theirs(peers[name])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path, default=machine.HERE / "results" / "step-overhead.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    result = machine.describe(["unnoise", "torch", "diffusers", "k-diffusion", "azula"])
    for batch in (1, 64):
        runs = arms(batch)
        spent: dict[str, list[float]] = {name: [] for name in runs}
        with torch.no_grad():
            for _ in range(given.repeats + 1):
                for name, run in runs.items():
                    began = time.process_time()
                    calls = run()
                    spent[name].append((time.process_time() - began) / calls * 1e6)
        cost = {name: statistics.median(values[1:]) for name, values in spent.items()}
        rows: list[list[str]] = []
        for name, value in cost.items():
            random = name.removeprefix("unnoise ") in RANDOM
            ratio = value / cost["random floor" if random else "floor"]
            rows.append([name, f"{value:.0f}", f"{ratio:.1f}"])
        print(f"\nbatch {batch}")
        print(machine.markdown(["arm", "microseconds a call", "over its floor"], rows))
        result[f"batch {batch}"] = cost
    machine.finish(result)
    machine.write(given.out, result)
    print(f"wrote {given.out} and {pictures.draw(given.out)}")


if __name__ == "__main__":
    main()
