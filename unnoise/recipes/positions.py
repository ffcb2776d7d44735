"""Source positions: the line of a recipe that a mistake stands in."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import final

from unnoise.core.errors import LONGEST, InputError, line_within, within

_HEADER = re.compile(r"\s*\[+\s*([\w-]+(\.[\w-]+)*)\s*\]+\s*(#.*)?$")
# A word is tried from its beginning only: a text of one long word would else take for ever.
_TOKEN = re.compile(
    r""" "[^"]*" | '[^']*' | \#.* | (?<![\w.-])([\w.-]++)(?=\s*=) | [{}] """, re.VERBOSE
)


@final
@dataclass(frozen=True)
class Source:
    """Source text of a recipe.

    Arguments:
        name: the recipe's name or file.
        text: its TOML; "" where it was no file.
        changed: dotted names that --set gave: what they brought stands in no line.
    """

    name: str = ""
    text: str = ""
    changed: tuple[str, ...] = ()

    @contextmanager
    def named(self) -> Generator[None]:
        """Add its place to every line of an InputError."""
        try:
            yield
        except InputError as error:
            known = places(self.text)
            lines = [self._with_line(line, known) for line in str(error).splitlines()]
            raise InputError("\n".join(lines)) from error

    def _with_line(self, message: str, known: dict[str, int]) -> str:
        found = re.match(r"[\w.-]+(?=[: \[])", message)
        if found is None or "(recipe " in message or message.startswith(self.changed):
            return message
        path = found[0]
        while path:
            if path in known:
                return _placed(message, f" (recipe {within(self.name, 80)}, line {known[path]})")
            path = path.rpartition(".")[0]  # a name stands for its kind, a table for what it lacks
        return message


def _placed(message: str, place: str) -> str:
    """A message with its place behind it, which stays whole."""
    room = LONGEST - len(place)
    if len(message) > room and "Did you mean" in message:
        message = message.partition(" Known: ")[0]
    return line_within(message, room) + place


def places(text: str) -> dict[str, int]:
    """The line of each setting and table of a TOML file, by dotted name."""
    found: dict[str, int] = {}
    table: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.match(line)
        if header is not None:
            table = header[1].split(".")
            found.setdefault(header[1], number)
            continue
        inner: list[str] = []
        last = ""
        for token in _TOKEN.finditer(line):
            if token[1]:
                last = token[1]
                found.setdefault(".".join([*table, *inner, last]), number)
            elif token[0] == "{":
                inner.append(last)
            elif token[0] == "}" and inner:
                inner.pop()
    return found
