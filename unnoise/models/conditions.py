"""Labels and conditions of samples, checked before the first network call."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from unnoise.core.condition import Condition
from unnoise.core.errors import InputError, short
from unnoise.networks import Network, null_condition

Labels = int | Sequence[int] | Tensor | None


@final
@dataclass(frozen=True, eq=False)
class Conditions:
    """The conditions of samples first ... first + n - 1, made for those rows that are asked for.

    Arguments:
        network: what will read them.
        n: how many samples.
        cond: conditions, one row for each.
        label: one class for all, or one for each, in place of ``cond``; None takes the classes in
            turn.
        first: number of the first sample.
        known: number of labels; the network's own when absent.
        hidden: the null condition for all of them, in place of ``cond`` and ``label``.

    Raises:
        InputError: labels it does not know, of the wrong number, or where it reads none; a slot
            that the network reads is given by nobody.
    """

    network: Network
    n: int
    cond: Condition | None = None
    label: Labels = None
    first: int = 0
    known: int | None = None
    hidden: bool = False

    def __post_init__(self) -> None:
        cond, label, network = self.cond, self.label, self.network
        if self.known is None:
            object.__setattr__(self, "known", network.classes)
        labelled = self.known is not None or "label" in network.reads
        object.__setattr__(self, "hidden", self.hidden or not labelled)
        self._check_given(labelled)
        numbers = None if cond is None else cond.label
        if label is not None:
            numbers = _numbers(label, self.n)
            object.__setattr__(self, "label", numbers)
        if numbers is not None and (self.known is not None or label is not None):
            _check(numbers, (self.known or 1) - 1)
        if cond is None:
            self[torch.zeros(1, dtype=torch.int64)]  # what cannot be made is refused now

    def _check_given(self, labelled: bool) -> None:
        cond, label = self.cond, self.label
        if cond is not None and not isinstance(cond, Condition):
            raise InputError(f"cond is a {type(cond).__name__}; give Condition(label=...).")
        if label is not None and not labelled:
            raise InputError(f"label = {short(label)}: this model was trained without labels.")
        if cond is not None and label is not None:
            raise InputError("give either cond or label, not both.")
        if cond is not None and cond.slots and len(cond) != self.n:
            raise InputError(f"{self.n} samples but {len(cond)} conditions; give one for each.")

    def __getitem__(self, index: Tensor) -> Condition | None:
        """The condition of some samples, by their place among the n; None where nobody reads it."""
        if self.cond is not None:
            return self.cond[index]
        if self.hidden:
            return null_condition(self.network, len(index))
        numbers = (self.first + index) % (self.known or 1)
        if isinstance(self.label, Tensor):
            numbers = self.label[index]
        # What else the network reads stays open.
        rest = null_condition(self.network, len(index)) or Condition()
        masks = {slot: mask for slot, mask in (rest.keep or {}).items() if slot != "label"}
        return replace(rest, label=numbers, keep=masks)


def _check(numbers: Tensor, last: int) -> None:
    bad = numbers[(numbers < 0) | (numbers > last)]
    if len(bad):
        raise InputError(f"label {int(bad[0])}: this model knows labels 0 to {last}.")


def _numbers(label: Labels, n: int) -> Tensor:
    """Class numbers, shape (n,), of one for all or one for each."""
    try:
        chosen = torch.as_tensor(label)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise InputError(f"label = {short(label)}: give whole numbers.") from error
    whole = chosen.dtype in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
    if not whole or chosen.ndim > 1 or chosen.numel() not in (1, n):
        raise InputError(f"label = {short(label)}: give one whole number, or {n} of them.")
    return chosen.long().reshape(-1).expand(n)
