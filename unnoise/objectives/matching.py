"""Score matching losses (explicit, implicit, sliced) of any ``score(x)``, and at noise levels.

The functions are the papers' own, half the squared norm, for plain ``score(x)`` of plain data; the
objectives apply them to ``denoiser.score`` at noise levels of a process. There all of them, and
``Regression`` with the same weight, have one expectation up to a constant: Vincent (2011).
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from unnoise.catalogue.ranges import Draws
from unnoise.catalogue.registry import register
from unnoise.core.condition import Given
from unnoise.core.noise import Noise
from unnoise.denoisers import GaussianDenoiser, ScoreModel
from unnoise.objectives.base import Loss, Objective
from unnoise.objectives.times import Times, TimeUniform
from unnoise.objectives.weights import EpsWeight, Weight

Score = Callable[[Tensor], Tensor]


def explicit_score_matching(score: Score, x: Tensor, known: Score) -> Tensor:
    """Explicit score matching: ``1/2 |score(x) - known(x)|^2``, where the score is known.

    Arguments:
        score: gives grad log p of each row, shape (B, *event) -> (B, *event).
        x: data, shape (B, *event).
        known: the true score.

    Returns:
        Shape (B,).

    References:
        Hyvarinen, Estimation of non-normalized statistical models by score matching, JMLR 2005,
        eq. 2.
    """
    return 0.5 * _squared(score(x) - known(x).detach())


def implicit_score_matching(score: Score, x: Tensor) -> Tensor:
    """Implicit score matching: ``tr(d score / dx) + 1/2 |score|^2`` with the exact trace.

    One backward pass per dimension. Its expectation over the data is that of explicit score
    matching, less a constant.

    Arguments:
        score: of each row by itself, differentiable in x, shape (B, *event) -> (B, *event).
        x: data, shape (B, *event).

    Returns:
        Shape (B,), differentiable in the score's weights.

    References:
        Hyvarinen, Estimation of non-normalized statistical models by score matching, JMLR 2005,
        theorem 1.
    """
    size = x[0].numel()
    basis = torch.eye(size, dtype=x.dtype, device=x.device).reshape(size, 1, *x.shape[1:])
    seen, products = _curvature(score, x, basis.expand(size, *x.shape))
    return products.sum(0) + 0.5 * _squared(seen)


def sliced_score_matching(score: Score, x: Tensor, directions: Tensor) -> Tensor:
    """Sliced score matching: ``v . (d score / dx) v + 1/2 (v . score)^2``, averaged over v.

    Arguments:
        score, x: as of ``implicit_score_matching``.
        directions: random, of mean 0 and covariance 1, shape (P, B, *event).

    Returns:
        Shape (B,), differentiable in the score's weights; one backward pass a direction.

    References:
        Song et al., Sliced score matching, UAI 2019, eq. 7.
    """
    seen, products = _curvature(score, x, directions)
    along = (directions * seen).flatten(2).sum(2)
    return (products + 0.5 * along**2).mean(0)


def reduced_sliced_score_matching(score: Score, x: Tensor, directions: Tensor) -> Tensor:
    """Sliced score matching with less variance: ``v . (d score / dx) v + 1/2 |score|^2``.

    Arguments:
        score, x, directions: as of ``sliced_score_matching``.

    Returns:
        Shape (B,), differentiable in the score's weights.

    References:
        Song et al., Sliced score matching, UAI 2019, eq. 8.
    """
    seen, products = _curvature(score, x, directions)
    return products.mean(0) + 0.5 * _squared(seen)


def _squared(v: Tensor) -> Tensor:
    return v.square().flatten(1).sum(1)


def _curvature(score: Score, x: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """The score (B, *event), and v . (d score / dx) v of each direction, (P, B)."""
    teaching = torch.is_grad_enabled()
    # Fused attention cannot be differentiated twice.
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        at = x.detach().requires_grad_()
        seen = score(at)
        products: list[Tensor] = []
        for v in directions:
            (back,) = torch.autograd.grad(seen, at, v, create_graph=teaching, retain_graph=True)
            products.append((back * v).flatten(1).sum(1))
    found = torch.stack(products)
    return (seen, found) if teaching else (seen.detach(), found)


def signs(x: Tensor, count: int, noise: Noise) -> Tensor:
    """Random directions for the sliced losses, -1 or 1, shape (count, B, *event)."""
    return torch.stack([noise.child(i).rademacher(x) for i in range(count)])


class AtLevels(Objective):
    """Score matching at drawn levels: twice a rule of the score, in units of ``mean - x_0``."""

    times: Times
    weight: Weight

    @abstractmethod
    def rule(self, score: Score, x: Tensor, t: Tensor, cond: Given, noise: Noise) -> Tensor:
        """The loss of a score of plain data, of each of the states ``x`` at times ``t``."""

    @final
    def __call__(self, denoiser: GaussianDenoiser, x0: Tensor, cond: Given, noise: Noise) -> Loss:
        process = denoiser.process
        t = self.times.sample(process, noise.child("time"))
        x = process.forward(x0, t).sample(noise.child("forward"))
        found = self.rule(lambda y: denoiser.score(y, t, cond), x, t, cond, noise)
        alpha, sigma = process.scales(t)
        # score = (alpha mean - x) / sigma^2: an error of the score is this much less of the mean's.
        share = self.weight(process, t) * self.times.correction(process, t) * sigma**4 / alpha**2
        value = (2 / x0[0].numel() * share).to(found) * found
        return Loss(value, {"log_snr": process.log_snr(t), "loss": value.detach()})


@final
@dataclass(frozen=True)
class ExplicitScoreMatching(AtLevels):
    """Explicit score matching at all noise levels, for densities whose score is known.

    ``E_t w(t) sigma^4 / alpha^2 |score(x_t, t) - known(x_t, t)|^2``, per dimension. It holds a
    model, so no recipe can name it.

    Arguments:
        known: a model with the true score, e.g. a Mixture.
        times, weight: as of Regression.
    """

    known: ScoreModel
    times: Times = TimeUniform()
    weight: Weight = EpsWeight()

    def rule(self, score: Score, x: Tensor, t: Tensor, cond: Given, noise: Noise) -> Tensor:
        return explicit_score_matching(score, x, lambda y: self.known.score(y, t, cond))


@register("objective", "implicit-score-matching")
@final
@dataclass(frozen=True)
class ImplicitScoreMatching(AtLevels):
    """Implicit score matching at all noise levels, with the exact trace; for small data.

    ``E_t w(t) sigma^4 / alpha^2 (2 tr(d score / dx) + |score|^2)``, per dimension.

    Arguments:
        times, weight: as of Regression, whose expectation this is, less a constant.

    References:
        Hyvarinen, Estimation of non-normalized statistical models by score matching, JMLR 2005,
        theorem 1.
    """

    times: Times = TimeUniform()
    weight: Weight = EpsWeight()

    def rule(self, score: Score, x: Tensor, t: Tensor, cond: Given, noise: Noise) -> Tensor:
        return implicit_score_matching(score, x)


@register("objective", "sliced-score-matching")
@final
@dataclass(frozen=True)
class SlicedScoreMatching(AtLevels):
    """Sliced score matching at all noise levels, by random projections v.

    ``E_t E_v w(t) sigma^4 / alpha^2 (2 v . (d score / dx) v + (v . score)^2)``, per dimension.

    Arguments:
        projections: directions a sample, random signs; each costs a backward pass.
        times, weight: as of Regression, whose expectation this is, less a constant.

    References:
        Song et al., Sliced score matching, UAI 2019, eq. 7.
    """

    projections: Draws = 1
    times: Times = TimeUniform()
    weight: Weight = EpsWeight()

    def rule(self, score: Score, x: Tensor, t: Tensor, cond: Given, noise: Noise) -> Tensor:
        along = signs(x, self.projections, noise.child("direction"))
        return sliced_score_matching(score, x, along)


@register("objective", "reduced-sliced-score-matching")
@final
@dataclass(frozen=True)
class ReducedSlicedScoreMatching(AtLevels):
    """Sliced score matching with reduced variance at all noise levels, by random projections v.

    ``E_t E_v w(t) sigma^4 / alpha^2 (2 v . (d score / dx) v + |score|^2)``, per dimension.

    Arguments:
        projections: directions a sample, random signs; each costs a backward pass.
        times, weight: as of Regression, whose expectation this is, less a constant.

    References:
        Song et al., Sliced score matching, UAI 2019, eq. 8.
    """

    projections: Draws = 1
    times: Times = TimeUniform()
    weight: Weight = EpsWeight()

    def rule(self, score: Score, x: Tensor, t: Tensor, cond: Given, noise: Noise) -> Tensor:
        along = signs(x, self.projections, noise.child("direction"))
        return reduced_sliced_score_matching(score, x, along)
