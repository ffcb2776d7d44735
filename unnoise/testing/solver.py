"""Contract tests of a solver, on every process."""

import math
from abc import ABC
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from unnoise.core.condition import Condition
from unnoise.core.noise import Noise
from unnoise.processes import GaussianProcess, Process
from unnoise.solvers import Solver, grid, integrate, trajectory
from unnoise.testing.compare import ManyProcesses, draw, refusal
from unnoise.testing.gaussian import Counted, GaussianBelief, affine_walk

END = 0.01  # orders are measured down to here: the step into t = 0 has no smooth order


# A process that is neither Gaussian nor an SDE; nothing of it is ever called.
OnlyAProcess = type("OnlyAProcess", (Process,), dict.fromkeys(Process.__abstractmethods__))


class SolverContract(ManyProcesses, ABC):
    """Contract tests for every solver.

    Attributes:
        make: returns the solver under test.
    """

    make: Callable[[], Solver]

    def start(self, process: GaussianProcess) -> float:
        """Start time for measuring the solver's order of convergence."""
        no_signal = float(process.scales(1.0)[0]) == 0
        return process.t_max if self.make().divides_by_alpha or no_signal else 1.0

    def times(self, process: GaussianProcess, steps: int) -> Tensor:
        """Time grid from ``start`` to END for measuring the order of convergence.

        Even in the angle; for multistep solvers in log SNR, whose coordinate that is, or in
        (sigma / alpha)^(1/7) where their order is odd.

        (On VE, Euler-Maruyama's first-order error cancels on steps that are even in log SNR; there
        the leading errors of odd multistep orders nearly cancel between the ends, on any process.)
        """
        start = self.start(process)
        first, last = (float(process.angle(t)) for t in (start, END))
        made = self.make()
        if made.order == 1 or made.calls != 1:
            angles = torch.linspace(first, last, steps + 1, dtype=torch.float64)
        elif made.order == 3:
            ends = math.tan(first) ** (1 / 7), math.tan(last) ** (1 / 7)
            angles = torch.linspace(*ends, steps + 1, dtype=torch.float64).pow(7).atan()
        else:
            ends = math.log(math.tan(first)), math.log(math.tan(last))
            angles = torch.linspace(*ends, steps + 1, dtype=torch.float64).exp().atan()
        times = process.time(angles)
        times[0], times[-1] = start, END
        return times

    def error(self, process: GaussianProcess, steps: int) -> tuple[float, bool]:
        """Error of the final law on Gaussian data, and whether the solver is stochastic.

        Without randomness the walk itself is compared with the exact flow. Two laws of data: the
        leading term of a single one may happen to vanish.
        """
        found = [self._error(process, steps, spread) for spread in (0.7, 0.3)]
        return max(error for error, _ in found), found[0][1]

    def _error(self, process: GaussianProcess, steps: int, spread: float) -> tuple[float, bool]:
        denoiser, made = GaussianBelief(process, spread=spread, sure=True), self.make()
        started = (made.order or 1) - 1 if made.calls == 1 else 0
        walk = affine_walk(made, denoiser, self.times(process, steps), started)
        (mean, spread), (end_mean, end_spread) = map(denoiser.law, (self.start(process), END))
        shifted = abs(walk.scale * mean + walk.shift - end_mean)
        if not walk.draws:
            return max(shifted, abs(walk.scale * spread - end_spread)), False
        return max(shifted, abs(math.hypot(walk.scale * spread, walk.spread) - end_spread)), True

    def measured_order(self, process: GaussianProcess) -> float:
        """Order of convergence: log2 of the last ratio of errors whose finer one is above 1e-11.

        At most 1,024 steps; 256 where the walk is random: reading it off costs a row for each draw.
        """
        random = self.error(process, 4)[1]
        steps = 256 if random else 512 if self.make().calls != 1 else 1024
        fine, _ = self.error(process, steps)
        while fine < 1e-11 and steps > 64:
            steps //= 2
            fine, _ = self.error(process, steps)
        return math.log2(self.error(process, steps // 2)[0] / fine)

    def test_order(self) -> None:
        """Doubling the steps divides the error by 2^order."""
        declared = self.make().order
        if declared is None:
            return
        # A table has kinks; orders are a matter of smooth schedules.
        for process in (p for p in self.processes() if p.steps is None):
            allowed = 0.1 if self.error(process, 4)[1] else 0.05
            measured = self.measured_order(process)
            assert abs(measured - declared) <= allowed, (process, measured)

    def _walked(self, process: GaussianProcess, x: Tensor, noise: Noise) -> Tensor:
        """Samples by five steps from states."""
        times = grid(process, 5, start=self.start(process))
        return integrate(self.make(), GaussianBelief(process), x, times, noise=noise)

    def test_same_bits_in_any_split(self) -> None:
        """A row's sample does not depend on the other rows of the batch."""
        if self.make().couples_batch:
            return  # that is what it says
        for process in self.processes():
            noise = Noise(3, range(6))
            x = process.prior((6, 4)).sample(noise.child("start"))
            rows = (slice(0, 1), slice(1, 4), slice(4, 6))
            parts = [self._walked(process, x[each], noise[each]) for each in rows]
            assert torch.equal(self._walked(process, x, noise), torch.cat(parts)), process

    def test_pure(self) -> None:
        for process in self.processes():
            noise = Noise(3, range(2))
            x = process.prior((2, 4)).sample(noise.child("start"))
            before, walks = x.clone(), [self._walked(process, x, noise) for _ in range(2)]
            assert torch.equal(*walks) and torch.equal(x, before), process

    def test_any_event(self) -> None:
        """Points, signals and images of the same numbers give the same samples, in float32."""
        for process in self.processes():
            noise = Noise(3, range(3))
            for event in ((2,), (1, 8), (3, 4, 4)):
                x = process.prior((3, *event)).sample(noise.child("start"))
                got, flat = (self._walked(process, v, noise) for v in (x, x.flatten(1)))
                assert got.shape == x.shape and got.dtype == x.dtype == torch.float32
                assert torch.equal(got.flatten(1), flat), (process, event)

    def test_reaches_the_data(self) -> None:
        """From t = 1 (t_max for solvers that divide by alpha) to 0: finite, near the data's law."""
        for process in self.processes():
            start = process.t_max if self.make().divides_by_alpha else 1.0
            denoiser = GaussianBelief(process)
            for steps in (1, 2, 10):
                x = float(process.scales(1.0)[1]) * draw(8, 3)
                end = integrate(self.make(), denoiser, x, grid(process, steps, start=start))
                assert torch.isfinite(end).all(), (process, steps)
            walk = affine_walk(self.make(), denoiser, grid(process, 128, start=start))
            mean, spread = denoiser.law(start)
            assert abs(walk.scale * mean + walk.shift - denoiser.mean) < 0.05, process
            reached = math.hypot(walk.scale * spread, walk.spread)
            assert abs(reached - denoiser.spread) < 0.05, (process, reached)

    def test_declared_calls(self) -> None:
        calls = self.make().calls
        if calls is None:
            return
        for process in self.processes():
            denoiser = Counted(GaussianBelief(process))
            integrate(self.make(), denoiser, draw(2, 3), self.times(process, 7))
            assert denoiser.calls == 7 * calls, process

    def test_memory_is_not_shared(self) -> None:
        """Two trajectories of one solver at the same time do not disturb each other."""
        process = self.processes()[0]
        denoiser, times = GaussianBelief(process), self.times(process, 6)
        solver, x, y = self.make(), draw(2, 3, name="x"), draw(2, 3, name="y")
        pair = zip(*(trajectory(solver, denoiser, v, times) for v in (x, y)), strict=True)
        for start, end in zip((x, y), list(pair)[-1], strict=True):
            assert torch.equal(end.x, integrate(solver, denoiser, start, times))

    def test_refuses_before_the_first_call(self) -> None:
        process = self.processes()[0]
        x, times = draw(2, 3), grid(process, 3, start=self.start(process))
        label = Condition(label=torch.zeros(3, dtype=torch.int64))
        numbers = ([1.0, math.nan, 0.0], [0.5, 0.5, 0.0], [1.5, 0.5, 0.0], [0.5])
        for wrong in (times.flip(0), times[None], *map(torch.tensor, numbers)):
            self.refused(process, x, wrong)
        for wrong in (x * math.nan, x.long(), x.bool(), x[:, 0]):
            self.refused(process, wrong, times)
        self.refused(process, x, times, cond=label)
        self.refused(process, x, times, noise=Noise(0, range(3)))
        if not issubclass(OnlyAProcess, self.make().needs):
            self.refused(OnlyAProcess(), x, times)

    def refused(self, process: Process, x: Tensor, times: Tensor, **how: Any) -> None:
        """Assert that sampling is refused with a sentence, before the denoiser is called."""
        denoiser = Counted(GaussianBelief(self.processes()[0]), process)
        said = refusal(lambda: integrate(self.make(), denoiser, x, times, **how))
        assert said.endswith(".") and denoiser.calls == 0
