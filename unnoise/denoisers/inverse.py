"""Posterior denoisers for linear inverse problems: pseudo-inverse guidance, moment matching.

``y = A x_0 + std eps``. By Bayes' rule at the level of the score (see ``Guided``), with
``p(y | x_t)`` taken as the normal law ``N(A x0_hat, std^2 + A C A^T)``: the methods differ in what
they hold C, the covariance of the belief about x_0, to be.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from unnoise.catalogue.ranges import Draws, NotNegative, Positive
from unnoise.core.broadcast import match
from unnoise.core.condition import Given
from unnoise.core.errors import InputError
from unnoise.denoisers.base import GaussianDenoiser, Tilt, Tilted
from unnoise.operators import Operator

Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Seen:
    """Inputs of a posterior approximation at one state: residual, operator, scales.

    Arguments:
        away: ``y - A x0_hat``, shape (B, *measurement).
        operator: A.
        variance: std^2 of the measurement.
        alpha, sigma: scales of the state, ready to broadcast against events.
        tweedie: events -> events: ``sigma^2 / alpha (d x0_hat / d x)^T v``, the covariance of an
            exact belief applied to v.
    """

    away: Tensor
    operator: Operator
    variance: float
    alpha: Tensor
    sigma: Tensor
    tweedie: Map


class Method(ABC):
    """Approximation of the likelihood p(y | x_t), whose score guides the belief."""

    @abstractmethod
    def weigh(self, seen: Seen) -> Tensor:
        """Guidance vector v, shape (B, *measurement), of ``mean + tweedie(A^T v)``."""


@final
@dataclass(frozen=True)
class PiGDM(Method):
    """Pseudo-inverse guidance: C is isotropic, ``r^2 = s^2 sigma^2 / (alpha^2 s^2 + sigma^2)``.

    Arguments:
        data_std: s, the standard deviation of the data.
        iterations: of conjugate gradients; one is exact where A A^T is a multiple of the identity.

    References:
        Song et al., Pseudoinverse-guided diffusion models for inverse problems, ICLR 2023, eq. 7.
    """

    data_std: Positive = 0.5
    iterations: Draws = 5

    def weigh(self, seen: Seen) -> Tensor:
        signal, noise = (seen.alpha * self.data_std) ** 2, seen.sigma**2
        spread = self.data_std**2 * noise / (signal + noise)
        return _solved(seen, lambda v: spread * v, self.iterations)


@final
@dataclass(frozen=True)
class MMPS(Method):
    """Moment matching: C is the belief's own covariance, by Tweedie's formula. Exact on Gaussians.

    Arguments:
        iterations: of conjugate gradients, each a derivative of the network. With a network's own
            derivative, which is no exact covariance, more of them magnify its errors.

    References:
        Rozet et al., Learning diffusion priors from observations by expectation maximization,
        NeurIPS 2024, section 4.2.
    """

    iterations: Draws = 1

    def weigh(self, seen: Seen) -> Tensor:
        return _solved(seen, seen.tweedie, self.iterations)


def _solved(seen: Seen, covariance: Map, iterations: int) -> Tensor:
    """``(std^2 + A C A^T)^-1 (y - A x0_hat)`` of each row, by conjugate gradients from 0."""

    def product(v: Tensor) -> Tensor:
        spread = seen.operator(covariance(seen.operator.adjoint(v)))
        return seen.variance * v + spread

    def dot(a: Tensor, b: Tensor) -> Tensor:
        return match((a * b).flatten(1).sum(1), a)

    v = torch.zeros_like(seen.away)
    left = direction = seen.away
    length = dot(left, left)
    tiny = torch.finfo(length.dtype).tiny
    for _ in range(iterations):
        turned = product(direction)
        bend = dot(direction, turned)
        # A row that is solved stays where it is; so does one whose covariance, as a network has
        # it, is none in this direction.
        going = bend > 0
        step = torch.where(going, length / bend.clamp(min=tiny), 0.0)
        v = v + step * direction
        left = left - step * turned
        after = dot(left, left)
        direction = torch.where(going, left + after / length.clamp(min=tiny) * direction, 0.0)
        length = after
    return v


@final
class Posterior(Tilted):
    """Posterior denoiser, p(x_0 | x_t, y) approximately, of y = ``Condition.measured``.

    ``mean + sigma^2 / alpha (d mean / d x)^T A^T v`` with v by the method.

    Arguments:
        inner: any denoiser, unconditional or not.
        operator: A.
        method: PiGDM or MMPS.
        std: standard deviation of the measurement's noise.

    Raises:
        InputError: when asked without a measurement, or with one of another shape.
    """

    def __init__(
        self,
        inner: GaussianDenoiser,
        operator: Operator,
        method: Method | None = None,
        std: NotNegative = 0.0,
    ) -> None:
        super().__init__()
        self.inner, self.operator, self.std = inner, operator, std
        self.process = inner.process
        self.method: Method = MMPS() if method is None else method

    def tilt(self, x: Tensor, t: Tensor, cond: Given = None) -> Tilt:
        if cond is None or cond.measured is None:
            raise InputError("nothing was measured; give Condition(measured=...).")
        alpha, sigma = self.process.scales(t, x)
        if not bool((alpha > 0).all()):
            raise InputError(
                "what was measured divides by alpha, which is 0 at t = 1 under "
                f"{type(self.process).__name__}; start at t = {self.process.t_max:g}."
            )
        further = x.requires_grad
        with torch.enable_grad():
            probe = x if further else x.detach().requires_grad_()
            belief = self.inner(probe, t, replace(cond, measured=None))
            mean = belief.mean

            def tweedie(v: Tensor) -> Tensor:
                (pulled,) = torch.autograd.grad(
                    mean, probe, v, retain_graph=True, create_graph=further
                )
                return sigma**2 / alpha * pulled

            plain = belief if further else belief.detach()
            away = cond.measured.to(x) - self._measured(plain.mean, cond.measured)
            seen = Seen(away, self.operator, self.std**2, alpha, sigma, tweedie)
            weighed = self.method.weigh(seen)
            pull = tweedie(self.operator.adjoint(weighed))
            # log N(y; A mean, std^2 + A C A^T) but for its determinant, which depends on t alone
            # where C does; where it does not, the weight still ends at the true one.
            fit = -0.5 * (away * weighed).detach().flatten(1).sum(1)
        return Tilt(plain, replace(plain, mean=plain.mean + pull), fit)

    def _measured(self, x: Tensor, like: Tensor) -> Tensor:
        y = self.operator(x)
        if y.shape != like.shape:
            raise InputError(
                f"measured has shape {tuple(like.shape)}; {type(self.operator).__name__} of "
                f"{tuple(x.shape)} gives {tuple(y.shape)}."
            )
        return y
