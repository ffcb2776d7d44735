"""Score models of general SDEs: a function or a network."""

from collections.abc import Callable
from typing import final

import torch
from torch import Tensor

from unnoise.core.condition import Given
from unnoise.core.errors import InputError
from unnoise.denoisers.base import SDEScore
from unnoise.networks.base import Network
from unnoise.processes import SDE


@final
class ScoreFunction(SDEScore):
    """Score grad log p_t(x) given as a function, under any SDE.

    Arguments:
        process: any SDE.
        function: ``function(x, t)``, shape (B, *event); t has shape () or (B,).
    """

    def __init__(self, process: SDE, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.process = process
        self.function = function

    def score(self, x: Tensor, t: Tensor, cond: Given = None) -> Tensor:
        return self.function(x, t)


@final
class NetworkScore(SDEScore):
    """Score network of an SDE: ``score = network(x, clock, cond)``.

    Arguments:
        network: any Network with as many outputs as inputs.
        process: any SDE; the network's clock falls from 20 at the data to -20 at t = 1.
    """

    def __init__(self, network: Network, process: SDE) -> None:
        super().__init__()
        if network.outputs != 1:
            raise InputError(
                f"a score has the shape of the data; this network gives {network.outputs} sets of "
                "channels. Make it with outputs = 1."
            )
        self.network = network
        self.process = process

    def score(self, x: Tensor, t: Tensor, cond: Given = None) -> Tensor:
        clock = (20 - 40 * torch.as_tensor(t, device=x.device)).float().expand(len(x))
        return self.network(x, clock, cond).to(x)
