"""Broadcasting of times (one number a sample) against batches, and checks of a batch."""

import torch
from torch import Tensor

from unnoise.core.errors import InputError

Time = Tensor | float  # in [0, 1]: one for all, shape (), or one for each sample, (B,)


def match(t: Tensor, x: Tensor) -> Tensor:
    """View ``t`` so that it broadcasts against the rows of ``x``.

    Arguments:
        t: one number for all, shape (), or one for each sample, shape (B,).
        x: a batch, shape (B, *event).

    Returns:
        ``t`` itself when its shape is (), else a view of shape (B, 1, ..., 1).

    Raises:
        InputError: ``t`` has another shape than () or (B,).
    """
    if t.ndim == 0:
        return t
    if t.ndim != 1 or t.shape[0] != x.shape[0]:
        raise InputError(
            f"times have shape {tuple(t.shape)}; accepted are () or ({x.shape[0]},), "
            "one for each sample."
        )
    return t.reshape(-1, *[1] * (x.ndim - 1))


def double(t: Tensor | float) -> Tensor:
    """A tensor or number as float64: times and schedules never take the data's type."""
    if isinstance(t, Tensor):
        # MPS has no float64; its times are scalars or one per sample, so they may go home.
        return t.cpu().double() if t.device.type == "mps" else t.double()
    return torch.tensor(t, dtype=torch.float64, device="cpu")


def check_batch(x: Tensor, what: str) -> None:
    """Check that a tensor is a batch of finite floating-point numbers, shape (B, *event).

    Arguments:
        x: to be of shape (B, *event), floating and finite.
        what: how a refusal calls it, such as "the starting state".

    Raises:
        InputError: it is not.
    """
    if not x.is_floating_point():
        raise InputError(
            f"{what} is of type {str(x.dtype).removeprefix('torch.')}; accepted are floating "
            "numbers: give x.float() or x.double()."
        )
    if x.ndim < 2:
        raise InputError(
            f"{what} has shape {tuple(x.shape)}; accepted is (B, *event): a batch of one number "
            "each has shape (B, 1)."
        )
    if not bool(torch.isfinite(x).all()):
        raise InputError(f"{what} holds NaN or infinite numbers.")
