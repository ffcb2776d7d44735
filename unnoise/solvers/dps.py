"""Diffusion posterior sampling (Chung et al. 2023)."""

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from unnoise.catalogue.ranges import Positive
from unnoise.core.condition import Given
from unnoise.core.noise import Noise
from unnoise.operators import Operator
from unnoise.processes import GaussianProcess
from unnoise.solvers.base import Leg, Moved, Solver
from unnoise.solvers.repaint import apart
from unnoise.spaces.moments import Moments


@final
@dataclass(frozen=True)
class DPS(Solver):
    """DPS (diffusion posterior sampling): each step adds gradient descent on ``|y - A x0_hat(x)|``.

    Arguments:
        solver: how to step; of one-step solvers any.
        operator: A; ``Condition.measured`` is y.
        step_size: how far, in units of the state; 0.3 to 1 at many steps, more at few.

    References:
        Chung et al., Diffusion posterior sampling for general noisy inverse problems, ICLR 2023,
        algorithm 1 with the step size of appendix C.2.
    """

    solver: Solver
    operator: Operator
    step_size: Positive = 1.0

    def __post_init__(self) -> None:
        calls = self.solver.calls
        self.take_after(self.solver, None if calls is None else calls + 1)

    def numbers(self, process: GaussianProcess, times: Tensor, data: Moments | None) -> list[Leg]:
        return [self.solver.plan(process, times[i : i + 2], data)[0] for i in range(len(times) - 1)]

    def step(
        self, denoiser: Any, x: Tensor, leg: Leg, *, cond: Given, noise: Noise, memory: Any = None
    ) -> Moved:
        known, rest = apart(cond, x)
        with torch.enable_grad():
            probe = x.detach().requires_grad_()
            away = known - self.operator(denoiser(probe, leg.t, rest).mean)
            # No root of zero: its slope is infinite.
            distance = (away.flatten(1).square().sum(1) + 1e-12).sqrt()
            (slope,) = torch.autograd.grad(distance.sum(), probe)
        moved = self.solver.step(denoiser, x, leg.numbers, cond=rest, noise=noise)
        return Moved(moved.x - self.step_size * slope, moved.belief)
