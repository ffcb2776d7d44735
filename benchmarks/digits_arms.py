"""One training, its samples and their figures, in this process; started by digits.py."""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

SETTINGS: dict[str, dict[str, Any]] = {
    "unnoise": {},
    "unnoise-plain": {"training.steps": 1500, "sampling.guidance": 1},
}


class Clock:
    """Wall-clock and processor seconds since the process was asked for, by phase."""

    def __init__(self, started: float) -> None:
        self.wall, self.cpu = started, 0.0
        self.phases: dict[str, dict[str, float]] = {}

    def lap(self, name: str) -> None:
        wall, cpu = time.time(), time.process_time()
        self.phases[name] = {"wall": round(wall - self.wall, 3), "cpu": round(cpu - self.cpu, 3)}
        self.wall, self.cpu = wall, cpu


def yardstick() -> float:
    """Processor milliseconds of a fixed piece of work, least of 5: how fast the machine is now.

    A neighbour on the same core makes processor seconds longer; this says by how much.
    """
    a, b = torch.ones(128, 256), torch.ones(256, 1024)
    least = float("inf")
    for _ in range(5):
        began = time.process_time()
        for _ in range(50):
            torch.nn.functional.silu(a @ b).sum().item()
        least = min(least, time.process_time() - began)
    return 1000 * least


def ours(arm: str, seed: int, clock: Clock, steps: int, doubling: bool) -> dict[str, Any]:
    """The shipped recipe, as a user would run it."""
    import unnoise
    from unnoise.catalogue.registry import written
    from unnoise.denoisers import Guidance
    from unnoise.training import Ended, Event, Run

    clock.lap("import")
    before = yardstick()
    clock.lap("yardstick")
    ended: list[Ended] = []

    def listen(event: Event, run: Run) -> None:
        if isinstance(event, Ended):
            ended.append(event)

    with tempfile.TemporaryDirectory() as folder:
        model = unnoise.train(
            "digits",
            Path(folder) / "run",
            changes={**SETTINGS[arm], "training.seed": seed},
            device="cpu",
            listeners=[listen],
        )
    clock.lap("train")
    assert isinstance(model, unnoise.Diffusion) and model.info is not None
    after = yardstick()
    clock.lap("yardstick after")
    from digits_measure import COUNT, bits, convergence, figures, requested

    x = model.sample(COUNT, label=requested(), seed=seed)
    clock.lap("sample")
    row: dict[str, Any] = {
        "training_cpu": ended[0].cpu_seconds,
        "training_wall": ended[0].seconds,
        "training_steps": ended[0].step,
        "parameters": sum(p.numel() for p in model.parameters()),
        "yardstick": (before + after) / 2,
        "guidance": written(Guidance, model.sampling.guidance),
        **figures(model.info.to_stored(x).flatten(1)),
    }
    if arm == "unnoise-plain":
        row |= {**bits(model, steps), "bits_steps": steps}
        if doubling:
            row["convergence"] = convergence(model)
    return row


def theirs(arm: str, seed: int, clock: Clock, budget: float) -> list[dict[str, Any]]:
    """A peer, trained for a budget; one row for each way of sampling that it is known for."""
    from digits_measure import figures
    from digits_peers import PEERS

    peer = PEERS[arm](seed)
    clock.lap("import")
    before = yardstick()
    clock.lap("yardstick")
    peer.train(budget)
    clock.lap("train")
    after = yardstick()
    clock.lap("yardstick after")
    rows: list[dict[str, Any]] = []
    for name, levels in peer.samples():
        clock.lap(f"sample {name}")
        rows.append(
            {**peer.told, "sampling": name, "yardstick": (before + after) / 2, **figures(levels)}
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arm")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budget", type=float, default=160.0)
    parser.add_argument("--bits-steps", type=int, default=16)
    parser.add_argument("--convergence", action="store_true")
    parser.add_argument("--started", type=float, default=time.time())
    parser.add_argument("--report", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    clock = Clock(given.started)
    if given.arm in SETTINGS:
        rows = [ours(given.arm, given.seed, clock, given.bits_steps, given.convergence)]
    else:
        rows = theirs(given.arm, given.seed, clock, given.budget)
    rows = [{"arm": given.arm, "seed": given.seed, **row, "phases": clock.phases} for row in rows]
    given.report.write_text(json.dumps({"rows": rows}), "utf-8")


if __name__ == "__main__":
    main()
