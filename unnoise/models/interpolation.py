"""From data to noise and back along the probability-flow ODE, and between two data."""

import torch
from torch import Tensor

from unnoise.catalogue.ranges import MOST_STEPS, whole
from unnoise.core.condition import Condition
from unnoise.core.errors import InputError
from unnoise.denoisers import GaussianDenoiser
from unnoise.likelihood.given import check_answer
from unnoise.solvers import Solver, grid, integrate


def carry(
    denoiser: GaussianDenoiser,
    x: Tensor,
    cond: Condition | None,
    solver: Solver,
    steps: int,
    outward: bool,
) -> Tensor:
    """Follow the flow between t_min and 1.

    Arguments:
        denoiser: whose flow.
        x: states at the end that is left, shape (B, *event).
        cond: conditions, one row for each.
        solver: one that walks both ways.
        steps: steps between the ends, even in log SNR; a solver with steps of its own needs one.
        outward: from the data to the noise; False walks back.

    Raises:
        InputError: the solver only walks back, or the states hold NaN.
        NumbersError: it ends in NaN or infinite numbers.
    """
    if not solver.both_ways:
        raise InputError(
            f"solver {type(solver).__name__} only walks back; encoding needs one of an ODE that "
            'walks both ways: "dopri5", "euler", "heun" or "rk4".'
        )
    steps = whole(steps, "steps", 1, MOST_STEPS - 1)
    times = grid(denoiser.process, steps + 1)[:-1]
    found = integrate(solver, denoiser, x, times.flip(0) if outward else times, cond)
    check_answer(found, "the state at the end of the flow", x)
    return found


def slerp(a: Tensor, b: Tensor, share: float) -> Tensor:
    """Between two latents along the great circle, norms in a straight line.

    Arguments:
        a, b: shape (B, *event).
        share: 0 gives a, 1 gives b.

    References:
        Shoemake, Animating rotation with quaternion curves, SIGGRAPH 1985.
    """
    norms = [v.flatten(1).norm(dim=1).clamp(min=1e-12) for v in (a, b)]
    flat = [v.flatten(1) / norm[:, None] for v, norm in zip((a, b), norms, strict=True)]
    angle = (flat[0] * flat[1]).sum(1).clamp(-1, 1).acos()[:, None]
    weights = torch.sin((1 - share) * angle), torch.sin(share * angle)
    # Of parallel ones any weights on the line will do.
    near = angle < 1e-4
    first, second = (
        torch.where(near, line, weight / angle.sin().clamp(min=1e-12))
        for line, weight in zip((1 - share, share), weights, strict=True)
    )
    turned = first * flat[0] + second * flat[1]
    norm = torch.lerp(norms[0], norms[1], share)[:, None]
    return (turned * norm).reshape(a.shape)
