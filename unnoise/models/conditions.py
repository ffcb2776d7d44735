"""Labels and conditions of samples, checked before the first network call."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast, final

import torch
from torch import Tensor

from unnoise.core.condition import Condition
from unnoise.core.errors import InputError, short
from unnoise.core.noise import Noise
from unnoise.networks import Network, null_condition
from unnoise.spaces import Labels

Asked = int | str | Sequence[int] | Tensor | None
"""Classes that samples are asked to be of: one for all by number or name, one for each, "uniform"
(the classes in turn, by sample number), or None (drawn by the training data's frequencies)."""

UNIFORM = "uniform"


def drawn_classes(known: Labels, asked: Asked, rows: Sequence[int], seed: int) -> Tensor:
    """Classes of samples by their number, shape (n,), int64, where no class was asked for.

    Sample k is of a class that is drawn from ``Noise(seed, [k]).child("label")`` by the training
    data's counts. Where nobody counted, or "uniform" is asked for, the classes that have examples
    come in turn.

    Arguments:
        known: the classes.
        asked: "uniform" or None.
        rows: numbers of the samples, from 0.
        seed: any integer.
    """
    shares = known.frequencies
    if shares is None or asked is not None:
        seen = torch.arange(known.classes) if shares is None else shares.nonzero()[:, 0]
        return seen[torch.tensor(rows) % len(seen)]
    u = Noise(seed, rows).child("label").uniform(torch.empty(len(rows), dtype=torch.float64))
    found = torch.searchsorted(shares.cumsum(0), u, right=True)
    return found.clamp(max=int(shares.nonzero().max()))  # the sum of shares may be below 1


@final
@dataclass(frozen=True, eq=False)
class Conditions:
    """The conditions of samples first ... first + n - 1, made for those rows that are asked for.

    Arguments:
        network: what will read them.
        n: how many samples.
        cond: conditions, one row for each.
        label: in place of ``cond``, see ``drawn_classes``.
        first: number of the first sample.
        seed: of the classes that are drawn.
        known: the classes; None where there are none.
        hidden: the null condition for all of them, in place of ``cond`` and ``label``.

    Raises:
        InputError: labels it does not know, that have no example, of the wrong number, or where it
            reads none; a slot that the network reads is given by nobody.
    """

    network: Network
    n: int
    cond: Condition | None = None
    label: Asked = None
    first: int = 0
    seed: int = 0
    known: Labels | None = None
    hidden: bool = False

    def __post_init__(self) -> None:
        cond, label, network = self.cond, self.label, self.network
        labelled = self.known is not None or "label" in network.reads
        object.__setattr__(self, "hidden", self.hidden or not labelled)
        self._check_given(labelled)
        numbers = None if cond is None else cond.label
        if label is not None and not (isinstance(label, str) and label == UNIFORM):
            if isinstance(label, str) and self.known is not None:
                label = self.known.number(label)
            numbers = _numbers(label, self.n)
            object.__setattr__(self, "label", numbers)
        if numbers is not None and (self.known is not None or label is not None):
            _check(numbers, self.known or Labels(1))
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
        if isinstance(self.label, Tensor):
            numbers = self.label[index]
        else:
            rows = (self.first + index).tolist()
            known = self.known or Labels(1)
            numbers = drawn_classes(known, cast(Asked, self.label), rows, self.seed)
        # What else the network reads stays open.
        rest = null_condition(self.network, len(index)) or Condition()
        masks = {slot: mask for slot, mask in (rest.keep or {}).items() if slot != "label"}
        return replace(rest, label=numbers, keep=masks)


def _check(numbers: Tensor, known: Labels) -> None:
    last = known.classes - 1
    bad = numbers[(numbers < 0) | (numbers > last)]
    if len(bad):
        raise InputError(f"label {int(bad[0])}: this model knows labels 0 to {last}.")
    if known.counts is not None:
        unseen = numbers[torch.tensor(known.counts)[numbers.cpu()] == 0]
        if len(unseen):
            raise InputError(
                f"label {known.called(int(unseen[0]))}: training had no example of this class; ask "
                "for one that it had."
            )


def _numbers(label: Asked, n: int) -> Tensor:
    """Class numbers, shape (n,), of one for all or one for each."""
    try:
        chosen = torch.as_tensor(label)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise InputError(f"label = {short(label)}: give whole numbers.") from error
    whole = chosen.dtype in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
    if not whole or chosen.ndim > 1 or chosen.numel() not in (1, n):
        raise InputError(f"label = {short(label)}: give one whole number, or {n} of them.")
    return chosen.long().reshape(-1).expand(n)
