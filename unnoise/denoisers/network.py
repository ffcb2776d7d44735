"""Denoiser from a neural network: parameterisation (head), preconditioning, variance."""

from typing import final

import torch
from torch import Tensor

from unnoise.core.broadcast import match
from unnoise.core.condition import Given
from unnoise.core.distributions import Normal
from unnoise.core.errors import InputError
from unnoise.denoisers.base import GaussianDenoiser
from unnoise.denoisers.heads import Head, clock
from unnoise.denoisers.variance import FixedSmall, Variance
from unnoise.networks.base import Network
from unnoise.processes import GaussianProcess


@final
class NetworkDenoiser(GaussianDenoiser):
    """Preconditioned network denoiser: mean = c_skip x + c_out network(c_in x, clock, cond).

    A network with more outputs gives the mean's first; the variance reads the rest.

    Arguments:
        network: any Network; it is told log SNR and never knows the process.
        process: the Gaussian process it was or will be trained under.
        head: what the network predicts.
        variance: how sure the belief is.

    Raises:
        InputError: the process is no schedule, the head cannot work under it, or the network has
            not the outputs that the variance asks for.
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
        self.variance = FixedSmall() if variance is None else variance
        wanted = 1 + self.variance.outputs
        if network.outputs != wanted:
            raise InputError(
                f"variance {type(self.variance).__name__} reads {wanted} sets of channels; this "
                f"{type(network).__name__} gives {network.outputs}. Make it with outputs = "
                f"{wanted}, or choose another variance."
            )

    def forward(self, x: Tensor, t: Tensor, cond: Given = None) -> Normal:
        alpha, sigma = self.process.scales(t)
        skip, out, into = (match(c, x).to(x) for c in self.head.scaling(alpha, sigma))
        # The clock stays float32 whatever the network computes in: bfloat16 would keep 507 of
        # 1000 times apart.
        told = clock(alpha, sigma).to(x.device).float().expand(len(x))
        weight = next(self.network.parameters(), None)
        # A state in float32 is computed on in whatever the network was made or turned into.
        kind = x.dtype if weight is None or x.dtype == torch.float64 else weight.dtype
        seen = self.network((into * x).to(kind), told, cond).to(x.dtype)
        seen, extra = seen.tensor_split([x.shape[1]], 1)
        levels = (match(c, x).to(x.device) for c in (alpha, sigma))
        return self.variance(skip * x + out * seen, extra, *levels)
