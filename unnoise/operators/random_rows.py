"""Compressed sensing: a random matrix with orthonormal rows."""

import math
from typing import final

import torch
from torch import Tensor

from unnoise.catalogue.ranges import Positive, Shape
from unnoise.catalogue.registry import register
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.operators.base import Projection

_MOST_NUMBERS = 2**27  # in all directions together: a gigabyte in float64


@register("operator", "random-rows")
@final
class RandomRows(Projection):
    """Compressed sensing: measurements by a random matrix with orthonormal rows.

    Arguments:
        shape: of the event.
        share: number of measurements as a share of the event's numbers.
        seed: of the directions.

    References:
        Candes, Romberg and Tao, Robust uncertainty principles, IEEE Trans. Inf. Theory 2006.
    """

    def __init__(self, shape: Shape, share: Positive = 0.25, seed: int = 0) -> None:
        self.shape = tuple(shape)
        size = math.prod(self.shape)
        count = min(size, max(1, round(share * size)))
        if count * size > _MOST_NUMBERS:
            raise InputError(
                f"random rows for events of {size:,} numbers: {count:,} of them are too many; "
                "take a smaller share."
            )
        drawn = Noise(seed, range(count)).child("rows").normal(torch.empty(count, size).double())
        self.rows = torch.linalg.qr(drawn.T).Q.T.contiguous()

    def __call__(self, x: Tensor) -> Tensor:
        if x.shape[1:] != self.shape:
            raise InputError(f"rows for events {self.shape}; given {tuple(x.shape[1:])}.")
        return x.flatten(1) @ self.rows.T.to(x)

    def adjoint(self, y: Tensor) -> Tensor:
        return (y @ self.rows.to(y)).reshape(-1, *self.shape)
