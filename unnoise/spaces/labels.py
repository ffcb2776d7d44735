"""The classes of labelled data: their number, names and counts."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from unnoise.core.errors import InputError, short


@final
@dataclass(frozen=True)
class Labels:
    """Classes 0 ... classes - 1.

    Arguments:
        classes: how many.
        names: what they are called, None where they have no names.
        counts: training examples of each, None where nobody counted.
    """

    classes: int
    names: tuple[str, ...] | None = None
    counts: tuple[int, ...] | None = None

    @property
    def frequencies(self) -> Tensor | None:
        """Share of the training examples that each class has, shape (classes,), float64."""
        if self.counts is None:
            return None
        counts = torch.tensor(self.counts, dtype=torch.float64)
        return counts / counts.sum()

    def number(self, text: str) -> int:
        """The number of a class, given by its number or name.

        Raises:
            InputError: there is none.
        """
        if text in (self.names or ()):
            return (self.names or ()).index(text)
        if text.isascii() and text.isdigit() and len(text) < 19:
            return int(text)
        if self.names is None:
            raise InputError(f"label {short(text)}: give a number, 0 to {self.classes - 1}.")
        known = ", ".join(self.names[:12]) + (", ..." if len(self.names) > 12 else "")
        raise InputError(f"label {short(text)}: no such class. Known: {known}.")
