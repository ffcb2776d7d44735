"""Encoder (downsampling path) of a U-Net, shared by UNet and HalfUNet."""

from typing import final

from torch import Tensor, nn

from unnoise.core.errors import InputError
from unnoise.networks.blocks import ResidualBlock, convolution
from unnoise.networks.patches import split


@final
class Descent(nn.Module):
    """U-Net encoder: residual blocks at ever lower resolution.

    Arguments:
        shape, width, blocks, dropout, patch: as of ``UNet``.
        sizes: channels of each level; each level halves the length.
        context: size of the vector that the blocks read.

    Attributes:
        skips: channels of everything that ``forward`` returns.

    Raises:
        InputError: the shape does not fit.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        width: int,
        sizes: list[int],
        blocks: int,
        context: int,
        dropout: float,
        patch: int,
    ) -> None:
        super().__init__()
        factor = patch * 2 ** (len(sizes) - 1)
        if len(shape) not in (2, 3) or any(n % factor for n in shape[1:]):
            raise InputError(
                f"a U-Net of {len(sizes)} levels and patches of {patch} takes events (C, L) "
                f"or (C, H, W) whose lengths divide by {factor}; given {shape}. Use fewer "
                "multipliers, a smaller patch, or an MLP."
            )
        axes, now = len(shape) - 1, width
        self.patch = patch
        self.into = convolution(axes, shape[0] * patch**axes, now)
        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        self.skips = [now]
        for level, size in enumerate(sizes):
            if level:
                self.shrink.append(convolution(axes, now, now, stride=2))
                self.skips.append(now)
            stage = nn.ModuleList()
            for _ in range(blocks):
                stage.append(ResidualBlock(axes, now, size, context, dropout))
                now = size
                self.skips.append(now)
            self.down.append(stage)

    def forward(self, x: Tensor, context: Tensor) -> list[Tensor]:
        """Features of every layer, for skip connections: highest resolution first, lowest last."""
        h = self.into(split(x, self.patch))
        skips = [h]
        for level, stage in enumerate(self.down):
            if level:
                h = self.shrink[level - 1](h)
                skips.append(h)
            for block in layers(stage):
                h = block(h, context)
                skips.append(h)
        return skips


def layers(stage: nn.Module) -> list[nn.Module]:
    return list(stage.children())
