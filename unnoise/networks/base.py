"""Base class of networks: tensors in, tensors out, told the noise level by a clock (log SNR)."""

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import ClassVar, Protocol, final, runtime_checkable

import torch
from torch import Tensor, nn

from unnoise.core.condition import GUIDED, Condition
from unnoise.core.errors import InputError


@runtime_checkable
class HasNull(Protocol):
    """A network that says what stands for "no condition" in the slots that it reads."""

    def null(self, n: int) -> Condition:
        """A condition of ``n`` rows with every slot that it reads; they will be hidden."""
        ...


@runtime_checkable
class Prepares(Protocol):
    """A network that computes something of the condition alone, such as a text encoder's output."""

    def prepare(self, cond: Condition) -> Tensor:
        """What ``compute`` finds in ``cond.prepared``, shape (B, ...).

        It is asked once a walk. ``cond.keep`` is not its business: what is hidden may change from
        call to call, so ``compute`` does the hiding.
        """
        ...


class Network(nn.Module, ABC):
    """Base of every network of a denoiser.

    Attributes:
        reads: slots of the Condition that this network listens to, e.g. {"label"}.
        guided: those that guidance and dropout in training may hide.
        shape: the event shape it was made for.
        classes: number of labels; None where it reads none.
        outputs: sets of the event's channels that it gives, one after another.
    """

    family: ClassVar[str] = "network"
    reads: frozenset[str]
    guided: frozenset[str] = GUIDED
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
        return self.compute(x, clock, self.prepared(cond))

    @final
    def prepared(self, cond: Condition | None) -> Condition | None:
        """The condition with what this network computes of it alone, if it computes anything."""
        if cond is None or cond.prepared is not None or not isinstance(self, Prepares):
            return cond
        return replace(cond, prepared=self.prepare(cond))

    @abstractmethod
    def compute(self, x: Tensor, clock: Tensor, cond: Condition | None) -> Tensor:
        """The computation itself; arguments are those of ``forward``, already checked."""


def null_condition(network: Network, n: int) -> Condition | None:
    """The null condition: every slot that a network reads, hidden in all ``n`` rows.

    Raises:
        InputError: it reads a slot whose shape only it knows, and does not say what is none.
    """
    if not network.reads:
        return None
    if isinstance(network, HasNull):
        cond = network.null(n)
    else:
        known = {"label": torch.zeros(n, dtype=torch.int64)}
        known["tokens"] = torch.zeros(n, 1, dtype=torch.int64)
        missing = sorted(network.reads - set(known))
        if missing:
            raise InputError(
                f"{type(network).__name__} reads {', '.join(missing)} of the condition; give cond "
                "with it, or a method null(n) to the network that says what stands for none."
            )
        cond = Condition(**{slot: known[slot] for slot in network.reads})
    return cond.null(cond.slots)
