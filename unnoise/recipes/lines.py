"""Which line of a recipe's file a complaint is about."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import final

from unnoise.core.errors import InputError

_HEADER = re.compile(r"\s*\[+\s*([\w-]+(\.[\w-]+)*)\s*\]+\s*(#.*)?$")
_TOKEN = re.compile(r""" "[^"]*" | '[^']*' | \#.* | ([\w.-]+)(?=\s*=) | [{}] """, re.VERBOSE)


@final
@dataclass(frozen=True)
class Source:
    """A recipe as it was written.

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
            lines = [self._with_line(line) for line in str(error).splitlines()]
            raise InputError("\n".join(lines)) from error

    def _with_line(self, message: str) -> str:
        found = re.match(r"[\w.-]+(?=[: ])", message)
        if found is None or "(recipe " in message or message.startswith(self.changed):
            return message
        known = places(self.text)
        path = found[0]
        while path:
            if path in known:
                return f"{message} (recipe {self.name}, line {known[path]})"
            path = path.rpartition(".")[0]  # a name stands for its kind, a table for what it lacks
        return message


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
