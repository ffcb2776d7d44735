"""A small U-Net for images and signals."""

from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from unnoise.catalogue.ranges import Examples, Fraction, Multipliers, Several, Shape, Width
from unnoise.catalogue.registry import register
from unnoise.core.condition import Given
from unnoise.core.noise import seeded
from unnoise.networks.base import Network
from unnoise.networks.blocks import Attention, ResidualBlock, convolution, norm
from unnoise.networks.descent import Descent, layers
from unnoise.networks.embeddings import Context, zero
from unnoise.networks.patches import join


@register("network", "unet")
@final
class UNet(Network):
    """U-Net: residual blocks down and up, skip connections, attention at the lowest resolution.

    Arguments:
        shape: event shape (C, L) or (C, H, W); every length divisible by patch 2^(levels - 1).
        width: channels at full resolution.
        multipliers: channels of each level in units of ``width``; each level halves the length.
        blocks: residual blocks of a level, on each way.
        classes: number of labels, None for no labels.
        dropout: share of channels' entries silenced in training.
        outputs: sets of the event's channels given: 1, or 2 for a learned variance.
        patch: side of the squares of pixels that are taken as one; 2 is about three times as fast.
        seed: of the initial weights.

    Raises:
        InputError: the shape does not fit.

    References:
        Ho et al., Denoising diffusion probabilistic models, NeurIPS 2020, appendix B; scale and
        shift as in Dhariwal and Nichol, 2021, section 3; patches as in Hoogeboom et al., Simple
        diffusion, ICML 2023, section 3.3.
    """

    def __init__(
        self,
        shape: Shape,
        width: Width = 32,
        multipliers: Multipliers = (1, 2),
        blocks: Several = 1,
        classes: Examples | None = None,
        dropout: Fraction = 0.0,
        outputs: Several = 1,
        patch: Several = 1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.classes = classes
        self.outputs, self.patch = outputs, patch
        self.reads: Any = frozenset() if classes is None else frozenset({"label"})
        axes = len(self.shape) - 1
        context = 4 * width
        sizes = [width * m for m in multipliers]

        def block(into: int, out: int) -> ResidualBlock:
            return ResidualBlock(axes, into, out, context, dropout)

        with seeded(seed, "weights"):
            self.context = Context(context, classes)
            self.descent = Descent(self.shape, width, sizes, blocks, context, dropout, patch)
            self.up, self.grow = nn.ModuleList(), nn.ModuleList()
            skips, now = list(self.descent.skips), sizes[-1]
            self.middle = nn.ModuleList([block(now, now), Attention(now), block(now, now)])
            for level, size in reversed(list(enumerate(sizes))):
                stage = nn.ModuleList()
                for _ in range(blocks + 1):
                    stage.append(block(now + skips.pop(), size))
                    now = size
                self.up.append(stage)
                if level:
                    # To fewer channels at once: at full resolution they are dear.
                    self.grow.append(convolution(axes, now, sizes[level - 1]))
                    now = sizes[level - 1]
            self.norm = norm(now)
            self.out = zero(convolution(axes, now, outputs * self.shape[0] * patch**axes))

    def compute(self, x: Tensor, clock: Tensor, cond: Given) -> Tensor:
        context = self.context(clock, cond)
        skips = self.descent(x, context)
        first, attention, last = self.middle
        h = last(attention(first(skips[-1], context)), context)
        for level, stage in enumerate(self.up):
            if level:
                h = self.grow[level - 1](functional.interpolate(h, scale_factor=2.0))
            for block in layers(stage):
                h = block(torch.cat([h, skips.pop()], 1), context)
        return join(self.out(functional.silu(self.norm(h))), self.patch)
