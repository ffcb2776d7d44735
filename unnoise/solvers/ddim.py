"""DDIM (Song et al. 2021), deterministic or with a share of the noise."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from unnoise.catalogue.ranges import Fraction
from unnoise.catalogue.registry import register
from unnoise.processes import GaussianProcess
from unnoise.solvers.base import OneStep


@register("solver", "ddim")
@final
@dataclass(frozen=True)
class DDIM(OneStep):
    """DDIM (denoising diffusion implicit model): deterministic at eta = 0, ancestral at eta = 1.

    Arguments:
        eta: 0 is deterministic (the exponential Euler step of the probability-flow ODE), 1 is
            ancestral sampling.

    References:
        Song et al., Denoising diffusion implicit models, ICLR 2021, eq. 12, 16.
    """

    order = 1

    eta: Fraction = 0.0

    def coefficients(
        self, process: GaussianProcess, t: Tensor, s: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        keep, pull, lower = process.bridge_scales(t, s, self.eta)
        # A deterministic walk passes none of the belief's doubt on.
        return keep, pull, lower, self.eta * pull
