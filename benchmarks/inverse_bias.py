"""How wrong each inverse-problem method is where the truth is known: Gaussian data of 12 numbers,
and a mixture of three Gaussians in the plane.

Half of the numbers are seen, exactly; then three means of four; then five random directions with
noise. Of the mixture a sum is seen, with noise. Error of the posterior's mean (root mean square, in
posterior standard deviations) and the ratio of standard deviations, by 4,000 samples each; the
exact denoiser under VP, 60 steps (the mixture: 200, ancestral).
"""

import argparse
import math
from pathlib import Path
from typing import Any

import machine
import torch
from torch import Tensor

from unnoise import VP, Ancestral, Condition, Heun, Mixture, Noise, RandomRows, grid, integrate
from unnoise.catalogue.registry import build
from unnoise.models import Imputation, Measurement
from unnoise.operators import Downscale, LinearOperator, Mask, Operator

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


MIXTURE_KINDS = {
    "mmps": {"kind": "mmps"},
    "pigdm": {"kind": "pigdm", "data_std": 1.0},
    "dps": {"kind": "dps", "step": 0.1},
    "tds, 4": {"kind": "tds", "particles": 4, "data_std": 1.0},
    "tds, 16": {"kind": "tds", "particles": 16, "data_std": 1.0},
    "tds, 64": {"kind": "tds", "particles": 64, "data_std": 1.0},
}
MEANS = torch.tensor([[-1.5, 1.0], [0.2, -1.2], [1.5, 0.5]]).double()
COVARIANCES = torch.tensor(
    [[[0.3, 0.1], [0.1, 0.1]], [[0.2, -0.1], [-0.1, 0.3]], [[0.15, 0.0], [0.0, 0.15]]]
).double()
WEIGHTS, ROW, STD, SEEN = torch.tensor([0.5, 0.3, 0.2]).double(), (1.0, 0.5), 0.4, 0.3


def mixture_given() -> tuple[Tensor, Tensor]:
    """Mean and standard deviations of the mixture given ROW x + STD eps = SEEN, by Bayes."""
    row = torch.tensor([ROW]).double()
    spread = (row @ COVARIANCES @ row.T)[:, 0, 0] + STD**2
    away = SEEN - (row @ MEANS.T)[0]
    share = (WEIGHTS.log() - 0.5 * (away**2 / spread + spread.log())).softmax(0)
    gain = (COVARIANCES @ row.T)[:, :, 0] / spread[:, None]
    mean_k = MEANS + gain * away[:, None]
    mean = (share[:, None] * mean_k).sum(0)
    var_k = (COVARIANCES - gain[:, :, None] * (row @ COVARIANCES)).diagonal(dim1=1, dim2=2)
    return mean, (share[:, None] * (var_k + (mean_k - mean) ** 2)).sum(0).sqrt()


def of_mixture(count: int) -> list[dict[str, Any]]:
    """The rows of the mixture."""
    wanted, width = mixture_given()
    operator = LinearOperator(lambda x: x @ torch.tensor([ROW]).T.to(x), (2,))
    denoiser = Mixture(VP(), MEANS, COVARIANCES, WEIGHTS)
    noise, times = Noise(5, range(count)), grid(VP(), 200, "logsnr", VP().t_max)
    start = noise.child("start").normal(torch.empty(count, 2).double())
    y = torch.full((count, 1), SEEN).double()
    rows: list[dict[str, Any]] = []
    for name, table in MIXTURE_KINDS.items():
        by = build("imputation", dict(table))
        found, solver = Measurement(operator, y[:1], by, STD).arrange(denoiser, Ancestral())
        cond = Condition(measured=y)
        x = integrate(solver, found, start, times, cond, noise=noise.child("walk"))
        off = float(((x.mean(0) - wanted) / width).square().mean().sqrt())
        ratio = float((x.std(0) / width).log().mean().exp())
        rows.append({"problem": "a mixture", "method": name, "mean": off, "std": ratio})
        print(rows[-1], flush=True)
    return rows


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
    mixed = of_mixture(count)
    result["rows"] += mixed
    rows += [[r["problem"], r["method"], f"{r['mean']:.2f}", f"{r['std']:.2f}"] for r in mixed]
    print(machine.markdown(["problem", "method", "error of the mean", "ratio of stds"], rows))
    machine.finish(result)
    machine.write(given.out, result)
    print(f"wrote {given.out}")


if __name__ == "__main__":
    main()
