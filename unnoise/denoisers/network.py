"""A network that has learned to denoise."""

from typing import final

from torch import Tensor

from unnoise.core.broadcast import match
from unnoise.core.condition import Condition
from unnoise.core.distributions import Normal
from unnoise.denoisers.base import GaussianDenoiser
from unnoise.denoisers.heads import Head
from unnoise.denoisers.variance import Point, Variance
from unnoise.networks.base import Network
from unnoise.processes import GaussianProcess


@final
class NetworkDenoiser(GaussianDenoiser):
    """Belief mean = c_skip x + c_out network(c_in x, clock, cond).

    Arguments:
        network: any Network; it is told log SNR and never knows the process.
        process: the Gaussian process it was or will be trained under.
        head: what the network predicts.
        variance: how sure the belief is.

    Raises:
        InputError: the process is no schedule, or the head cannot work under it.
    """

    def __init__(
        self,
        network: Network,
        process: GaussianProcess,
        head: Head,
        variance: Variance | None = None,
    ) -> None:
        super().__init__()
        process.check()
        head.check(process)
        self.network = network
        self.process = process
        self.head = head
        self.variance = Point() if variance is None else variance

    def forward(self, x: Tensor, t: Tensor, cond: Condition | None = None) -> Normal:
        alpha, sigma = self.process.scales(t)
        skip, out, into = (match(c, x).to(x) for c in self.head.scaling(alpha, sigma))
        # The clock stays float32 whatever the network computes in: bfloat16 would keep 507 of
        # 1000 times apart.
        clock = self.head.clock(alpha, sigma).to(x.device).float().expand(len(x))
        seen = self.network(into * x, clock, cond).to(x.dtype)
        return Normal(skip * x + out * seen, self.variance(match(alpha, x), match(sigma, x)))
