"""A residual multilayer perceptron with adaptive layer norm, for small data."""

import math
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from unnoise.catalogue.ranges import Depth, Examples, Fraction, Several, Shape, Width
from unnoise.catalogue.registry import register
from unnoise.core.condition import Given
from unnoise.core.noise import seeded
from unnoise.networks.base import Network
from unnoise.networks.embeddings import Context, zero


@final
class _Block(nn.Module):
    """h + (1 + gate) Linear(SiLU(Linear(norm(h) (1 + scale) + shift)))."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.into = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(width, width)

    def forward(self, h: Tensor, scale: Tensor, shift: Tensor, gate: Tensor) -> Tensor:
        # addcmul, because at this size every operation costs as much as a small matrix product.
        even = self.norm(h)
        seen = functional.silu(self.into(torch.addcmul(even + shift, even, scale)))
        added = self.out(self.dropout(seen))
        return torch.addcmul(h + added, gate, added)


@final
class Trunk(nn.Module):
    """MLP body: a residual multilayer perceptron without its last layer.

    Arguments:
        size: numbers in.
        width, depth, context, classes, dropout: as of ``MLP``.
    """

    def __init__(
        self,
        size: int,
        width: int,
        depth: int,
        context: int,
        classes: int | None,
        dropout: float,
    ) -> None:
        super().__init__()
        self.context = Context(context, classes)
        # One product for all blocks; chunks of it cost nothing on the way back.
        self.adapt = nn.Linear(context, 3 * width * depth)
        self.into = nn.Linear(size, width)
        self.blocks = nn.ModuleList(_Block(width, dropout) for _ in range(depth))

    def forward(self, x: Tensor, clock: Tensor, cond: Given) -> Tensor:
        """Hidden units, shape (B, width), of inputs (B, size)."""
        adapt = self.adapt(self.context(clock, cond)).chunk(3 * len(self.blocks), 1)
        h = self.into(x)
        for i, block in enumerate(self.blocks):
            h = block(h, *adapt[3 * i : 3 * i + 3])
        return h


@register("network", "mlp")
@final
class MLP(Network):
    """MLP over the flattened event; clock and label act by adaptive layer norm (adaLN).

    Arguments:
        shape: event shape, any number of axes.
        width: hidden units.
        depth: residual blocks.
        context: size of the vector that clock and label become.
        classes: number of labels, None for no labels.
        dropout: share of hidden units silenced in training.
        outputs: sets of the event's channels given: 1, or 2 for a learned variance.
        seed: of the initial weights.

    References:
        Adaptive norm with gates as in Peebles and Xie, Scalable diffusion models with
        transformers, ICCV 2023, section 3.2.
    """

    def __init__(
        self,
        shape: Shape,
        width: Width = 256,
        depth: Depth = 2,
        context: Width = 64,
        classes: Examples | None = None,
        dropout: Fraction = 0.0,
        outputs: Several = 1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.classes = classes
        self.outputs = outputs
        self.reads = frozenset() if classes is None else frozenset({"label"})
        size = math.prod(self.shape)
        with seeded(seed, "weights"):
            self.trunk = Trunk(size, width, depth, context, classes, dropout)
            self.out = zero(nn.Linear(width, outputs * size))

    def compute(self, x: Tensor, clock: Tensor, cond: Given) -> Tensor:
        h = self.trunk(x.flatten(1), clock, cond)
        return self.out(h).reshape(len(x), self.outputs * x.shape[1], *x.shape[2:])
