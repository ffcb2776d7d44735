"""Entries: the images of a source, listed and not read yet."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from unnoise.data.names import Refusal, natural

Read = Callable[[], bytes]


@dataclass(frozen=True)
class Entry:
    """One image of a source with label and caption, not read yet.

    Arguments:
        name: path inside its source, with "/".
        read: gives its bytes; raises RefusedFile.
        label: its class by name, ``writable``; None without.
        text: its caption, ``writable``; None without.
        path: the name in a form whose folders say what it is: decoded, without an archive's own
            name; None where the name does.
    """

    name: str
    read: Read
    label: str | None = None
    text: str | None = None
    path: str | None = None

    @property
    def place(self) -> str:
        return self.name if self.path is None else self.path


@dataclass
class Listed:
    """What lies in a source, before it is decided what its labels and splits are.

    Arguments:
        entries: pictures; with labels where the source says one for each (a tar file, a table).
        lists: readers of lists (.csv, .tsv, .jsonl) by their path inside the source.
        refused: files that are left out already.
        unread: names of pictures in formats that no reader here knows.
        notes: what else is to be told, in clauses.
        names: class names in the order of their numbers, where the source has such an order.
    """

    entries: list[Entry] = field(default_factory=list[Entry])
    lists: dict[str, Read] = field(default_factory=dict[str, Read])
    refused: list[Refusal] = field(default_factory=list[Refusal])
    unread: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])
    names: tuple[str, ...] | None = None


@dataclass
class Found:
    """Examples of an image source, with labels: its entries and refused files.

    Arguments:
        entries: pictures, sorted by name.
        refused: files that are left out already.
        names: class names in the order of their numbers, where the source has such an order.
        held: the source's own test part; None where it has none.
        notes: what was decided, in clauses.
        told: all of it, in a line.
    """

    entries: list[Entry]
    refused: list[Refusal] = field(default_factory=list[Refusal])
    names: tuple[str, ...] | None = None
    held: "Found | None" = None
    notes: list[str] = field(default_factory=list[str])
    told: str = ""

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Class names in the order of their numbers; None where an image has no label."""
        labels = {entry.label for entry in self.entries}
        if None in labels or not labels:
            return None
        return self.names or tuple(sorted(cast(set[str], labels), key=natural))
