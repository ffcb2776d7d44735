"""General Ito SDE from a drift and a diffusion, without closed-form marginals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from unnoise.core.broadcast import Time, double, match
from unnoise.core.distributions import Normal
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.processes.base import SDE, Local

Field = Callable[[Tensor, Tensor], Tensor]
Action = Callable[[Tensor, Tensor, Tensor], Tensor]


@final
@dataclass(frozen=True)
class Asked(Local):
    """A general SDE at one time: drift and diffusion are evaluated at every state.

    Arguments:
        process: the SDE.
        t: the time, shape ().
    """

    process: "SDE"
    t: Tensor

    def back(self, x: Tensor, score: Tensor, size: float, z: Tensor | None) -> Tensor:
        moved = x - size * self.process.reverse_drift(x, self.t, score)
        return moved if z is None else moved + size**0.5 * self.process.diffuse(x, self.t, z)


@final
class ItoSDE(SDE):
    """General Ito SDE dx = drift(x, t) dt + L(x, t) dw, where L too may depend on x.

    L L^T and its divergence follow from L by automatic differentiation: the action of L^T is the
    transpose of the action of L, the divergence takes one product for each number of an event.
    Both are differentiable, as likelihoods and score matching need.

    Arguments:
        drift: f(x, t), shape (B, *event); t has shape () or (B,), float64.
        diffusion: ``diffusion(x, t, z)`` = L(x, t) z, linear in z; for a scalar g(t) that is
            ``lambda x, t, z: g(t) * z``.
        prior_std: standard deviation of the centred normal law at t = 1, > 0.
        t_min: the smallest noisy time, in (0, 1).

    Raises:
        InputError: prior_std or t_min out of range.

    References:
        Song et al., Score-based generative modeling through SDEs, ICLR 2021, appendix A.
    """

    def __init__(
        self, drift: Field, diffusion: Action, prior_std: float = 1.0, t_min: float = 1e-3
    ) -> None:
        if not 0 < prior_std < float("inf"):
            raise InputError(f"prior_std = {prior_std:g}: give a number above 0.")
        if not 0 < t_min < 1:
            raise InputError(f"t_min = {t_min:g}: give a time between 0 and 1.")
        self._drift, self._diffusion = drift, diffusion
        self.prior_std, self.t_min = prior_std, t_min

    def prior(self, shape: Sequence[int]) -> Normal:
        return Normal(torch.zeros(*shape), self.prior_std**2)

    def drift(self, x: Tensor, t: Time) -> Tensor:
        return self._checked(self._drift(x, double(t)), x, "drift")

    def diffuse(self, x: Tensor, t: Time, z: Tensor) -> Tensor:
        return self._checked(self._diffusion(x, double(t), z), x, "diffusion")

    def covariance(self, x: Tensor, t: Time, v: Tensor) -> Tensor:
        with torch.enable_grad():
            z = torch.zeros_like(x).requires_grad_()
            (turned,) = torch.autograd.grad(self.diffuse(x, t, z), z, v, create_graph=True)
        found = self.diffuse(x, t, turned)
        # Who does not differentiate in x must not carry a graph from step to step.
        return found if x.requires_grad or v.requires_grad else found.detach()

    def covariance_divergence(self, x: Tensor, t: Time) -> Tensor:
        parts: list[Tensor] = []
        size = x[0].numel()
        with torch.enable_grad():
            at = x if x.requires_grad else x.detach().requires_grad_()
            for i in range(size):
                axis = torch.zeros_like(x)
                axis.flatten(1)[:, i] = 1
                # Row i of L L^T, which is symmetric, and its divergence by one backward for each j.
                row = self.covariance(at, t, axis).flatten(1)
                total = torch.zeros_like(row[:, 0])
                for j in range(size):
                    if row.requires_grad:
                        (slope,) = torch.autograd.grad(
                            row[:, j].sum(), at, create_graph=True, allow_unused=True
                        )
                        total = total if slope is None else total + slope.flatten(1)[:, j]
                parts.append(total)
        found = torch.stack(parts, 1).reshape(x.shape)
        return found if x.requires_grad else found.detach()

    def local(self, times: Tensor) -> list[Asked]:
        return [Asked(self, t) for t in times.unbind()]

    def coordinate(self, t: Time) -> tuple[Tensor, Tensor]:
        t = double(t)
        return torch.ones_like(t), t

    def time(self, angle: Tensor | float) -> Tensor:
        return double(angle)

    def _checked(self, value: Tensor, x: Tensor, name: str) -> Tensor:
        if value.shape != x.shape:
            raise InputError(
                f"{name} turned states of shape {tuple(x.shape)} into {tuple(value.shape)}; it "
                "must keep the shape."
            )
        return value


def simulate(process: SDE, x0: Tensor, times: Tensor, noise: Noise) -> Tensor:
    """Simulate an SDE forward, from data towards noise, by Euler-Maruyama.

    Arguments:
        process: any SDE.
        x0: states at times[0], shape (B, *event).
        times: rising, shape (N + 1,), or (N + 1, B) for a time of each row's own, float64.
        noise: one stream for each row.

    Returns:
        States at the last time, shape (B, *event).

    Raises:
        InputError: times that do not rise.

    References:
        Kloeden and Platen, Numerical solution of stochastic differential equations, 1992, 9.1.
    """
    times = double(times)
    steps = times.diff(dim=0)
    if not bool((steps > 0).all()):
        raise InputError("times must rise from the data to the noise.")
    x = x0
    for i, step in enumerate(steps):
        # The middle of the step: at t = 0 rates may be infinite.
        t, h, z = times[i] + step / 2, match(step, x).to(x), noise.child(i).normal(x)
        x = x + h * process.drift(x, t) + h.sqrt() * process.diffuse(x, t, z)
    return x


def scalar(g: Callable[[Tensor], Tensor]) -> Action:
    """Scalar diffusion L(x, t) = g(t), as the ``diffusion`` of an ItoSDE."""
    return lambda x, t, z: match(g(t), x).to(x) * z


def diagonal(g: Field) -> Action:
    """Diagonal diffusion L(x, t) = diag(g(x, t)), for an ItoSDE; g keeps the shape of x."""
    return lambda x, t, z: g(x, t) * z


def matrix(g: Field) -> Action:
    """Matrix diffusion L(x, t) = g(x, t) of shape (B, D, D), as the ``diffusion`` of an ItoSDE."""

    def action(x: Tensor, t: Tensor, z: Tensor) -> Tensor:
        return torch.einsum("bde,be->bd", g(x, t), z.flatten(1)).reshape(x.shape)

    return action
