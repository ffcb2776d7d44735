"""Solvers on Gaussian data, where each is an affine map that can be measured exactly."""

from typing import NamedTuple, cast, final

import torch
from torch import Tensor

from unnoise.core.condition import Given
from unnoise.core.distributions import Normal
from unnoise.core.noise import Noise
from unnoise.denoisers import GaussianDenoiser
from unnoise.processes import GaussianProcess, Process
from unnoise.solvers import Solver


@final
class GaussianBelief(GaussianDenoiser):
    """Exact denoiser of Gaussian data N(mean, spread^2), for each number of an event by itself.

    Arguments:
        process: any Gaussian process.
        mean, spread: of each number of the data.
        sure: whether it keeps its doubt to itself, as a network with FixedSmall variance does.
    """

    def __init__(
        self, process: GaussianProcess, mean: float = 0.4, spread: float = 0.7, sure: bool = False
    ) -> None:
        super().__init__()
        self.process = process
        self.mean, self.spread, self.sure = mean, spread, sure

    def forward(self, x: Tensor, t: Tensor, cond: Given = None) -> Normal:
        alpha, sigma = self.process.scales(t, x)
        total = alpha**2 * self.spread**2 + sigma**2
        mean = self.mean + alpha * self.spread**2 / total * (x - alpha * self.mean)
        return Normal(mean, 0.0 if self.sure else sigma**2 * self.spread**2 / total)

    def law(self, t: float) -> tuple[float, float]:
        """Mean and standard deviation of the marginal at ``t``."""
        alpha, sigma = (float(c) for c in self.process.scales(t))
        return alpha * self.mean, (alpha**2 * self.spread**2 + sigma**2) ** 0.5

    def flow(self, x: Tensor, t: float, s: float) -> Tensor:
        """Exact solution of the probability-flow ODE from ``t`` to ``s``."""
        (mean, spread), (end_mean, end_spread) = self.law(t), self.law(s)
        return end_mean + end_spread / spread * (x - mean)


@final
class Counted(GaussianDenoiser):
    """A denoiser that counts its calls (NFE).

    Arguments:
        inner: what answers.
        process: what it says its process is; the inner one's own when absent.
    """

    def __init__(self, inner: GaussianDenoiser, process: Process | None = None) -> None:
        super().__init__()
        self.inner = inner
        self.process = inner.process if process is None else cast(GaussianProcess, process)
        self.calls = 0

    def forward(self, x: Tensor, t: Tensor, cond: Given = None) -> Normal:
        self.calls += 1
        return self.inner(x, t, cond)


@final
class Impulses:
    """Test double of Noise: the k-th draw is 1 in row 2 + k and 0 elsewhere; a path draws once."""

    def __init__(self, rows: int, path: str = "", seen: dict[str, int] | None = None) -> None:
        self.rows, self.path = rows, path
        self.seen: dict[str, int] = {} if seen is None else seen

    def __len__(self) -> int:
        return self.rows

    def child(self, name: str | int) -> "Impulses":
        return Impulses(self.rows, f"{self.path}/{name}", self.seen)

    def normal(self, like: Tensor) -> Tensor:
        row = 2 + self.seen.setdefault(self.path, len(self.seen))
        drawn = torch.zeros_like(like)
        drawn[row : row + 1] = 1
        return drawn


class Affine(NamedTuple):
    """Solver as affine map ``x -> scale x + shift + N(0, spread^2)``, from ``draws`` of noise."""

    scale: float
    shift: float
    spread: float
    draws: int


def affine_walk(
    solver: Solver, denoiser: GaussianBelief, times: Tensor, started: int = 0
) -> Affine:
    """Measure a solver's affine map on Gaussian data by unit inputs and unit draws, float64.

    Arguments:
        solver: any solver that draws normals.
        denoiser: one whose mean is affine in x and whose variance does not depend on x.
        times: descending times.
        started: so many first steps are made on the exact flow, for the memory of a multistep
            solver alone, whose own first steps are of lower order.
    """

    def walk(rows: int) -> tuple[Tensor, int]:
        x = torch.zeros(rows, 1, dtype=torch.float64)
        x[1] = 1
        noise, memory = Impulses(rows), None
        for leg in solver.plan(denoiser.process, times):
            drawn = cast(Noise, noise.child(leg.index))
            moved = solver.step(denoiser, x, leg, cond=None, noise=drawn, memory=memory)
            memory = moved.memory
            if leg.index < started:
                memory = memory.begun_at(x) if solver.looks_back else memory
                x = denoiser.flow(x, float(leg.t), float(leg.s))
            else:
                x = moved.x
        return x[:, 0], len(noise.seen)

    end, draws = walk(2)
    if draws:
        # Rows for every draw; the first walk only counted them.
        end, _ = walk(2 + draws)
    gains = end[2:] - end[0]
    return Affine(float(end[1] - end[0]), float(end[0]), float(gains.square().sum().sqrt()), draws)
