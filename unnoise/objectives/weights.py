"""How much an error counts at each noise level: w in ``w |mean - x_0|^2``.

Each named loss of the literature is the squared error of one prediction; in terms of the clean
data it is a number w(alpha, sigma). In float32 the relative error of this form is at most 3e-6
down to sigma = 1e-4, so no other form is needed.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from unnoise.core.ranges import Positive
from unnoise.core.registry import register


class Weight(ABC):
    """The weight of a squared error at a noise level."""

    family: ClassVar[str] = "weight"

    @abstractmethod
    def __call__(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        """w at (alpha, sigma), any shape, float64."""


@register("weight", "eps")
@final
@dataclass(frozen=True)
class EpsWeight(Weight):
    """Error of the noise, ``alpha^2 / sigma^2``: DDPM's simple loss, score SDE's sigma^2."""

    def __call__(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        return (alpha / sigma) ** 2


@register("weight", "x0")
@final
@dataclass(frozen=True)
class X0Weight(Weight):
    """Error of the clean data, 1."""

    def __call__(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        return torch.ones_like(alpha)


@register("weight", "v")
@final
@dataclass(frozen=True)
class VWeight(Weight):
    """Error of v, ``(alpha^2 + sigma^2) / sigma^2`` = SNR + 1 (Salimans and Ho 2022, section 4)."""

    def __call__(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        return (alpha**2 + sigma**2) / sigma**2


@register("weight", "flow")
@final
@dataclass(frozen=True)
class FlowWeight(Weight):
    """Error of eps - x_0, ``(alpha + sigma)^2 / sigma^2``: the loss of rectified flow."""

    def __call__(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        return ((alpha + sigma) / sigma) ** 2


@register("weight", "edm")
@final
@dataclass(frozen=True)
class EDMWeight(Weight):
    """Error of the raw output of the EDM head.

    ``(sigma^2 + alpha^2 sigma_data^2) / (sigma sigma_data)^2``

    Arguments:
        sigma_data: standard deviation of the modelled data; the head's own, for its raw output.

    References:
        Karras et al., Elucidating the design space of diffusion-based generative models,
        NeurIPS 2022, table 1.
    """

    sigma_data: Positive = 0.5

    def __call__(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        return (sigma**2 + (alpha * self.sigma_data) ** 2) / (sigma * self.sigma_data) ** 2
