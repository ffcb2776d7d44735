"""What a likelihood costs and how exact it is (P8).

Error: log-densities of a 64-dimensional mixture (one Gaussian for each class of scikit-learn's
digits) at sigma = 0.002, exact trace, against the closed form; ours, and the formulation of score
SDE (RK4 in log sigma on x itself, prior N(0, sigma_max^2)), at the same numbers of calls.
Cost: processor time of one evaluation of the ODE and its divergence, in forwards of a U-Net; ours,
and score SDE's way (one forward for the drift, another one for the product with the Jacobian).
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import machine
import pictures
import torch
from solver_error import digits
from torch import Tensor

from unnoise import EDM, Diffusion, Mixture, Moments, Noise, UNet, log_prob

SIGMA = 0.002
CALLS = (32, 48, 64, 96, 128, 192)


def plain(truth: Mixture, x: Tensor, calls: int) -> Tensor:
    """RK4 in log sigma on x, exact trace, prior N(0, sigma_max^2)."""
    high = truth.process.sigma_max
    knots = torch.linspace(math.log(SIGMA), math.log(high), calls // 4 + 1).double().tolist()

    def slope(tau: float, x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            state = x.detach().requires_grad_()
            # dx / dlog sigma = x - x0_hat
            change = state - truth(state, torch.tensor(math.exp(tau) / high).double()).mean
            trace = torch.zeros(len(x)).double()
            for j in range(x.shape[1]):
                (row,) = torch.autograd.grad(change[:, j].sum(), state, retain_graph=True)
                trace += row[:, j]
        return change.detach(), trace

    gain = torch.zeros(len(x)).double()
    for a, b in pairwise(knots):
        h = b - a
        k1, g1 = slope(a, x)
        k2, g2 = slope(a + h / 2, x + h / 2 * k1)
        k3, g3 = slope(a + h / 2, x + h / 2 * k2)
        k4, g4 = slope(b, x + h * k3)
        x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        gain = gain + h / 6 * (g1 + 2 * g2 + 2 * g3 + g4)
    size = x.shape[1]
    return gain - 0.5 * (x.square().sum(1) / high**2 + size * math.log(2 * math.pi * high**2))


def errors(count: int) -> dict[int, dict[str, float]]:
    problem = digits(8)
    truth, t = problem.truth, SIGMA / problem.process.sigma_max
    x0, _ = truth.draw(Noise(0, range(count)))
    x = problem.process.forward(x0, t).sample(Noise(1, range(count)))
    exact = truth.log_prob(x, t)
    found: dict[int, dict[str, float]] = {}
    for calls in CALLS:
        ours = log_prob(truth, x, t=t, steps=calls - 1, divergence="exact", data=problem.moments)
        bare = log_prob(truth, x, t=t, steps=calls - 1, divergence="exact")
        theirs = plain(truth, x, calls)
        found[calls] = {
            "ours": float((ours.log_prob - exact).abs().mean()),
            "ours_without_moments": float((bare.log_prob - exact).abs().mean()),
            "score_sde": float((theirs - exact).abs().mean()),
        }
    return found


def cost(repeats: int, batch: int) -> dict[str, float]:
    """Forwards of the network that one evaluation costs."""
    model = Diffusion(UNet(shape=(3, 32, 32), width=48), EDM())
    denoiser, x = model.denoiser, Noise(0, range(batch)).normal(torch.empty(batch, 3, 32, 32))
    data = Moments(torch.zeros(3, 32, 32), 0.25)
    probe = Noise(1, range(batch)).rademacher(x)
    t = torch.tensor(0.01).double()

    def forward() -> None:
        with torch.no_grad():
            denoiser(x, t)

    def ours() -> None:
        with torch.no_grad():
            log_prob(denoiser, x, steps=3, data=data)

    def theirs() -> None:
        with torch.no_grad():
            denoiser(x, t)
        with torch.enable_grad():
            state = x.detach().requires_grad_()
            (torch.autograd.grad((denoiser(state, t).mean * probe).sum(), state)[0] * probe).sum()

    arms: dict[str, tuple[Callable[[], None], int]] = {
        "forward": (forward, 1),
        "ours": (ours, 4),
        "score_sde": (theirs, 1),
    }
    spent: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(repeats + 1):
        for name, (run, calls) in arms.items():
            began = time.process_time()
            run()
            spent[name].append((time.process_time() - began) / calls)
    middle = {name: statistics.median(values[1:]) for name, values in spent.items()}
    return {name: value / middle["forward"] for name, value in middle.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=64, help="data points of the error")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path, default=machine.HERE / "results" / "likelihood.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    result: dict[str, Any] = machine.describe(["unnoise", "torch"])
    found = errors(given.count)
    names = ["ours", "ours_without_moments", "score_sde"]
    rows = [[str(n), *(f"{row[k]:.1e}" for k in names)] for n, row in found.items()]
    print("mean |error| in nats, 64 dimensions")
    print(machine.markdown(["calls", *names], rows))
    print(
        f"asked: <= .02 at 64 calls ({found[64]['ours']:.4f}), <= .003 at 130 calls (128: ", end=""
    )
    print(f"{found[128]['ours']:.4f})\n")
    spent = cost(given.repeats, 8)
    print("cost of the ODE and its divergence, in forwards of a U-Net (asked: <= 1.9)")
    print(machine.markdown(["arm", "forwards"], [[k, f"{v:.2f}"] for k, v in spent.items()]))
    result |= {"error": found, "forwards": spent}
    machine.finish(result)
    machine.write(given.out, result)
    print(f"wrote {given.out} and {pictures.draw(given.out)}")


if __name__ == "__main__":
    main()
