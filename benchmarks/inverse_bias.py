"""How wrong each inverse-problem method is where the truth is known: Gaussian data of 12 numbers.

Half of the numbers are seen, exactly; then three means of four; then five random directions with
noise. Error of the posterior's mean (root mean square, in posterior standard deviations) and the
ratio of standard deviations, by 4,000 samples each; the exact denoiser under VP, 60 steps.
"""

import argparse
import math
from pathlib import Path

import machine
import torch
from torch import Tensor

from unnoise import VP, Ancestral, Condition, Heun, Mixture, Noise, RandomRows, grid, integrate
from unnoise.core.operators import Downscale, Mask, Operator
from unnoise.core.registry import build
from unnoise.models import Imputation, Measurement

EVENT = (3, 2, 2)
SIZE = math.prod(EVENT)
STEPS = 60
KINDS = {
    "mmps": {"kind": "mmps", "iterations": 24},
    "mmps, 1 iteration": {"kind": "mmps", "iterations": 1},
    "pigdm": {"kind": "pigdm", "data_std": 0.9, "iterations": 24},
    "dps": {"kind": "dps", "step": 0.3},
    "replacement": {"kind": "replacement"},
    "repaint, 5": {"kind": "repaint", "resample": 5},
    "repaint, 20": {"kind": "repaint", "resample": 20},
}


def law(means: Tensor, spread: float) -> tuple[Tensor, Tensor]:
    """Mean and covariance of the data."""
    root = Noise(1, range(SIZE)).normal(torch.empty(SIZE, SIZE).double()) / SIZE**0.5
    return means, root @ root.T + spread * torch.eye(SIZE, dtype=torch.float64)


def exact(
    mean: Tensor, cov: Tensor, operator: Operator, y: Tensor, std: float
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviations of the posterior, by Bayes."""
    rows = operator(torch.eye(SIZE, dtype=torch.float64).reshape(SIZE, *EVENT)).flatten(1).T
    seen = rows @ cov @ rows.T + std**2 * torch.eye(len(rows), dtype=torch.float64)
    gain = cov @ rows.T @ torch.linalg.pinv(seen, hermitian=True, rtol=1e-12)
    after = cov - gain @ rows @ cov
    return mean + gain @ (y.flatten() - rows @ mean), after.diagonal().clamp(min=0).sqrt()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=4000)
    default = machine.HERE / "results" / "inverse-bias.json"
    parser.add_argument("--out", type=Path, default=default)
    given = parser.parse_args()
    torch.set_num_threads(1)
    result = machine.describe(["unnoise", "torch"])
    result["rows"] = []
    mean, cov = law(Noise(0, [0]).normal(torch.empty(1, SIZE).double())[0], 0.05)
    denoiser = Mixture(VP(), mean.reshape(1, *EVENT), cov[None])
    truth = (
        mean + torch.linalg.cholesky(cov) @ Noise(2, [0]).normal(torch.empty(1, SIZE).double())[0]
    )
    problems: dict[str, tuple[Operator, float]] = {
        "half seen": (Mask(torch.tensor([[1, 0], [1, 0]])), 0.0),
        "means of four": (Downscale(), 0.0),
        "5 noisy directions": (RandomRows(EVENT, 0.4), 0.1),
    }
    noise, count = Noise(3, range(given.count)), given.count
    times = grid(VP(), STEPS)
    start = noise.child("start").normal(torch.empty(count, *EVENT).double())
    rows: list[list[str]] = []
    for problem, (operator, std) in problems.items():
        y = operator(truth.reshape(1, *EVENT))
        y = y + std * Noise(4, [0]).normal(y)
        wanted, width = exact(mean, cov, operator, y, std)
        free = width > 1e-6
        for name, table in KINDS.items():
            by = build("imputation", dict(table))
            assert isinstance(by, Imputation)
            measurement = Measurement(operator, y, by, std)
            believed = name.startswith(("mmps", "pigdm"))
            if not believed and not name.startswith("dps") and std > 0:
                continue  # replacement knows no noise
            walker = Heun() if believed else Ancestral()
            found, solver = measurement.arrange(denoiser, walker)
            cond = Condition(measured=y.expand(count, *y.shape[1:]))
            x = integrate(solver, found, start, times, cond, noise=noise.child("walk")).flatten(1)
            off = ((x.mean(0) - wanted) / width)[free].square().mean().sqrt()
            ratio = (x.std(0) / width)[free].log().mean().exp()
            rows.append([problem, name, f"{float(off):.2f}", f"{float(ratio):.2f}"])
            result["rows"].append(
                {"problem": problem, "method": name, "mean": float(off), "std": float(ratio)}
            )
            print(" | ".join(rows[-1]), flush=True)
    print(machine.markdown(["problem", "method", "error of the mean", "ratio of stds"], rows))
    machine.finish(result)
    machine.write(given.out, result)
    print(f"wrote {given.out}")


if __name__ == "__main__":
    main()
