"""Building blocks of convolutional networks, for signals (B, C, L) and images (B, C, H, W)."""

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from unnoise.networks.embeddings import zero


def convolution(axes: int, into: int, out: int, size: int = 3, stride: int = 1) -> nn.Module:
    """A convolution over one or two axes that keeps the length (at stride 1)."""
    kind = {1: nn.Conv1d, 2: nn.Conv2d}[axes]
    return kind(into, out, size, stride=stride, padding=size // 2)


def norm(channels: int) -> nn.GroupNorm:
    """Group norm with groups of at least four channels, at most 32 groups."""
    groups = next(g for g in range(min(32, max(1, channels // 4)), 0, -1) if channels % g == 0)
    return nn.GroupNorm(groups, channels)


@final
class ResidualBlock(nn.Module):
    """Residual block of two convolutions; the context scales and shifts (adaptive group norm).

    Arguments:
        axes: 1 or 2 spatial axes.
        into, out: channels.
        context: size of the context vector.
        dropout: share silenced in training.
    """

    def __init__(self, axes: int, into: int, out: int, context: int, dropout: float) -> None:
        super().__init__()
        self.first_norm = norm(into)
        self.first = convolution(axes, into, out)
        self.adapt = nn.Linear(context, 2 * out)
        self.second_norm = norm(out)
        self.dropout = nn.Dropout(dropout)
        self.second = zero(convolution(axes, out, out))
        self.skip = nn.Identity() if into == out else convolution(axes, into, out, size=1)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        h = self.first(functional.silu(self.first_norm(x)))
        scale, shift = self.adapt(context)[(...,) + (None,) * (x.ndim - 2)].chunk(2, 1)
        h = functional.silu(self.second_norm(h) * (1 + scale) + shift)
        return self.skip(x) + self.second(self.dropout(h))


@final
class Attention(nn.Module):
    """Self-attention over all positions, with few wide heads (narrow ones are slow on a CPU).

    Arguments:
        channels: channels in and out.
        head: channels of a head, at most.
    """

    def __init__(self, channels: int, head: int = 64) -> None:
        super().__init__()
        self.heads = next(n for n in range(max(1, channels // head), 0, -1) if channels % n == 0)
        self.norm = norm(channels)
        self.read = nn.Linear(channels, 3 * channels)
        self.out = zero(nn.Linear(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.norm(x).flatten(2).transpose(1, 2)
        parts = self.read(tokens).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, keys, values = torch.unbind(parts)
        seen = functional.scaled_dot_product_attention(query, keys, values)
        return x + self.out(seen.transpose(1, 2).flatten(2)).transpose(1, 2).reshape(x.shape)
