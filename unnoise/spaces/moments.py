"""Moments of the data distribution: mean and covariance."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from torch import Tensor

from unnoise.core.errors import InputError


@final
@dataclass(frozen=True)
class Moments:
    """Mean and covariance of the data (of one event), and the Gaussian that has them.

    Arguments:
        mean: shape ``event``.
        variance: of a number around its mean, averaged over the event, > 0.
        covariance: of the flattened event, shape (D, D); None where it is not known, which reads
            as ``variance`` times the identity.

    Raises:
        InputError: shapes do not fit, or numbers are not finite.
    """

    mean: Tensor
    variance: float
    covariance: Tensor | None = None

    def __post_init__(self) -> None:
        size = self.mean.numel()
        if self.covariance is not None and self.covariance.shape != (size, size):
            raise InputError(
                f"covariance has shape {tuple(self.covariance.shape)}; accepted for a mean of "
                f"{size} numbers is ({size}, {size})."
            )
        if not (math.isfinite(self.variance) and self.variance > 0):
            raise InputError(f"variance = {self.variance:g}: give a number above 0.")

    @property
    def size(self) -> int:
        """Dimension D of an event."""
        return self.mean.numel()

    @cached_property
    def _spectrum(self) -> tuple[Tensor, Tensor | None]:
        if self.covariance is None:
            return torch.full((self.size,), self.variance, dtype=torch.float64), None
        lam, axes = torch.linalg.eigh(self.covariance.double().cpu())
        return lam.clamp(min=0), axes

    @property
    def variances(self) -> Tensor:
        """Variances along the principal axes (eigenvalues), shape (D,), float64."""
        return self._spectrum[0]

    @property
    def axes(self) -> Tensor | None:
        """Principal axes in columns, shape (D, D), float64; None where all variances are equal."""
        return self._spectrum[1]

    def turn(self, x: Tensor) -> Tensor:
        """Coordinates of events (B, *event) on the principal axes around the mean, shape (B, D)."""
        away = (x - self.mean.to(x)).flatten(1)
        return away if self.axes is None else away @ self.axes.to(x)

    def back(self, y: Tensor) -> Tensor:
        """Events (B, *event) from such coordinates (B, D): the inverse of ``turn``."""
        away = y if self.axes is None else y @ self.axes.to(y).T
        return away.reshape(-1, *self.mean.shape) + self.mean.to(y)

    def log_prob(self, x: Tensor, alpha: float = 1.0, sigma: float = 0.0) -> Tensor:
        """log N(x; alpha mean, alpha^2 covariance + sigma^2) in nats, shape (B,), float64."""
        away = (x.double() - alpha * self.mean.double().to(x.device)).flatten(1)
        turned = away if self.axes is None else away @ self.axes.to(away)
        total = (alpha**2 * self.variances + sigma**2).to(away)
        terms = turned**2 / total + torch.log(2 * math.pi * total)
        return -0.5 * terms.sum(1)
