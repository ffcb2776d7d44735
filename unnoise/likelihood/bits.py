"""From log-densities in nats to bits a dimension, with the error bar."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from unnoise.core.errors import InputError


@dataclass(frozen=True)
class Bits:
    """Bits a dimension of a set of data.

    Arguments:
        value: mean over the data.
        standard_error: of the mean; NaN for a single datum.
        each: bits of each datum, shape (B,).
    """

    value: float
    standard_error: float
    each: Tensor

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        return f"{self.value:.3f} ± {self.standard_error:.3f} bits/dim (n={len(self.each)})"


def bits_per_dim(
    log_prob: Tensor, shape: Sequence[int], levels: int = 256, low: float = -1.0, high: float = 1.0
) -> Bits:
    """Bits a dimension of discrete data, from the log-density of its dequantised values.

    ``bits = -(log p + D log width) / (D log 2)`` with the width of a level, (high - low) / levels.

    Arguments:
        log_prob: log-densities in nats of values x = low + (k + u) width with u ~ U(0, 1), shape
            (B,).
        shape: event shape; D is its product.
        levels: number of levels.
        low, high: ends of the modelled range.

    Returns:
        Bits; its mean is an upper bound of the discrete data's (Theis et al., ICLR 2016, eq. 3).

    Raises:
        InputError: no data, no levels, or an empty range.
    """
    if log_prob.ndim != 1 or len(log_prob) == 0:
        raise InputError(f"log_prob has shape {tuple(log_prob.shape)}; accepted is (B,), B >= 1.")
    if levels < 1 or not high > low:
        raise InputError(f"levels = {levels} in [{low:g}, {high:g}] is no discrete range.")
    size = math.prod(shape)
    width = (high - low) / levels
    each = -(log_prob.double() / size + math.log(width)) / math.log(2)
    error = float(each.std() / math.sqrt(len(each))) if len(each) > 1 else math.nan
    return Bits(float(each.mean()), error, each)
