"""Labels and conditions of samples, checked before the first network call."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from unnoise.core.condition import Condition
from unnoise.core.errors import InputError, short
from unnoise.networks import Network, null_condition

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
    if label is not None and known is None and "label" not in network.reads:
        raise InputError(f"label = {short(label)}: this model was trained without labels.")
    if cond is not None and label is not None:
        raise InputError("give either cond or label, not both.")
    classes = known or 1
    if cond is None and (known is not None or "label" in network.reads):
        turn = torch.arange(first, first + n) % classes
        numbers = turn if label is None else _numbers(label, n)
        # What else the network reads stays open.
        rest = null_condition(network, n) if network.reads - {"label"} else None
        masks = {k: v for k, v in (rest.keep or {}).items() if k != "label"} if rest else {}
        cond = replace(rest or Condition(), label=numbers, keep=masks)
    elif cond is None:
        cond = null_condition(network, n)
    if cond is not None and cond.slots and len(cond) != n:
        raise InputError(f"{n} samples but {len(cond)} conditions; give one for each.")
    asked = None if cond is None or known is None else cond.label
    bad = None if asked is None else asked[(asked < 0) | (asked >= classes)]
    if bad is not None and len(bad):
        raise InputError(f"label {int(bad[0])}: this model knows labels 0 to {classes - 1}.")
    return cond


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
