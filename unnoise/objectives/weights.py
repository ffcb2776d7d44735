"""Loss weighting by noise level: w(t) in ``w |mean - x_0|^2``.

Each named loss of the literature is the squared error of one prediction; in terms of the clean
data it is a number w(t) that the process's schedule gives, in float64 and cast once.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from unnoise.catalogue.ranges import Positive
from unnoise.catalogue.registry import register
from unnoise.processes import GaussianProcess
from unnoise.processes.bound import snr_fall


class Weight(ABC):
    """Loss weight w(t) of the squared error ``|mean - x_0|^2`` at a noise level."""

    family: ClassVar[str] = "weight"

    @abstractmethod
    def __call__(self, process: GaussianProcess, t: Tensor) -> Tensor:
        """w at times ``t`` in (0, 1], of the shape of ``t``, float64."""


def _snr(process: GaussianProcess, t: Tensor) -> Tensor:
    alpha, sigma = process.scales(t)
    return (alpha / sigma) ** 2


@register("weight", "eps")
@final
@dataclass(frozen=True)
class EpsWeight(Weight):
    """Noise-loss weight, SNR = ``alpha^2 / sigma^2``: DDPM's simple loss, score SDE's sigma^2."""

    def __call__(self, process: GaussianProcess, t: Tensor) -> Tensor:
        return _snr(process, t)


@register("weight", "x0")
@final
@dataclass(frozen=True)
class X0Weight(Weight):
    """Weight of the clean-data (x0) loss, 1."""

    def __call__(self, process: GaussianProcess, t: Tensor) -> Tensor:
        return torch.ones_like(t, dtype=torch.float64)


@register("weight", "v")
@final
@dataclass(frozen=True)
class VWeight(Weight):
    """Weight of the v-prediction loss, SNR + 1 (Salimans and Ho 2022, section 4)."""

    def __call__(self, process: GaussianProcess, t: Tensor) -> Tensor:
        alpha, sigma = process.scales(t)
        return (alpha**2 + sigma**2) / sigma**2


@register("weight", "flow")
@final
@dataclass(frozen=True)
class FlowWeight(Weight):
    """Weight of the flow-matching loss, of eps - x_0: ``(alpha + sigma)^2 / sigma^2``."""

    def __call__(self, process: GaussianProcess, t: Tensor) -> Tensor:
        alpha, sigma = process.scales(t)
        return ((alpha + sigma) / sigma) ** 2


@register("weight", "edm")
@final
@dataclass(frozen=True)
class EDMWeight(Weight):
    """EDM loss weight: error of the raw output of the EDM head.

    ``(sigma^2 + alpha^2 sigma_data^2) / (sigma sigma_data)^2``

    Arguments:
        sigma_data: standard deviation of the modelled data; the head's own, for its raw output.

    References:
        Karras et al., Elucidating the design space of diffusion-based generative models,
        NeurIPS 2022, table 1.
    """

    sigma_data: Positive = 0.5

    def __call__(self, process: GaussianProcess, t: Tensor) -> Tensor:
        alpha, sigma = process.scales(t)
        return (sigma**2 + (alpha * self.sigma_data) ** 2) / (sigma * self.sigma_data) ** 2


@register("weight", "likelihood")
@final
@dataclass(frozen=True)
class LikelihoodWeight(Weight):
    """Likelihood weighting, score loss times g^2 / 2: ``g^2 alpha^2 / (2 sigma^4)`` = -1/2 dSNR/dt.

    The integral of this loss over t, times the D numbers of an event, is the bound of -log p in
    nats, up to what does not depend on the denoiser. Draw t by "likelihood-importance": evenly
    drawn times see nearly all of it in a few rows.

    References:
        Song et al., Maximum likelihood training of score-based diffusion models, NeurIPS 2021,
        eq. 7; Kingma et al., Variational diffusion models, NeurIPS 2021, eq. 15.
    """

    def __call__(self, process: GaussianProcess, t: Tensor) -> Tensor:
        return snr_fall(process, t) / 2


@register("weight", "min-snr")
@final
@dataclass(frozen=True)
class MinSNRWeight(Weight):
    """Min-SNR weighting: the SNR clipped at ``gamma``, ``min(SNR, gamma)``.

    In terms of the noise's error that is ``min(SNR, gamma) / SNR``.

    Arguments:
        gamma: the ratio above which the error of the clean data counts alike.

    References:
        Hang et al., Efficient diffusion training via min-SNR weighting strategy, ICCV 2023,
        section 3.4.
    """

    gamma: Positive = 5.0

    def __call__(self, process: GaussianProcess, t: Tensor) -> Tensor:
        return _snr(process, t).clamp(max=self.gamma)


@register("weight", "soft-min-snr")
@final
@dataclass(frozen=True)
class SoftMinSNRWeight(Weight):
    """Soft min-SNR weighting, a smooth clip: ``SNR gamma / (SNR + gamma)``.

    Arguments:
        gamma: the ratio at which it has bent by half.

    References:
        Crowson et al., Scalable high-resolution pixel-space image synthesis with hourglass
        diffusion transformers, ICML 2024, section 4.
    """

    gamma: Positive = 5.0

    def __call__(self, process: GaussianProcess, t: Tensor) -> Tensor:
        # 1 / (1 / SNR + 1 / gamma) would do too, but not where SNR = 0.
        snr = _snr(process, t)
        return snr * (self.gamma / (snr + self.gamma))
