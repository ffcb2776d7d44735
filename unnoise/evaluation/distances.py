"""Feature matrices, pairwise and nearest-neighbour distances, in pieces that fit in memory."""

from collections.abc import Iterator

import torch
from torch import Tensor

from unnoise.core.errors import InputError

_ENTRIES = 1 << 22
"""Distances held at once (32 MiB)."""


def matrix(x: Tensor, name: str, least: int = 1) -> Tensor:
    """Check a feature matrix, and return it in float64 on the CPU.

    Arguments:
        x: features, shape (N, D).
        name: what they are, for the message.
        least: smallest N accepted.

    Returns:
        Shape (N, D), float64.

    Raises:
        InputError: another number of dimensions, too few rows, NaN or infinite values.
    """
    if x.ndim != 2 or x.shape[1] < 1 or len(x) < least:
        raise InputError(
            f"{name} features have shape {tuple(x.shape)}; accepted is (N, D) with N >= {least}. "
            "Flatten each example to one row."
        )
    x = x.detach().to("cpu").double()
    if not bool(torch.isfinite(x).all()):
        raise InputError(
            f"{name} features hold NaN or infinite values; no distance to them exists. "
            "Look at the samples, and leave out the broken ones."
        )
    return x


def pair(a: Tensor, b: Tensor, names: tuple[str, str], least: int = 1) -> tuple[Tensor, Tensor]:
    """Check two feature matrices of one width, by ``matrix``.

    Raises:
        InputError: one of them is refused by ``matrix``, or their widths differ.
    """
    a, b = matrix(a, names[0], least), matrix(b, names[1], least)
    if a.shape[1] != b.shape[1]:
        raise InputError(
            f"{names[0]} features have {a.shape[1]} columns, {names[1]} ones {b.shape[1]}; "
            "take both from the same data."
        )
    return a, b


def squared_distances(a: Tensor, b: Tensor) -> Iterator[Tensor]:
    """Pairwise squared distances ``|a_i - b_j|^2``, some rows of ``a`` at a time.

    Arguments:
        a: shape (N, D), float64.
        b: shape (M, D), float64.

    Yields:
        Shape (n, M), never negative; the n add up to N.
    """
    # |a|^2 + |b|^2 - 2 ab is 20 times faster than differences; centring keeps the terms small.
    centre = b.mean(0)
    a, b = a - centre, b - centre
    lengths = b.square().sum(1)
    for rows in a.split(max(1, _ENTRIES // len(b))):
        found = rows.square().sum(1, keepdim=True) + lengths
        yield found.addmm_(rows, b.T, alpha=-2).clamp_(min=0)


def nearest(a: Tensor, b: Tensor) -> Tensor:
    """Nearest-neighbour distance of each row of ``a`` to rows of ``b``, shape (N,), float64."""
    return torch.cat([d.amin(1) for d in squared_distances(a, b)]).sqrt()


def neighbour(a: Tensor, k: int) -> Tensor:
    """Squared distance of each row of ``a`` to its k-th nearest other row, shape (N,), float64.

    Larger by what rounding can do to it, so that an example on the border of a ball is inside:
    pixels have few levels, and borders are hit often.
    """
    # The row itself is always among its k + 1 nearest, at distance 0.
    found = torch.cat(
        [d.topk(k + 1, dim=1, largest=False).values[:, k] for d in squared_distances(a, a)]
    )
    return found + 1e-12 * (found + (a - a.mean(0)).square().sum(1))
