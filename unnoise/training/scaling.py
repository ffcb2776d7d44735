"""Loss scaling: gradients of half precision are kept out of the range where they vanish."""

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor

_FIRST = 2.0**16
_PATIENCE = 1000  # good steps before the scale is doubled


@final
class LossScale:
    """What the loss is multiplied by, and the gradient divided by afterwards.

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
        """A step's gradient was finite."""
        self.good += 1
        if self.moves and self.good % _PATIENCE == 0:
            self.value *= 2

    def overflowed(self) -> bool:
        """A step's gradient was not; whether a smaller scale may help."""
        self.good = 0
        if not self.moves or self.value <= 1:
            return False
        self.value /= 2
        return True

    def state(self) -> dict[str, Tensor]:
        """What a resumed run needs."""
        return {
            "value": torch.tensor(self.value, dtype=torch.float64),
            "good": torch.tensor(self.good),
        }

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take over a state; a missing entry is a KeyError."""
        self.value, self.good = float(state["value"]), int(state["good"])
