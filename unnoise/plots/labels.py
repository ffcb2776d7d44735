"""Class labels of samples, as a picture shows them: colours, and names that the font can write."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from torch import Tensor

from unnoise.plots.text import can_write


@final
@dataclass(frozen=True)
class SampleLabels:
    """Class labels of samples.

    Arguments:
        numbers: class of each sample, shape (N,), int64.
        names: what the classes 0, 1 ... are called; None where they have no names.
    """

    numbers: Tensor
    names: Sequence[str] | None = None

    def heading(self, label: int) -> str:
        """What is written of a class: its name, or its number where it has none, or one in letters
        that the font lacks."""
        names = self.names or ()
        name = " ".join(names[label].split()) if 0 <= label < len(names) else ""
        return name if name and can_write(name) else str(label)
