"""A stochastic differential equation without closed form for anything, walked back in time.

Geometric Brownian motion, dx = (s^2 / 2) x dt + s x dw: its noise grows with x. The walk back needs
the divergence of that noise, and finds the log-normal law it came from.

    python examples/general_sde.py
"""

import math

import torch

from unnoise import RK4, EulerMaruyama, ItoSDE, Noise, ScoreFunction, integrate, log_prob
from unnoise.processes import simulate
from unnoise.processes.ito import diagonal

START, NOISE, COUNT = 0.3, 0.8, 20_000


def score(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Of the log-normal law at time t, which is known here; train a network where it is not."""
    return -(1 + x.log() / (START**2 + NOISE**2 * t)) / x


def main() -> None:
    sde = ItoSDE(lambda x, t: NOISE**2 / 2 * x, diagonal(lambda x, t: NOISE * x))
    model, noise = ScoreFunction(sde, score), Noise(0, range(COUNT))
    x0 = (START * noise.child("data").normal(torch.empty(COUNT, 1).double())).exp()
    x1 = simulate(sde, x0, torch.linspace(0, 1, 201).double(), noise.child("out"))
    times = torch.linspace(1, 1e-6, 201).double()
    print("standard deviation of log x")
    print(f"  at the start  {float(x0.log().std()):.4f}   (law: {START})")
    print(f"  at the end    {float(x1.log().std()):.4f}   (law: {math.hypot(START, NOISE):.4f})")
    for name, solver in (("reverse SDE", EulerMaruyama()), ("ODE", RK4())):
        back = integrate(solver, model, x1, times, noise=noise.child(name))
        print(f"  {name:<12}  {float(back.log().std()):.4f}   (law: {START})")

    x = x0[:4]
    found = log_prob(model, x, t=0.05, steps=256, divergence="exact")
    total = START**2 + NOISE**2 * 0.05
    known = -0.5 * (x.log() ** 2 / total + math.log(2 * math.pi * total))[:, 0] - x.log()[:, 0]
    # The walk ends at t = 1 in the log-normal law, not in the SDE's own normal prior.
    end = found.latent
    total = START**2 + NOISE**2
    law = -0.5 * (end.log() ** 2 / total + math.log(2 * math.pi * total))[:, 0] - end.log()[:, 0]
    ours = found.log_prob - sde.prior(end.shape).log_prob(end) + law
    print("log-density at t = 0.05, by the flow and by the law")
    for a, b in zip(ours.tolist(), known.tolist(), strict=True):
        print(f"  {a:8.4f} {b:8.4f}")


if __name__ == "__main__":
    main()
