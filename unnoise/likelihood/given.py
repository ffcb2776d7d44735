"""Checks of a likelihood's input data and of its result."""

import math
from typing import Any

import torch
from torch import Tensor

from unnoise.core.broadcast import check_batch
from unnoise.core.errors import InputError, NumbersError


def check_data(x: Any, what: str = "the data", event: tuple[int, ...] | None = None) -> None:
    """Check that ``x`` is a batch of finite modelled values.

    Arguments:
        x: to be a dense tensor of shape (B, *event), B at least 1, floating and finite.
        what: how a refusal calls it.
        event: shape of one; None takes any.

    Raises:
        InputError: it is not.
    """
    if not isinstance(x, Tensor):
        raise InputError(f"{what} is a {type(x).__name__}; give a tensor of shape (B, *event).")
    if x.layout != torch.strided or x.is_meta:
        kind = "meta" if x.is_meta else str(x.layout).removeprefix("torch.")
        raise InputError(f"{what} is a {kind} tensor; give a dense one that holds its numbers.")
    if event is not None and tuple(x.shape[1:]) != event:
        raise InputError(f"data of shape {tuple(x.shape[1:])}; this model knows {event}.")
    if x.ndim and len(x) == 0:
        raise InputError("there is no data; give at least one example.")
    check_batch(x, what)


def check_answer(found: Tensor, what: str, x: Tensor) -> None:
    """Check that a result is finite: neither NaN nor infinite.

    Arguments:
        found: what was computed.
        what: how a refusal calls it.
        x: the data it was computed from.

    Raises:
        NumbersError: it holds NaN or infinite numbers.
    """
    if not bool(torch.isfinite(found).all()):
        most = float(x.detach().abs().max()) if x.numel() else math.nan
        raise NumbersError(
            f"{what} became NaN or infinite; the data reaches {most:.3g}. Give modelled values, or "
            "a model whose weights are sound."
        )
