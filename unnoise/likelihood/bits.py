"""Bits per dimension (bits/dim) from log-densities in nats, with the error bar."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from unnoise.core.errors import InputError


@dataclass(frozen=True)
class Bits:
    """Bits per dimension (bits/dim) of a set of data, with standard error.

    Arguments:
        value: mean over the data.
        standard_error: of the mean, all sources together: data, dequantisation and probes differ
            from datum to datum. Infinite for a single datum.
        each: bits of each datum, shape (B,).
        from_draws: the part of it that dequantisation draws make; infinite with one draw a datum.
        from_probes: the part that probes make; infinite where their spread is not known.
    """

    value: float
    standard_error: float
    each: Tensor
    from_draws: float = math.inf
    from_probes: float = math.inf

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        return f"{self.value:.3f} ± {self.standard_error:.3f} bits/dim (n={len(self.each)})"


def bits_per_dim(
    log_prob: Tensor,
    shape: Sequence[int],
    levels: int = 256,
    low: float = -1.0,
    high: float = 1.0,
    probe_error: Tensor | None = None,
) -> Bits:
    """Bits per dimension of discrete data, from the log-density of its dequantised values.

    ``bits = -(log p + D log width) / (D log 2)`` with the width of a level, (high - low) / levels.

    Arguments:
        log_prob: log-densities in nats of values x = low + (k + u) width with u ~ U(0, 1), shape
            (B,), or (R, B) for R draws of u for each datum.
        shape: event shape; D is its product.
        levels: number of levels.
        low, high: ends of the modelled range.
        probe_error: standard errors of ``log_prob`` from probes, of its shape.

    Returns:
        Bits; its mean is an upper bound of the discrete data's (Theis et al., ICLR 2016, eq. 3).

    Raises:
        InputError: no data, no levels, or an empty range.
    """
    if log_prob.ndim not in (1, 2) or log_prob.numel() == 0:
        raise InputError(
            f"log_prob has shape {tuple(log_prob.shape)}; accepted are (B,) and (R, B), not empty."
        )
    if levels < 1 or not high > low:
        raise InputError(f"levels = {levels} in [{low:g}, {high:g}] is no discrete range.")
    size, rows = math.prod(shape), log_prob.double().reshape(-1, log_prob.shape[-1])
    width = (high - low) / levels
    unit = size * math.log(2)
    each = -(rows.mean(0) / size + math.log(width)) / math.log(2)
    draws, count = rows.shape
    error = float(each.std() / math.sqrt(count)) if count > 1 else math.inf
    from_draws = from_probes = math.inf
    if draws > 1:
        from_draws = float((rows.var(0) / draws).mean().sqrt()) / math.sqrt(count) / unit
    if probe_error is not None:
        within = probe_error.double().reshape(draws, count).square().mean(0) / draws
        from_probes = float(within.mean().sqrt()) / math.sqrt(count) / unit
    return Bits(float(each.mean()), error, each, from_draws, from_probes)
