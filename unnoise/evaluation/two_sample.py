"""Sliced Wasserstein distance between two sets of points: for data in the plane."""

import math

import torch
from torch import Tensor

from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.evaluation.distances import pair


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
