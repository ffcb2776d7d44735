"""Gaussian diffusion processes: all that follows from a noise schedule alpha(t), sigma(t).

All of them are one circle. With the angle phi = atan2(sigma, alpha),
``x / sqrt(alpha^2 + sigma^2) = cos(phi) x_0 + sin(phi) eps``; a process is only the pace at which
the circle is walked. Schedules are computed in float64 and cast once.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from unnoise.core.broadcast import Time, double, match
from unnoise.core.distributions import Normal
from unnoise.core.errors import InputError
from unnoise.processes.base import SDE, Local, Process


def _slope(function: Callable[[Tensor], Tensor], t: Tensor) -> Tensor:
    """Derivative of an elementwise function, also where the caller has switched gradients off."""
    # Reverse mode: torch's forward mode imports a compiler (0.7 s) and warns of its deprecation.
    with torch.inference_mode(False), torch.enable_grad():
        at = t.detach().clone().requires_grad_()
        value = function(at)
        if not value.requires_grad:  # a constant, such as alpha = 1
            return torch.zeros_like(t)
        return torch.autograd.grad(value.sum(), at)[0]


def _added(alpha_s: Tensor, sigma_s: Tensor, alpha_t: Tensor, sigma_t: Tensor) -> Tensor:
    """Noise added from s to t: sigma_t^2 (1 - SNR_t / SNR_s), without a difference of squares."""
    fall = 2 * ((alpha_t.log() - sigma_t.log()) - (alpha_s.log() - sigma_s.log()))
    return -torch.expm1(fall) * sigma_t**2


@final
@dataclass(frozen=True)
class LinearLocal(Local):
    """Drift f x and diffusion g of a Gaussian process at one time, as two numbers.

    Arguments:
        pull: f of the drift f x.
        spread: g of the diffusion g dw.
    """

    pull: float
    spread: float

    def back(self, x: Tensor, score: Tensor, size: float, z: Tensor | None) -> Tensor:
        moved = (x * (1 - size * self.pull)).add_(score, alpha=size * self.spread**2)
        return moved if z is None else moved.add_(z, alpha=size**0.5 * self.spread)


@final
@dataclass(frozen=True)
class LinearBridge:
    """Bridge q(x_s | x_t, x_0) = N(keep x_t + coef x_0, lower), averaged over a belief of x_0."""

    keep: float
    coef: float
    lower: float

    def __call__(self, belief: Normal, x: Tensor) -> Normal:
        mean = (self.keep * x).add_(belief.mean, alpha=self.coef)
        return Normal(mean, belief.reverse_var(self.lower, self.coef))


class GaussianProcess(Process, SDE):
    """Gaussian diffusion process: x_t = alpha(t) x_0 + sigma(t) eps with eps ~ N(0, I).

    A subclass gives ``alpha`` and ``sigma`` on (0, 1]; at t = 0 they are 1 and 0 by definition.

    Attributes:
        t_min: the smallest noisy time; grids step from it to 0, likelihoods are of p at t_min.
        t_max: the largest time with alpha > 0; solvers that divide by alpha start there.
    """

    @abstractmethod
    def alpha(self, t: Tensor) -> Tensor:
        """Scale of the data at ``t``, float64, any shape; 1 at t = 0, never negative."""

    @abstractmethod
    def sigma(self, t: Tensor) -> Tensor:
        """Standard deviation of the noise at ``t``, float64, any shape; positive for t > 0."""

    # -- schedules ------------------------------------------------------------------------------

    @final
    def scales(self, t: Time, x: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Noise schedule (alpha, sigma) at ``t``, shape () or (B,).

        Arguments:
            t: times in [0, 1].
            x: a batch (B, *event) to broadcast against, and whose type to take.

        Returns:
            float64 of the shape of ``t``; with ``x``, of its type and ready to multiply it.
        """
        t = double(t)
        clean = t == 0
        alpha = torch.where(clean, torch.ones_like(t), self.alpha(t))
        sigma = torch.where(clean, torch.zeros_like(t), self.sigma(t))
        if x is None:
            return alpha, sigma
        return match(alpha, x).to(x), match(sigma, x).to(x)

    @final
    def rates(self, t: Time) -> tuple[Tensor, Tensor]:
        """Derivatives (d alpha / dt, d sigma / dt), by automatic differentiation, float64."""
        t = double(t)
        return _slope(self.alpha, t), _slope(self.sigma, t)

    @final
    def angle(self, t: Time) -> Tensor:
        """Angle phi = atan2(sigma, alpha): 0 for data, pi/2 for noise alone."""
        alpha, sigma = self.scales(t)
        return torch.atan2(sigma, alpha)

    @final
    def log_snr(self, t: Time) -> Tensor:
        """Log-SNR: log(alpha^2 / sigma^2) = -2 log tan(phi); infinite where sigma or alpha is 0."""
        alpha, sigma = self.scales(t)
        return 2 * (alpha.log() - sigma.log())

    @final
    def time(self, angle: Tensor | float) -> Tensor:
        """The time at which the angle is reached: the inverse of ``angle`` on [t_min, 1].

        Arguments:
            angle: phi in [0, pi/2], any shape; values outside the process's own are clamped.
        """
        knots, angles = self._knots()
        angle = double(angle).clamp(angles[0], angles[-1]).contiguous()
        # A cell of the table by look-up, then the secant method within it.
        cell = torch.searchsorted(angles, angle).clamp(1, len(knots) - 1)
        old, t_off = knots[cell - 1], angles[cell - 1] - angle
        new, off = knots[cell], angles[cell] - angle
        for _ in range(4):
            step = (off * (new - old) / (off - t_off)).nan_to_num(0.0, 0.0, 0.0)
            old, t_off = new, off
            new = (new - step).clamp(self.t_min, 1.0)
            off = self._angle(new) - angle
        missed = off.abs() >= 1e-13
        # Element by element: what one sample needs must not change another's last bits.
        return torch.where(missed, self._bisect(angle), new) if bool(missed.any()) else new

    def _angle(self, t: Tensor) -> Tensor:
        """``angle`` for times above 0."""
        return torch.atan2(self.sigma(t), self.alpha(t))

    def _knots(self) -> tuple[Tensor, Tensor]:
        """A table of (t, angle), denser near the data, made once."""
        if "_table" not in self.__dict__:
            v = torch.linspace(0, 1, 2049, dtype=torch.float64, device="cpu")
            knots = self.t_min + (1 - self.t_min) * v**2
            knots[-1] = 1.0
            object.__setattr__(self, "_table", (knots, self._angle(knots)))
        return self.__dict__["_table"]

    def _bisect(self, angle: Tensor) -> Tensor:
        """``time`` for schedules that the table does not fit: needs only that the SNR falls."""
        low, high = torch.full_like(angle, self.t_min), torch.ones_like(angle)
        for _ in range(60):
            middle = (low + high) / 2
            early = self._angle(middle) < angle
            low, high = torch.where(early, middle, low), torch.where(early, high, middle)
        return (low + high) / 2

    @final
    def check(self) -> None:
        """Check that alpha and sigma are a noise schedule: finite, with the SNR falling in t.

        Raises:
            InputError: alpha or sigma has the wrong shape or sign, is not a number, or the
                signal-to-noise ratio does not fall with time.
        """
        t = torch.linspace(self.t_min, 1.0, 65, dtype=torch.float64, device="cpu")
        for name, value in (("alpha", self.alpha(t)), ("sigma", self.sigma(t))):
            if value.shape != t.shape:
                raise InputError(
                    f"{type(self).__name__}.{name} turned times of shape {tuple(t.shape)} into "
                    f"{tuple(value.shape)}; it must keep the shape (write it with torch functions)."
                )
            bad = ~torch.isfinite(value) | (value < 0)
            if bad.any():
                where = float(t[bad][0])
                raise InputError(
                    f"{type(self).__name__}.{name}({where:.4g}) = {float(value[bad][0]):.4g}; it "
                    "must be finite and not negative."
                )
        angles = self.angle(t)
        if not (angles.diff() > 0).all():
            where = float(t[1:][angles.diff() <= 0][0])
            raise InputError(
                f"the signal-to-noise ratio of {type(self).__name__} does not fall at t = "
                f"{where:.4g}; sigma/alpha must grow from t = 0 (data) to t = 1 (noise)."
            )

    # -- the process of the 2015 and 2020 papers: laws in closed form ---------------------------

    @final
    def prior(self, shape: Sequence[int]) -> Normal:
        _, sigma = self.scales(1.0)
        return Normal(torch.zeros(*shape), float(sigma) ** 2)

    @final
    def forward(self, x0: Tensor, t: Time) -> Normal:
        alpha, sigma = self.scales(t, x0)
        return Normal(alpha * x0, sigma**2)

    @final
    def transition(self, s: Time, t: Time) -> tuple[Tensor, Tensor]:
        """Forward transition q(x_t | x_s) = N(a x_s, v) for s < t.

        Returns:
            (a, v) with a = alpha_t / alpha_s and v = sigma_t^2 - a^2 sigma_s^2, float64.
        """
        alpha_s, sigma_s = self.scales(s)
        alpha_t, sigma_t = self.scales(t)
        return alpha_t / alpha_s, _added(alpha_s, sigma_s, alpha_t, sigma_t)

    @final
    def bridge_scales(
        self, t: Time, s: Time, eta: Tensor | float = 1.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Coefficients of the bridge: q(x_s | x_t, x_0) = N(A x_t + B x_0, lower).

        ``lower = eta^2 sigma_s^2 v / sigma_t^2``, ``A = sqrt(sigma_s^2 - lower) / sigma_t`` and
        ``B = alpha_s - A alpha_t``; eta = 1 is the chain's own posterior (Ho et al. 2020, eq. 6-7),
        eta = 0 is DDIM (Song et al. 2021, eq. 7, 12).

        Returns:
            (A, B, lower), float64.

        Raises:
            InputError: eta outside [0, 1].
        """
        if not 0 <= float(eta) <= 1:
            raise InputError(f"eta = {float(eta):g}: accepted are 0 (DDIM) to 1 (ancestral).")
        alpha_s, sigma_s = self.scales(s)
        alpha_t, sigma_t = self.scales(t)
        v = _added(alpha_s, sigma_s, alpha_t, sigma_t)
        lower = eta**2 * sigma_s**2 * v / sigma_t**2
        keep = (sigma_s**2 - lower).clamp(min=0).sqrt() / sigma_t
        return keep, alpha_s - keep * alpha_t, lower

    @final
    def bridge(self, belief: Normal, x: Tensor, t: Time, s: Time, eta: float = 1.0) -> Normal:
        keep, coef, lower = (match(n, x).to(x) for n in self.bridge_scales(t, s, eta))
        return Normal(keep * x + coef * belief.mean, belief.reverse_var(lower, coef))

    @final
    def bridges(self, times: Tensor) -> list[LinearBridge]:
        rows = torch.stack(self.bridge_scales(times[:-1], times[1:]), 1)
        return [LinearBridge(*row) for row in rows.tolist()]

    # -- the same as an SDE (Song et al. 2021, eq. 5) -------------------------------------------

    @final
    def linear_drift(self, t: Time) -> Tensor:
        """Drift coefficient f(t) of the drift f(t) x: alpha' / alpha, float64."""
        return self.rates(t)[0] / self.scales(t)[0]

    @final
    def drift(self, x: Tensor, t: Time) -> Tensor:
        return match(self.linear_drift(t), x).to(x) * x

    @final
    def diffusion(self, t: Time) -> Tensor:
        """Diffusion coefficient g(t), where L(x, t) = g(t), of the shape of ``t``, float64."""
        (_, sigma), (_, sigma_rate) = self.scales(t), self.rates(t)
        squared = 2 * sigma * sigma_rate - 2 * self.linear_drift(t) * sigma**2
        return squared.clamp(min=0).sqrt()

    @final
    def diffuse(self, x: Tensor, t: Time, z: Tensor) -> Tensor:
        return match(self.diffusion(t), x).to(x) * z

    @final
    def covariance(self, x: Tensor, t: Time, v: Tensor) -> Tensor:
        return match(self.diffusion(t) ** 2, x).to(x) * v

    @final
    def covariance_divergence(self, x: Tensor, t: Time) -> Tensor:
        return torch.zeros_like(x)

    @final
    def local(self, times: Tensor) -> list[LinearLocal]:
        rows = torch.stack([self.linear_drift(times), self.diffusion(times)], 1)
        return [LinearLocal(*row) for row in rows.tolist()]

    @final
    def coordinate(self, t: Time) -> tuple[Tensor, Tensor]:
        """Polar coordinates (rho, phi): the radius sqrt(alpha^2 + sigma^2) and the angle."""
        alpha, sigma = self.scales(t)
        return (alpha**2 + sigma**2).sqrt(), torch.atan2(sigma, alpha)

    # -- the only conversions in the house ------------------------------------------------------

    @final
    def score(self, mean: Tensor, x: Tensor, t: Time) -> Tensor:
        """Score grad log p_t(x) = (alpha mean - x) / sigma^2, with mean = E[x_0 | x_t]."""
        alpha, sigma = self.scales(t, x)
        return (alpha * mean).sub_(x).div_(sigma**2)

    @final
    def noise(self, mean: Tensor, x: Tensor, t: Time) -> Tensor:
        """Noise prediction: expected eps = (x - alpha mean) / sigma."""
        alpha, sigma = self.scales(t, x)
        return (x - alpha * mean) / sigma

    @final
    def velocity(self, mean: Tensor, x: Tensor, t: Time) -> Tensor:
        """Velocity dx/dt of the probability-flow ODE: alpha' mean + sigma' eps."""
        alpha_rate, sigma_rate = (match(rate, x).to(x) for rate in self.rates(t))
        return alpha_rate * mean + sigma_rate * self.noise(mean, x, t)

    @final
    def turning(self, mean: Tensor, x: Tensor, t: Time) -> Tensor:
        """v = d(x / rho) / d(phi) of the same ODE on the unit circle: cos(phi) eps - sin(phi) mean.

        Here rho = sqrt(alpha^2 + sigma^2). Finite at every t > 0 on every process.
        """
        alpha, sigma = self.scales(t, x)
        rho = (alpha**2 + sigma**2).sqrt()
        return (alpha * x / rho - rho * mean) / sigma
