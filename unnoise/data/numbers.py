"""Numbers of other libraries as tensors: arrays and class numbers of any type and layout."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unnoise.core.errors import InputError, short

_NARROW = ("bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz")
_KNOWN: dict[str, torch.dtype] = dict.fromkeys(_NARROW, torch.float32)
_KNOWN.update(dict.fromkeys(("uint16", "uint32", "uint64"), torch.int64))
"""Types of torch with which little can be computed, and what they become."""


def plain(values: Tensor | NDArray[Any], name: str) -> Tensor:
    """Numbers of others as a dense tensor on the CPU, without gradient, in a type torch has.

    Raises:
        InputError: they are no numbers, complex, sparse or without values.
    """
    if isinstance(values, Tensor):
        if values.layout != torch.strided or values.is_meta or values.is_complex():
            kind = "meta" if values.is_meta else f"{values.layout}, {values.dtype}"
            raise InputError(f"data {short(name)} is {kind}; give a dense tensor of real numbers.")
        found = values.detach().cpu()
        return found.to(_KNOWN.get(str(found.dtype).removeprefix("torch."), found.dtype))
    if values.dtype.kind not in "biuf":
        raise InputError(f"data {short(name)} holds {values.dtype}; give real numbers.")
    native = values.dtype.newbyteorder("=")
    if native.kind == "f" and native.itemsize > 8:  # long double
        native = np.dtype(np.float64)
    if native.kind == "u" and native.itemsize > 1:  # torch computes with few of these
        native = np.dtype(np.int64)
    rows = np.ascontiguousarray(values, native)
    return torch.from_numpy(rows if rows.flags.writeable else rows.copy())


def class_numbers(labels: Any, name: str) -> Tensor:
    """Class numbers, shape (N,), int64, of whole numbers of any type.

    Raises:
        InputError: they are not whole, or not in one row.
    """
    try:
        given = labels if isinstance(labels, Tensor) else plain(np.asarray(labels), name)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"data {short(name)}: labels such as {short(labels, 40)}; give one whole number from 0 "
            "for each example."
        ) from error
    given = given.detach().cpu()
    numbers = given.long()
    if given.ndim != 1 or not bool((numbers == given).all()):
        raise InputError(
            f"data {short(name)}: labels of shape {tuple(given.shape)}, {given.dtype}; give one "
            "whole number from 0 for each example."
        )
    return numbers
