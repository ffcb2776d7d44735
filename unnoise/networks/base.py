"""What a network is: tensors in, tensors out. It knows no process and no time, only a clock."""

from abc import ABC, abstractmethod
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from unnoise.core.condition import Condition
from unnoise.core.errors import InputError


class Network(nn.Module, ABC):
    """Base of every network.

    Attributes:
        reads: slots of the Condition that this network listens to, e.g. {"label"}.
        shape: the event shape it was made for.
        classes: number of labels; None where it reads none.
        outputs: sets of the event's channels that it gives, one after another.
    """

    family: ClassVar[str] = "network"
    reads: frozenset[str]
    shape: tuple[int, ...]
    classes: int | None
    outputs: int = 1

    @final
    def forward(self, x: Tensor, clock: Tensor, cond: Condition | None = None) -> Tensor:
        """Output of the network, shape (B, outputs C, ...) for events of shape (C, ...).

        Arguments:
            x: inputs, shape (B, *shape).
            clock: the noise level as log SNR, shape (B,), float32.
            cond: conditions; every slot in ``reads`` must be there (hide it with ``keep``).

        Raises:
            InputError: the shape is another, or a slot that the network reads is missing.
        """
        if tuple(x.shape[1:]) != self.shape:
            raise InputError(
                f"{type(self).__name__} was made for events of shape {self.shape}; "
                f"given {tuple(x.shape[1:])}."
            )
        weight = next(self.parameters(), None)
        if weight is not None and x.dtype == torch.float64 != weight.dtype:
            raise InputError(
                f"{type(self).__name__} computes in {str(weight.dtype)[6:]}; given "
                "float64. Say x.float(), or make the network .double()."
            )
        missing = self.reads - (frozenset[str]() if cond is None else cond.slots)
        if missing:
            raise InputError(
                f"{type(self).__name__} reads {', '.join(sorted(missing))} of the condition; give "
                "it, or Condition(...).null() to leave it open."
            )
        return self.compute(x, clock, cond)

    @abstractmethod
    def compute(self, x: Tensor, clock: Tensor, cond: Condition | None) -> Tensor:
        """The computation itself; arguments are those of ``forward``, already checked."""
