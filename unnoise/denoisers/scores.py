"""Scores of SDEs about which nothing else is known."""

from collections.abc import Callable
from typing import final

from torch import Tensor

from unnoise.core.condition import Condition
from unnoise.denoisers.base import SDEScore
from unnoise.processes import SDE


@final
class ScoreFunction(SDEScore):
    """grad log p_t(x) given as a function, under any SDE.

    Arguments:
        process: any SDE.
        function: ``function(x, t)``, shape (B, *event); t has shape () or (B,).
    """

    def __init__(self, process: SDE, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.process = process
        self.function = function

    def score(self, x: Tensor, t: Tensor, cond: Condition | None = None) -> Tensor:
        return self.function(x, t)
