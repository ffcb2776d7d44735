"""Patches of neighbouring points as channels, for signals (B, C, L) and images (B, C, H, W)."""

from torch import Tensor


def split(x: Tensor, side: int) -> Tensor:
    """Space to depth (patchify): (B, C, n, ...) as (B, C side^axes, n / side, ...)."""
    axes = x.ndim - 2
    for axis in reversed(range(2, x.ndim)):
        x = x.unflatten(axis, (-1, side))
    inner = [3 + 2 * i for i in range(axes)]
    return x.permute(0, 1, *inner, *(i - 1 for i in inner)).flatten(1, 1 + axes)


def join(x: Tensor, side: int) -> Tensor:
    """Depth to space, inverse of ``split``: (B, C side^axes, n / side, ...) as (B, C, n, ...)."""
    axes = x.ndim - 2
    x = x.unflatten(1, (-1, *[side] * axes))
    pairs = [i for axis in range(axes) for i in (2 + axes + axis, 2 + axis)]
    x = x.permute(0, 1, *pairs)
    for axis in range(2, 2 + axes):
        x = x.flatten(axis, axis + 1)
    return x
