"""Score matching losses (explicit, implicit, sliced) of any ``score(x)``, and at noise levels.

The functions are the papers' own, half the squared norm, for plain ``score(x)`` of plain data; the
objectives apply them to ``denoiser.score`` at noise levels of a process. There all of them, and
``Regression`` with the same weight, have one expectation up to a constant: Vincent (2011).
"""

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
        score: of each row by itself, differentiable in x, shape (B, *event) -> (B, *event).
        x: data, shape (B, *event).
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


def _directions(x: Tensor, count: int, noise: Noise) -> Tensor:
    return torch.stack([noise.child(i).rademacher(x) for i in range(count)])


def _at_levels(
    rule: Callable[[Score, Tensor, Tensor], Tensor],
    times: Times,
    weight: Weight,
    denoiser: GaussianDenoiser,
    x0: Tensor,
    cond: Given,
    noise: Noise,
) -> Loss:
    """Twice ``rule(score, x_t, t)`` at drawn levels, in units of the weight of ``mean - x_0``."""
    process = denoiser.process
    t = times.sample(process, noise.child("time"))
    x = process.forward(x0, t).sample(noise.child("forward"))
    found = rule(lambda y: denoiser.score(y, t, cond), x, t)
    alpha, sigma = process.scales(t)
    # score = (alpha mean - x) / sigma^2, so an error of the score is this much less of the mean's.
    share = weight(process, t) * times.correction(process, t) * sigma**4 / alpha**2
    value = (2 / x0[0].numel() * share).to(found) * found
    return Loss(value, {"log_snr": process.log_snr(t), "loss": value.detach()})


@final
@dataclass(frozen=True)
class ExplicitScoreMatching(Objective):
    """Explicit score matching at all noise levels, for densities whose score is known.

    ``E_t w(t) sigma^4 / alpha^2 |score(x_t, t) - known(x_t, t)|^2``, per dimension. It holds a
    model, so no recipe can name it.

    Arguments:
        known: a model with the true score, e.g. a Mixture.
        times: the law of t.
        weight: w(t), as of Regression.
    """

    known: ScoreModel
    times: Times = TimeUniform()
    weight: Weight = EpsWeight()

    def __call__(self, denoiser: GaussianDenoiser, x0: Tensor, cond: Given, noise: Noise) -> Loss:
        def rule(score: Score, x: Tensor, t: Tensor) -> Tensor:
            return explicit_score_matching(score, x, lambda y: self.known.score(y, t, cond))

        return _at_levels(rule, self.times, self.weight, denoiser, x0, cond, noise)


@register("objective", "implicit-score-matching")
@final
@dataclass(frozen=True)
class ImplicitScoreMatching(Objective):
    """Implicit score matching at all noise levels, with the exact trace; for small data.

    ``E_t w(t) sigma^4 / alpha^2 (2 tr(d score / dx) + |score|^2)``, per dimension.

    Arguments:
        times: the law of t.
        weight: w(t), as of Regression, whose expectation this is, less a constant.

    References:
        Hyvarinen, Estimation of non-normalized statistical models by score matching, JMLR 2005,
        theorem 1.
    """

    times: Times = TimeUniform()
    weight: Weight = EpsWeight()

    def __call__(self, denoiser: GaussianDenoiser, x0: Tensor, cond: Given, noise: Noise) -> Loss:
        def rule(score: Score, x: Tensor, t: Tensor) -> Tensor:
            return implicit_score_matching(score, x)

        return _at_levels(rule, self.times, self.weight, denoiser, x0, cond, noise)


@register("objective", "sliced-score-matching")
@final
@dataclass(frozen=True)
class SlicedScoreMatching(Objective):
    """Sliced score matching at all noise levels, by random projections v.

    ``E_t E_v w(t) sigma^4 / alpha^2 (2 v . (d score / dx) v + (v . score)^2)``, per dimension.

    Arguments:
        projections: directions a sample, random signs; each costs a backward pass.
        times: the law of t.
        weight: w(t), as of Regression, whose expectation this is, less a constant.

    References:
        Song et al., Sliced score matching, UAI 2019, eq. 7.
    """

    projections: Draws = 1
    times: Times = TimeUniform()
    weight: Weight = EpsWeight()

    def __call__(self, denoiser: GaussianDenoiser, x0: Tensor, cond: Given, noise: Noise) -> Loss:
        def rule(score: Score, x: Tensor, t: Tensor) -> Tensor:
            along = _directions(x, self.projections, noise.child("direction"))
            return sliced_score_matching(score, x, along)

        return _at_levels(rule, self.times, self.weight, denoiser, x0, cond, noise)


@register("objective", "reduced-sliced-score-matching")
@final
@dataclass(frozen=True)
class ReducedSlicedScoreMatching(Objective):
    """Sliced score matching with reduced variance at all noise levels, by random projections v.

    ``E_t E_v w(t) sigma^4 / alpha^2 (2 v . (d score / dx) v + |score|^2)``, per dimension.

    Arguments:
        projections: directions a sample, random signs; each costs a backward pass.
        times: the law of t.
        weight: w(t), as of Regression, whose expectation this is, less a constant.

    References:
        Song et al., Sliced score matching, UAI 2019, eq. 8.
    """

    projections: Draws = 1
    times: Times = TimeUniform()
    weight: Weight = EpsWeight()

    def __call__(self, denoiser: GaussianDenoiser, x0: Tensor, cond: Given, noise: Noise) -> Loss:
        def rule(score: Score, x: Tensor, t: Tensor) -> Tensor:
            along = _directions(x, self.projections, noise.child("direction"))
            return reduced_sliced_score_matching(score, x, along)

        return _at_levels(rule, self.times, self.weight, denoiser, x0, cond, noise)
