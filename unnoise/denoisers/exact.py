"""Exact denoisers in closed form: the ground truth that everything else is tested against."""

import math
from typing import final

import torch
from torch import Tensor

from unnoise.core.broadcast import Time, match
from unnoise.core.condition import Given
from unnoise.core.distributions import Categorical, Normal
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.denoisers.base import GaussianDenoiser
from unnoise.processes import GaussianProcess


def _hidden(labels: Tensor | None, cond: Given, batch: int) -> Tensor | None:
    """Which components a label rules out, shape (B, K); None where no sample has a label."""
    if labels is None or cond is None or cond.label is None:
        return None
    return (cond.label[:, None] != labels.to(cond.label.device)) & cond.kept()[:, None]


def _fits(x: Tensor, event: tuple[int, ...]) -> None:
    """Refuse states of another shape than the data's."""
    if x.shape[1:] != event:
        raise InputError(
            f"states have shape {tuple(x.shape)}; this belief is about events of shape "
            f"{tuple(event)}: accepted is (B, {', '.join(map(str, event))})."
        )


@final
class Mixture(GaussianDenoiser):
    """Exact denoiser of a Gaussian mixture (GMM), under any Gaussian process.

    ``p(x_0) = sum_k w_k N(mean_k, cov_k)``.

    Arguments:
        process: any Gaussian process.
        means: component means, shape (K, *event).
        cov: covariances: a number (variance), shape (K,), (K, D) diagonals, or (K, D, D), where D
            is the size of an event.
        weights: shape (K,), positive; equal when absent.
        labels: class of each component, shape (K,), int64; a Condition with labels then asks for
            the components of that class.

    Raises:
        InputError: shapes do not fit.
    """

    def __init__(
        self,
        process: GaussianProcess,
        means: Tensor,
        cov: Tensor | float,
        weights: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.process = process
        self.event = means.shape[1:]
        count, size = means.shape[0], math.prod(self.event)
        covariance = torch.as_tensor(cov, dtype=torch.float64)
        if covariance.shape in ((), (count,), (count, size)):
            diagonal = covariance.reshape(-1, 1) if covariance.ndim == 1 else covariance
            covariance = torch.diag_embed(diagonal.expand(count, size))
        if covariance.shape != (count, size, size):
            raise InputError(
                f"cov has shape {tuple(covariance.shape)}; accepted for {count} components of "
                f"{size} numbers are (), ({count},), ({count}, {size}), ({count}, {size}, {size})."
            )
        weights = torch.ones(count) if weights is None else weights
        if weights.shape != (count,) or not bool((weights > 0).all()):
            raise InputError(f"weights must be {count} positive numbers, one for each component.")
        lam, axes = torch.linalg.eigh(covariance)
        self.labels = labels
        self.register_buffer("means", means.double().reshape(count, size))
        self.register_buffer("variances", lam.clamp(min=0))
        self.register_buffer("axes", axes)
        self.register_buffer("log_weights", (weights.double() / weights.double().sum()).log())
        self.means: Tensor
        self.variances: Tensor
        self.axes: Tensor
        self.log_weights: Tensor

    def _components(
        self, x: Tensor, t: Time, cond: Given
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Per component: log joint (B, K), x in its axes, and the scales it is seen under."""
        _fits(x, self.event)
        alpha, sigma = (c.reshape(-1, 1, 1).to(x.device) for c in self.process.scales(t))
        away = x.double().flatten(1)[:, None] - alpha * self.means
        turned = torch.einsum("bkd,kde->bke", away, self.axes)
        total = alpha**2 * self.variances + sigma**2
        terms = turned**2 / total + torch.log(2 * math.pi * total)
        log_joint = self.log_weights - 0.5 * terms.sum(-1)
        hidden = _hidden(self.labels, cond, len(x))
        if hidden is not None:
            log_joint = log_joint.masked_fill(hidden, -math.inf)
            # Given the class, its components' weights sum to one again.
            log_class = torch.logsumexp(self.log_weights.masked_fill(hidden, -math.inf), 1)
            log_joint = log_joint - log_class[:, None]
        return log_joint, turned, total, alpha, sigma

    def forward(self, x: Tensor, t: Tensor, cond: Given = None) -> Normal:
        log_joint, turned, total, alpha, sigma = self._components(x, t, cond)
        share = log_joint.softmax(1)[..., None]
        gain = alpha * self.variances / total
        mean_k = self.means + torch.einsum("bke,kde->bkd", gain * turned, self.axes)
        var_k = torch.einsum("bke,kde->bkd", sigma**2 * self.variances / total, self.axes**2)
        mean = (share * mean_k).sum(1)
        var = (share * (var_k + (mean_k - mean[:, None]) ** 2)).sum(1)
        return Normal(mean.reshape(x.shape).to(x), var.reshape(x.shape).to(x))

    def log_prob(self, x: Tensor, t: Time = 0.0, cond: Given = None) -> Tensor:
        """log p_t(x) in nats, shape (B,); t = 0 is the data itself."""
        return torch.logsumexp(self._components(x, t, cond)[0], 1).to(x)

    def draw(self, noise: Noise) -> tuple[Tensor, Tensor]:
        """Exact samples of the data and the components they came from.

        Returns:
            (x, k) of shapes (B, *event), float64, and (B,), int64; B is the number of streams.
        """
        batch = len(noise)
        chosen = Categorical(self.log_weights.expand(batch, -1)).sample(noise.child("component"))
        z = noise.child("within").normal(torch.empty(batch, self.means.shape[1]).double())
        scaled = z * self.variances[chosen].sqrt()
        x = self.means[chosen] + torch.einsum("be,bde->bd", scaled, self.axes[chosen])
        return x.reshape(batch, *self.event), chosen

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean (D,) and covariance (D, D) of the data, events flattened."""
        weights = self.log_weights.exp()
        mean = weights @ self.means
        away = self.means - mean
        within = torch.einsum("k,kde,ke,kfe->df", weights, self.axes, self.variances, self.axes)
        return mean, within + torch.einsum("k,kd,ke->de", weights, away, away)


@final
class Empirical(GaussianDenoiser):
    """Exact denoiser of a finite data set (empirical distribution), each element equally likely.

    A network trained to perfection on that set would equal it: it only memorises.

    Arguments:
        process: any Gaussian process.
        data: the set, shape (N, *event).
        labels: classes, shape (N,), int64; a Condition with labels asks for those elements.
    """

    def __init__(
        self, process: GaussianProcess, data: Tensor, labels: Tensor | None = None
    ) -> None:
        super().__init__()
        self.process = process
        self.labels = labels
        self.register_buffer("data", data)
        self.data: Tensor

    def forward(self, x: Tensor, t: Tensor, cond: Given = None) -> Normal:
        _fits(x, self.data.shape[1:])
        alpha, sigma = (match(c, x).to(x.device).reshape(-1, 1) for c in self.process.scales(t))
        known = self.data.double().flatten(1)
        seen = x.double().flatten(1)
        # |x - alpha d|^2 without |x|^2, which every element shares.
        near = alpha * (seen @ known.T) - 0.5 * alpha**2 * (known**2).sum(1)
        logits = near / sigma**2
        hidden = _hidden(self.labels, cond, len(x))
        if hidden is not None:
            logits = logits.masked_fill(hidden, -math.inf)
        share = logits.softmax(1)
        mean = share @ known
        var = (share @ known**2 - mean**2).clamp(min=0)
        return Normal(mean.reshape(x.shape).to(x), var.reshape(x.shape).to(x))
