"""Reverse variance: fixed small, fixed large, or learned (iDDPM)."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from unnoise.catalogue.ranges import NotNegative
from unnoise.catalogue.registry import register
from unnoise.core.distributions import Normal


class Variance(ABC):
    """Var[x_0 | x_t], as a function of the noise level or from the network itself.

    Attributes:
        outputs: sets of channels that the network gives beside those of the mean, 0 or 1.
    """

    family: ClassVar[str] = "variance"
    outputs: int = 0

    @abstractmethod
    def __call__(self, mean: Tensor, extra: Tensor, alpha: Tensor, sigma: Tensor) -> Normal:
        """The belief p(x_0 | x_t) of this mean, with its variance.

        Arguments:
            mean: its mean, shape (B, *event).
            extra: what the network gave beside, shape (B, outputs C, ...) for events (C, ...).
            alpha, sigma: float64, they broadcast against ``mean`` already.
        """


@register("variance", "point")
@final
@dataclass(frozen=True)
class FixedSmall(Variance):
    """Fixed small reverse variance (DDPM): Var[x_0 | x_t] = 0, exact for DDIM.

    References:
        Ho et al., Denoising diffusion probabilistic models, NeurIPS 2020, section 3.2.
    """

    def __call__(self, mean: Tensor, extra: Tensor, alpha: Tensor, sigma: Tensor) -> Normal:
        return Normal(mean)


@register("variance", "fixed-large")
@final
@dataclass(frozen=True)
class FixedLarge(Variance):
    """Fixed large variance, of Gaussian data: ``sigma^2 / (alpha^2 + sigma^2 precision)``.

    DDPM's "fixed large" variance of a step back, ``beta_t``, is that of ``precision = 1`` where
    alpha^2 + sigma^2 = 1, and that of ``precision = 0`` where alpha = 1.

    Arguments:
        precision: 1 / variance of the modelled data; 0 for data that may be anywhere.

    References:
        Ho et al., Denoising diffusion probabilistic models, NeurIPS 2020, section 3.2.
    """

    precision: NotNegative = 1.0

    def __call__(self, mean: Tensor, extra: Tensor, alpha: Tensor, sigma: Tensor) -> Normal:
        return Normal(mean, _of_gaussian(self.precision, alpha, sigma).to(mean))


@register("variance", "learned-range")
@final
@dataclass(frozen=True)
class LearnedRange(Variance):
    """Learned variance (iDDPM), an interpolation: ``log Var = v log large + (1 - v) log small``.

    Of the reverse variances of "point" and "fixed-large", elementwise; v is the sigmoid of the
    network's second set of channels (made with ``outputs = 2``). "elbo" and "hybrid" train it.

    Arguments:
        precision: 1 / variance of the modelled data, as of "fixed-large".

    References:
        Nichol and Dhariwal, Improved denoising diffusion probabilistic models, ICML 2021, eq. 15
        (v there has no bounds).
    """

    outputs = 1
    precision: NotNegative = 1.0

    def __call__(self, mean: Tensor, extra: Tensor, alpha: Tensor, sigma: Tensor) -> Normal:
        large = _of_gaussian(self.precision, alpha, sigma)
        return Normal(mean, large.to(mean), extra.sigmoid())


def _of_gaussian(precision: float, alpha: Tensor, sigma: Tensor) -> Tensor:
    return sigma**2 / (alpha**2 + sigma**2 * precision)
