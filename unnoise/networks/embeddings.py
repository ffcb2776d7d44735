"""Noise-level (time) embedding by Fourier features, and class-label embedding."""

import math
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from unnoise.core.condition import Given
from unnoise.core.errors import InputError


def fourier(clock: Tensor, size: int) -> Tensor:
    """Fourier features (time embedding): cos and sin of the clock at ``size // 2`` frequencies.

    Arguments:
        clock: log SNR, shape (B,), in [-20, 20]; divided by 8, which is log(sigma) / 4 where
            alpha = 1 (Karras et al. 2022, table 1).
        size: an even number of features.

    Returns:
        Shape (B, size), float32.
    """
    # Periods from 8 (more than the clock's whole range, so no two levels look alike) down to 1:
    # finer ones make neighbouring levels strangers, which cost recall on the digits.
    periods = torch.logspace(3, 0, size // 2, base=2, device=clock.device)
    angles = (clock.float() / 8)[:, None] * (2 * math.pi / periods)
    return torch.cat([angles.cos(), angles.sin()], 1)


@final
class Context(nn.Module):
    """Embedding of noise level and class label in one vector, which every block reads.

    Arguments:
        width: size of the vector.
        classes: number of labels; None where there are none. One more row stands for "any".
        features: number of Fourier features of the clock, even.
    """

    def __init__(self, width: int, classes: int | None, features: int = 32) -> None:
        super().__init__()
        self.features = features
        self.clock = nn.Linear(features, width)
        self.label = None if classes is None else nn.Embedding(classes + 1, width)

    def forward(self, clock: Tensor, cond: Given) -> Tensor:
        """Embedding vector, shape (B, width).

        Raises:
            InputError: a label is out of range (looked for on the CPU only: a GPU would wait).
        """
        seen = self.clock(fourier(clock, self.features).to(self.clock.weight.dtype))
        if self.label is not None and cond is not None and cond.label is not None:
            nobody = self.label.num_embeddings - 1
            if cond.label.device.type == "cpu" and not bool(
                ((cond.label >= 0) & (cond.label < nobody)).all()
            ):
                bad = cond.label[(cond.label < 0) | (cond.label >= nobody)]
                raise InputError(f"label {int(bad[0])}: this network knows 0 to {nobody - 1}.")
            seen = seen + self.label(torch.where(cond.kept(), cond.label, nobody))
        return functional.silu(seen)


def zero(layer: nn.Module) -> nn.Module:
    """Zero-initialise a layer, so that what it adds starts at nothing."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
