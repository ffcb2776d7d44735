"""The known law (density) of toy data: a Gaussian mixture."""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor


@final
@dataclass(frozen=True)
class Clouds:
    """Mixture of isotropic Gaussians: ``Mixture(process, means, spread**2, weights, labels)``.

    A curve with noise around it is one of many clouds, nearer to each other than they are wide.

    Arguments:
        means: centres of the clouds, shape (K, *event), float64.
        spread: standard deviation of each, > 0.
        weights: shares, shape (K,), positive.
        labels: class of each, shape (K,), int64, or None.
    """

    means: Tensor
    spread: float
    weights: Tensor
    labels: Tensor | None = None


def along(length: float, spread: float) -> Tensor:
    """Even points in [0, 1], enough for Gaussians along a curve of that length to look continuous.

    Arguments:
        length: of the curve, in units of the data.
        spread: standard deviation around it; beads are half of it apart, and at most 4,000.
    """
    count = min(4000, max(50, math.ceil(2 * length / max(spread, 1e-9))))
    return (torch.arange(count, dtype=torch.float64) + 0.5) / count
