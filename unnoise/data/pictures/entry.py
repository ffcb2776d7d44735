"""Entries: the images of a source, listed and not read yet."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from unnoise.data.names import Refusal

LISTS = ("metadata.jsonl", "metadata.csv")


Listing = dict[str, Callable[[], bytes]]


@dataclass(frozen=True)
class Entry:
    """One image of a source with label and caption, not read yet.

    Arguments:
        name: path inside its source, with "/".
        read: gives its bytes; raises RefusedFile.
        label: its class by name, ``writable``; None without.
        text: its caption, ``writable``; None without.
    """

    name: str
    read: Callable[[], bytes]
    label: str | None = None
    text: str | None = None


@dataclass
class Found:
    """Listing of an image source: its entries and refused files.

    Arguments:
        entries: pictures, sorted by name.
        refused: files that are left out already.
    """

    entries: list[Entry]
    refused: list[Refusal] = field(default_factory=list[Refusal])

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Class names in the order of their numbers; None where an image has no label."""
        labels = {entry.label for entry in self.entries}
        if None in labels or not labels:
            return None
        return tuple(sorted(cast(set[str], labels), key=_counted))


def _counted(name: str) -> tuple[int, int, str, str]:
    """Numbers by value, then words by letter."""
    if not (name.isascii() and name.isdigit()):
        return 1, 0, "", name
    digits = name.lstrip("0")  # compared as they stand: Python reads no more than 4,300
    return 0, len(digits), digits, name
