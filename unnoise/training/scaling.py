"""Dynamic loss scaling: keeps float16 gradients from underflow."""

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor

_FIRST = 2.0**16
_PATIENCE = 1000  # good steps before the scale is doubled


@final
class LossScale:
    """Dynamic loss scale: multiplies the loss, and divides the gradient afterwards.

    It is halved by a step whose gradient overflows, and doubled after a thousand that do not
    (Micikevicius et al., Mixed precision training, ICLR 2018, section 3.2).

    Arguments:
        moves: whether the precision needs it; without, the scale is 1 for good.
    """

    def __init__(self, moves: bool) -> None:
        self.moves = moves
        self.value = _FIRST if moves else 1.0
        self.good = 0

    def went_well(self) -> None:
        """Record a finite gradient; after a thousand in a row the scale doubles."""
        self.good += 1
        if self.moves and self.good % _PATIENCE == 0:
            self.value *= 2

    def overflowed(self) -> bool:
        """Record a gradient overflow and halve a scale above 1; returns whether it was halved."""
        self.good = 0
        if not self.moves or self.value <= 1:
            return False
        self.value /= 2
        return True

    def state(self) -> dict[str, Tensor]:
        """State dict for a checkpoint."""
        return {
            "value": torch.tensor(self.value, dtype=torch.float64),
            "good": torch.tensor(self.good),
        }

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict; a missing entry is a KeyError."""
        self.value, self.good = float(state["value"]), int(state["good"])
