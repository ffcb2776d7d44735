"""Contract tests of a head (parameterisation): what a network's output means."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import final

import torch
from torch import Tensor

from unnoise.core.broadcast import match
from unnoise.core.condition import Given
from unnoise.denoisers import Head, NetworkDenoiser
from unnoise.networks.base import Network
from unnoise.processes import GaussianProcess
from unnoise.testing.compare import ManyProcesses, draw, refusal, times_of, worst


@final
class Oracle(Network):
    """Test double of a network: returns a fixed output, and records its inputs."""

    def __init__(self, answer: Tensor) -> None:
        super().__init__()
        self.reads = frozenset[str]()
        self.shape = tuple(answer.shape[1:])
        self.answer = answer
        self.seen: list[Tensor] = []

    def compute(self, x: Tensor, clock: Tensor, cond: Given) -> Tensor:
        self.seen += [x, clock]
        return self.answer


class HeadContract(ManyProcesses, ABC):
    """Contract tests for every head (parameterisation), under every process.

    Attributes:
        make: returns the head under test.
        spread: standard deviation of the data for which the head scales its inputs to one.
    """

    make: Callable[[], Head]
    spread: float = 1.0

    @abstractmethod
    def target(self, alpha: Tensor, sigma: Tensor, x0: Tensor, eps: Tensor) -> Tensor:
        """Output of a perfect network for x = alpha x0 + sigma eps, by the head's paper."""

    def accepted(self) -> list[GaussianProcess]:
        """Processes that the head does not refuse."""
        return [p for p in self.processes() if not self.refuses(p)]

    def refuses(self, process: GaussianProcess) -> bool:
        """Whether the head refuses a process, with a sentence."""
        said = refusal(lambda: self.make().check(process))
        assert not said or said.endswith(".")
        return bool(said)

    def test_perfect_network_means_perfect_belief(self) -> None:
        for process in self.accepted():
            t = times_of(process)
            x0, eps = draw(len(t), 3, name="x0"), draw(len(t), 3, name="eps")
            alpha, sigma = (match(c, x0) for c in process.scales(t))
            network = Oracle(self.target(alpha, sigma, x0, eps))
            belief = NetworkDenoiser(network, process, self.make())(alpha * x0 + sigma * eps, t)
            # What the noise's rounding is worth in units of the data.
            size = x0.abs() + (sigma / alpha).clamp(max=1e300) * eps.abs()
            assert worst(belief.mean, x0, scale=size) < 1e-13, process

    def test_finite_or_refused(self) -> None:
        for process in self.processes():
            scaling = self.make().scaling(*process.scales(torch.linspace(0, 1, 101)))
            finite = all(bool(torch.isfinite(c).all()) for c in scaling)
            assert finite != self.refuses(process), process

    def test_inputs_have_unit_size(self) -> None:
        """c_in is 1 / standard deviation of x_t, for data of the head's own spread."""
        for process in self.accepted():
            alpha, sigma = process.scales(times_of(process))
            into = self.make().scaling(alpha, sigma).into
            size = (alpha**2 * self.spread**2 + sigma**2).sqrt()
            assert worst(into * size, torch.ones_like(size)) < 1e-12, process

    def test_network_is_told_log_snr(self) -> None:
        """The network's input is log SNR within [-20, 20], in float32, never rising."""
        for process in self.accepted():
            t = torch.cat([torch.zeros(1).double(), times_of(process)])
            network = Oracle(torch.zeros(len(t), 2))
            NetworkDenoiser(network, process, self.make())(torch.zeros(len(t), 2), t)
            clock = network.seen[1]
            assert clock.dtype == torch.float32 and clock.shape == (len(t),)
            assert worst(clock.double(), process.log_snr(t).clamp(-20, 20), scale=1.0) < 2e-6
            assert (clock.diff() <= 0).all()
