"""Contract tests of a denoiser, and so of everything that wraps one."""

from abc import ABC
from collections.abc import Callable

import torch

from unnoise.denoisers import GaussianDenoiser
from unnoise.processes import GaussianProcess
from unnoise.testing.compare import ManyProcesses, draw, worst


class DenoiserContract(ManyProcesses, ABC):
    """Contract tests for every denoiser of a Gaussian process.

    Attributes:
        make: ``make(process, event)`` returns the denoiser under test for events of a shape.
        events: the event shapes to try.
    """

    make: Callable[[GaussianProcess, tuple[int, ...]], GaussianDenoiser]
    events: tuple[tuple[int, ...], ...] = ((2,), (1, 8), (3, 4, 4))

    def cases(self) -> list[tuple[GaussianDenoiser, tuple[int, ...]]]:
        """A denoiser for every process and event shape."""
        return [(self.make(p, event), event) for p in self.processes() for event in self.events]

    def test_belief_is_about_each_number(self) -> None:
        for denoiser, event in self.cases():
            for kind in (torch.float32, torch.float64):
                x = draw(3, *event).to(kind)
                belief = denoiser(x, torch.tensor(0.4).double())
                assert belief.mean.shape == x.shape and belief.mean.dtype == kind
                assert belief.variance.shape == x.shape and (belief.variance >= 0).all()
                assert torch.isfinite(belief.mean).all()

    def test_rows_are_independent(self) -> None:
        """A row's belief does not depend on the other rows or on their times."""
        for denoiser, event in self.cases():
            x, t = draw(3, *event), torch.tensor([0.2, 0.5, 0.8]).double()
            together = denoiser(x, t)
            for i in range(3):
                alone = denoiser(x[i : i + 1], t[i])
                assert worst(together.mean[i], alone.mean[0], scale=1.0) < 1e-12
                assert worst(together.variance[i], alone.variance[0], scale=1.0) < 1e-12

    def test_events_are_only_arranged(self) -> None:
        """A point, a signal and an image of the same numbers are believed the same."""
        for process in self.processes():
            x = draw(3, 8)
            flat = self.make(process, (8,))(x, torch.tensor(0.4).double())
            signal = self.make(process, (1, 8))(x[:, None], torch.tensor(0.4).double())
            assert worst(signal.mean.flatten(1), flat.mean, scale=1.0) < 1e-12

    def test_score_noise_and_velocity_agree(self) -> None:
        """x = alpha mean + sigma eps, score = -eps / sigma, velocity = f x - g^2 score / 2."""
        for denoiser, event in self.cases():
            process = denoiser.process
            x, t = draw(3, *event), torch.tensor(0.6).double()
            alpha, sigma = process.scales(t, x)
            mean, eps = denoiser(x, t).mean, denoiser.noise(x, t)
            assert worst(alpha * mean + sigma * eps, x, scale=1 + sigma) < 1e-12
            assert worst(denoiser.score(x, t), -eps / sigma, scale=1 / sigma) < 1e-12
            flow = process.drift(x, t) - process.diffusion(t) ** 2 / 2 * denoiser.score(x, t)
            assert worst(denoiser.velocity(x, t), flow, scale=1 + flow.abs()) < 1e-10

    def test_differentiable(self) -> None:
        """Likelihoods need the derivative in x: it equals a central difference."""
        for denoiser, event in self.cases():
            t, along = torch.tensor(0.5).double(), draw(2, *event, name="along")
            x = draw(2, *event).requires_grad_()
            (slope,) = torch.autograd.grad(denoiser(x, t).mean.sum(), x)
            h, x = 1e-5, x.detach()
            ahead = denoiser(x + h * along, t).mean.detach()
            behind = denoiser(x - h * along, t).mean.detach()
            wanted = (ahead - behind).flatten(1).sum(1) / (2 * h)
            assert worst((slope * along).flatten(1).sum(1), wanted, scale=1.0) < 1e-6
