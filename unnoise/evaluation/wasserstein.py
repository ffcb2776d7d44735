"""Wasserstein distances: of Gaussians fitted to two sets of features (Frechet, FID), and sliced."""

import math
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from unnoise.catalogue.registry import register
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.evaluation.distances import pair
from unnoise.evaluation.metric import Featured, FeatureMetric


@register("metric", "frechet")
@final
@dataclass(frozen=True)
class Frechet(FeatureMetric):
    """Frechet distance (FID, of pixels) of samples to held-out data; see ``frechet_distance``."""

    better: ClassVar = "low"

    def figures(self, drawn: Featured, train: Featured, held_out: Featured) -> dict[str, float]:
        return {"frechet": frechet_distance(drawn.features, held_out.features)}


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Frechet distance: squared 2-Wasserstein distance of Gaussians fitted to two feature sets.

    ``|mu_a - mu_b|^2 + tr(S_a + S_b - 2 (S_a^1/2 S_b S_a^1/2)^1/2)`` with unbiased covariances S
    (divided by N - 1). With S = R^T R, R from a QR decomposition of the centred features, the last
    trace is the sum of the singular values of R_a R_b^T: no root of a nearly singular matrix is
    taken, and the figure is finite and never negative whatever the covariances.

    Arguments:
        a: features, shape (N, D), N >= 2.
        b: features, shape (M, D), M >= 2.

    Returns:
        The distance, >= 0, in squared units of the features. It is biased upwards by finite N and
        M: compare only figures of equal counts.

    Raises:
        InputError: shapes other than these, NaN or infinite values.

    References:
        Dowson and Landau, The Frechet distance between multivariate normal distributions, 1982;
        Heusel et al., GANs trained by a two time-scale update rule, NeurIPS 2017.
    """
    a, b = pair(a, b, ("first", "second"), least=2)
    root_a, root_b = _root(a), _root(b)
    overlap = float(torch.linalg.svdvals(root_a @ root_b.T).sum())
    spread = float(root_a.square().sum() + root_b.square().sum())
    return max(0.0, float((a.mean(0) - b.mean(0)).square().sum()) + spread - 2 * overlap)


def _root(x: Tensor) -> Tensor:
    """R with ``R^T R`` the unbiased covariance of the rows, shape (min(N, D), D)."""
    return torch.linalg.qr((x - x.mean(0)) / math.sqrt(len(x) - 1), mode="r").R


def sliced_wasserstein(a: Tensor, b: Tensor, directions: int = 128) -> float:
    """Sliced 2-Wasserstein distance: exact in one dimension, averaged over fixed directions.

    ``(mean_theta int_0^1 (F_theta^-1(q) - G_theta^-1(q))^2 dq)^1/2`` with F, G the laws of the
    points projected on theta. Two samples of the same law are not at 0: measure that floor too.

    Arguments:
        a: points, shape (N, D).
        b: points, shape (M, D).
        directions: number of directions, >= 1: evenly spaced angles in the plane, otherwise drawn
            once and for all from ``Noise(0)``.

    Returns:
        The distance, >= 0, in the units of the points.

    Raises:
        InputError: no directions, widths that differ, NaN.

    References:
        Rabin et al., Wasserstein barycenter and its application to texture mixing, SSVM 2011.
    """
    if directions < 1:
        raise InputError(f"directions = {directions}; accepted are whole numbers from 1.")
    a, b = pair(a, b, ("first", "second"))
    theta = _directions(directions, a.shape[1])
    first, second = (a @ theta.T).sort(0).values, (b @ theta.T).sort(0).values
    # Both quantile functions are steps, at i/N and j/M: on the common refinement, counted in
    # units of 1/(N M), each is constant.
    n, m = len(a), len(b)
    ends = torch.cat([torch.arange(n + 1) * m, torch.arange(m + 1) * n]).unique()
    start, width = ends[:-1], ends.diff().double() / (n * m)
    gap = (first[start // m] - second[start // n]).square()
    return math.sqrt(float((width @ gap).mean()))


def _directions(count: int, size: int) -> Tensor:
    """Unit vectors, shape (count, size), float64."""
    if size == 2:
        angle = (torch.arange(count).double() + 0.5) * (math.pi / count)
        return torch.stack([angle.cos(), angle.sin()], 1)
    drawn = Noise(0, range(count)).child("directions")
    vectors = drawn.normal(torch.empty(count, size, dtype=torch.float64))
    return vectors / vectors.norm(dim=1, keepdim=True)
