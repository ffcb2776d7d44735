"""What a model is asked to draw: labels and conditions, checked before the first network call."""

from collections.abc import Sequence

import torch
from torch import Tensor

from unnoise.core.condition import Condition
from unnoise.core.errors import InputError, short
from unnoise.networks import Network

Labels = int | Sequence[int] | Tensor | None


def conditions(
    network: Network,
    n: int,
    cond: Condition | None,
    label: Labels,
    first: int = 0,
    known: int | None = None,
) -> Condition | None:
    """The condition of samples first ... first + n - 1.

    Arguments:
        network: what will read it.
        n: how many.
        cond: conditions, one row for each; ``label`` is short for Condition(label=...).
        label: one class for all, or one for each; None takes the classes in turn.
        first: number of the first sample.
        known: number of labels; the network's own when absent.

    Returns:
        n rows; None where nobody reads any.

    Raises:
        InputError: labels it does not know, of the wrong number, or where it reads none.
    """
    if cond is not None and not isinstance(cond, Condition):
        raise InputError(f"cond is a {type(cond).__name__}; give Condition(label=...).")
    known = network.classes if known is None else known
    if not network.reads and known is None:
        if label is not None:
            raise InputError(f"label = {short(label)}: this model was trained without labels.")
        if cond is not None and cond.slots and len(cond) != n:
            raise InputError(f"{n} samples but {len(cond)} conditions; give one for each.")
        return cond
    if cond is not None and label is not None:
        raise InputError("give either cond or label, not both.")
    classes = known or 1
    if cond is None:
        turn = torch.arange(first, first + n) % classes
        try:
            chosen = turn if label is None else torch.as_tensor(label)
        except (TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise InputError(f"label = {short(label)}: give whole numbers.") from error
        whole = chosen.dtype in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
        if not whole or chosen.ndim > 1 or chosen.numel() not in (1, n):
            raise InputError(f"label = {short(label)}: give one whole number, or {n} of them.")
        cond = Condition(label=chosen.long().reshape(-1).expand(n))
    if len(cond) != n:
        raise InputError(f"{n} samples but {len(cond)} conditions; give one for each.")
    bad = None if cond.label is None else cond.label[(cond.label < 0) | (cond.label >= classes)]
    if bad is not None and len(bad):
        raise InputError(f"label {int(bad[0])}: this model knows labels 0 to {classes - 1}.")
    return cond


def unconditional(network: Network, n: int) -> Condition | None:
    """The condition that says nothing."""
    cond = conditions(network, n, None, 0 if network.reads else None)
    return None if cond is None else cond.null()
