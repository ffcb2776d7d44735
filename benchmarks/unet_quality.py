"""What small U-Nets learn from the same examples, beside their peers in the same run (P5).

Digits at 28x28 pixels, ten classes; the same objective, examples, optimiser and sampler for every
network, so that only the network differs. Figures of 1,000 samples, taken back to 8x8 pixels where
the judge is at home. One thread.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import machine
import torch
from peer_networks import SHAPE, conditional
from torch import Tensor
from torch.nn import functional

from unnoise import EDM, Condition, Diffusion, fit
from unnoise.data import TensorDataset, digits
from unnoise.evaluation import Judge, frechet_distance, precision_recall

COUNT, BATCH = 1000, 64


def large(split: Any) -> TensorDataset:
    """The digits, drawn out to 28x28 pixels of 256 levels."""
    batch = digits(split)[:]
    side = functional.interpolate(batch.x, SHAPE[1:], mode="bilinear")
    stored = ((side + 1) * 127.5).round().clamp(0, 255).long()
    assert batch.label is not None
    return TensorDataset("digits-28", stored, batch.label, levels=256, licence="CC BY 4.0")


def small(x: Tensor) -> Tensor:
    """Features: 8x8 pixels, flat."""
    return functional.adaptive_avg_pool2d(x, 8).flatten(1).double()


def arm(name: str, seed: int, steps: int) -> dict[str, Any]:
    """Train one network and measure what it draws."""
    network = conditional(seed)[name]()
    model = Diffusion(
        network,
        EDM(sigma_min=0.02, sigma_max=20.0),
        head={"kind": "edm", "sigma_data": 0.51},
        objective={
            "kind": "regression",
            "times": {"kind": "lognormal", "mean": -0.8, "std": 1.2},
            "weight": {"kind": "edm", "sigma_data": 0.51},
        },
    )
    began = time.process_time()
    settings: dict[str, Any] = {"steps": steps, "batch": BATCH, "lr": 1e-3, "seed": seed}
    fit(model, large("train"), **settings, label_dropout=0.0, ema_half_life=3200.0, threads=1)
    trained = time.process_time() - began
    asked = torch.arange(COUNT) % 10
    parts = [
        model.sample(100, Condition(label=labels), seed=seed + 1000 * i, solver="auto", steps=18)
        for i, labels in enumerate(asked.split(100))
    ]
    made = small(torch.cat(parts).clamp(-1, 1))
    held_out = large("test")[:]
    real = small(held_out.x)
    assert held_out.label is not None
    near = precision_recall(real, made)
    judge = Judge.train(real, held_out.label)
    return {
        "arm": name,
        "seed": seed,
        "parameters": sum(p.numel() for p in network.parameters()),
        "training_cpu": trained,
        "images_per_cpu_second": steps * BATCH / trained,
        "sampling_cpu": time.process_time() - began - trained,
        "accuracy": float((judge.predict(made) == asked).double().mean()),
        "frechet": frechet_distance(made, real),
        "precision": near.precision,
        "recall": near.recall,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--arms", nargs="+", default=["unnoise", "azula", "diffusers"])
    default = machine.HERE / "results" / "unet-quality.json"
    parser.add_argument("--out", type=Path, default=default)
    given = parser.parse_args()
    torch.set_num_threads(1)
    result = machine.describe(["unnoise", "torch", "diffusers", "azula"])
    result["arms"] = []
    rows: list[list[str]] = []
    for seed in range(given.seeds):
        for name in given.arms:
            try:
                found = arm(name, seed, given.steps)
            except ImportError:
                print(f"{name} is missing: left out")
                continue
            result["arms"].append(found)
            figures = ("frechet", "accuracy", "precision", "recall", "images_per_cpu_second")
            rows.append([name, str(seed), f"{found['parameters'] / 1e6:.2f} M"])
            rows[-1] += [f"{found[each]:.3g}" for each in figures]
            print(" | ".join(rows[-1]), flush=True)
    head = ["arm", "seed", "weights", "FD", "accuracy", "precision", "recall", "images/CPU s"]
    print(machine.markdown(head, rows))
    machine.finish(result)
    machine.write(given.out, result)
    print(f"wrote {given.out}")


if __name__ == "__main__":
    main()
