"""How sure a network denoiser is: the variance of its belief, beside the mean."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from unnoise.core.registry import register


class Variance(ABC):
    """Var[x_0 | x_t] as a function of the noise level."""

    family: ClassVar[str] = "variance"

    @abstractmethod
    def __call__(self, alpha: Tensor, sigma: Tensor) -> Tensor | float:
        """The variance, broadcastable against x; ``alpha`` and ``sigma`` broadcast already."""


@register("variance", "point")
@final
@dataclass(frozen=True)
class Point(Variance):
    """No doubt at all: the "fixed small" variance of DDPM's reverse chain, exact for DDIM.

    References:
        Ho et al., Denoising diffusion probabilistic models, NeurIPS 2020, section 3.2.
    """

    def __call__(self, alpha: Tensor, sigma: Tensor) -> Tensor | float:
        return 0.0
