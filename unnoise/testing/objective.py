"""Contract tests of an objective (training loss)."""

import functools
from abc import ABC
from collections.abc import Callable
from dataclasses import replace
from typing import final

import torch
from torch import Tensor

from unnoise.core.condition import Given
from unnoise.core.distributions import Normal
from unnoise.core.noise import Noise
from unnoise.denoisers import GaussianDenoiser, Mixture
from unnoise.objectives import Objective
from unnoise.processes import GaussianProcess
from unnoise.testing.compare import ManyProcesses

Wrong = Callable[[Tensor, Tensor], Tensor]


@final
class Shifted(GaussianDenoiser):
    """A denoiser whose mean is wrong by ``amount`` times a function of (x, t)."""

    def __init__(self, inner: GaussianDenoiser, wrong: Wrong, amount: Tensor | float) -> None:
        super().__init__()
        self.inner, self.wrong, self.amount = inner, wrong, amount
        self.process = inner.process

    def forward(self, x: Tensor, t: Tensor, cond: Given = None) -> Normal:
        belief = self.inner(x, t, cond)
        return replace(belief, mean=belief.mean + self.amount * self.wrong(x, t))


WRONGS: dict[str, Wrong] = {
    "shifted": lambda x, t: torch.ones_like(x),
    "scaled": lambda x, t: torch.tanh(x),
    "curved": lambda x, t: torch.cos(3 * x),
    "turned": lambda x, t: torch.tanh(x.roll(1, 1)),
    "by level": lambda x, t: (2 * t - 1).to(x)[:, None].expand_as(x),
}


@functools.cache
def _streams(count: int) -> Noise:
    """Streams are pure, and thousands of them take as long to name as to draw from."""
    return Noise(5, range(count))


class ObjectiveContract(ManyProcesses, ABC):
    """Contract tests for every objective (training loss) of a denoiser.

    Attributes:
        make: returns the objective under test.
        count: samples for the statistical laws, which look at five directions on each process.
            At five standard errors a direction gives a false alarm with p = 6e-7; the draws are
            fixed, so an alarm stays or does not come.
    """

    make: Callable[[], Objective]
    count: int = 8000

    def truth(self, process: GaussianProcess) -> Mixture:
        """Exact denoiser of a 2D Gaussian mixture with two unequal components."""
        means = torch.tensor([[0.8, -0.2], [-0.5, 0.4]])
        return Mixture(process, means, torch.tensor([0.04, 0.15]), torch.tensor([1.0, 2.0]))

    def losses(
        self, process: GaussianProcess, wrong: str, amount: Tensor | float, count: int | None = None
    ) -> Tensor:
        """Losses of a denoiser perturbed by ``amount`` in a direction, on common random numbers."""
        truth, noise = self.truth(process), _streams(count or self.count)
        x0, _ = truth.draw(noise.child("data"))
        denoiser = Shifted(truth, WRONGS[wrong], amount)
        return self.make()(denoiser, x0, None, noise.child("loss")).value.double()

    def test_value_of_each_sample(self) -> None:
        """A row's loss does not depend on the rows beside it; it is finite and has a gradient."""
        for process in self.processes():
            truth, noise = self.truth(process), Noise(5, range(6))
            x0, _ = truth.draw(noise.child("data"))
            whole = self.make()(truth, x0, None, noise).value
            halves = [
                self.make()(truth, x0[r], None, noise[r]).value for r in (slice(2), slice(2, 6))
            ]
            assert whole.shape == (6,) and bool(torch.isfinite(whole).all())
            torch.testing.assert_close(torch.cat(halves), whole, rtol=1e-6, atol=1e-9)

    def test_pure(self) -> None:
        process = self.processes()[0]
        assert torch.equal(
            self.losses(process, "shifted", 0.0), self.losses(process, "scaled", 0.0)
        )

    def test_gradient_leads_back(self) -> None:
        """The gradient by autograd, of a denoiser that is wrong either way, points to the truth."""
        process = self.processes()[0]
        for wrong in WRONGS:
            slopes: list[Tensor] = []
            for sign in (1.0, -1.0):
                amount = torch.full((1000, 1), 0.3 * sign, requires_grad=True)
                loss = self.losses(process, wrong, amount, 1000).sum()
                slopes.append(sign * torch.autograd.grad(loss, amount)[0].double())
            # What the draws do to one they do to the other: the sum is twice the curvature.
            both = (slopes[0] + slopes[1])[:, 0]
            assert float(both.mean()) > float(both.std()) / 1000**0.5, (process, wrong)

    def test_exact_denoiser_is_stationary(self) -> None:
        """The derivative of the expected loss is 0 in every direction, within 5 s.e."""
        for process in self.processes():
            for wrong in WRONGS:
                h = 1e-3
                with torch.no_grad():
                    ahead, behind = (self.losses(process, wrong, a) for a in (h, -h))
                slopes = (ahead - behind) / (2 * h)
                error = float(slopes.std()) / self.count**0.5
                assert abs(float(slopes.mean())) < 5 * error, (process, wrong)

    def test_exact_denoiser_is_the_minimiser(self) -> None:
        """A wrong denoiser's expected loss is larger, by more than its s.e. (long tails)."""
        for process in self.processes():
            with torch.no_grad():
                best = self.losses(process, "shifted", 0.0)
            for wrong in WRONGS:
                # Both signs at once: what is left is the curvature.
                with torch.no_grad():
                    pair = [self.losses(process, wrong, a) for a in (0.2, -0.2)]
                growth = (pair[0] + pair[1]) / 2 - best
                error = float(growth.std()) / self.count**0.5
                assert float(growth.mean()) > error, (process, wrong)
