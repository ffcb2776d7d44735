"""Frechet distance between Gaussians fitted to two sets of features (as in FID)."""

import math
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from unnoise.catalogue.registry import register
from unnoise.evaluation.distances import pair
from unnoise.evaluation.featured import Featured, FeatureMetric


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
