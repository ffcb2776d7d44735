"""A clock that stands, a terminal and a file as stderr, for tests of the line of progress."""

import io
import os
import select
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, TextIO

import pytest

from unnoise.system import progress
from unnoise.system.progress import Count


class Time:
    """A clock that stands until it is told to go."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    """The clock of progress; its thread sleeps, and the test draws."""
    found = Time()
    monkeypatch.setattr(progress, "clock", found)
    monkeypatch.setattr(progress, "BEAT", 3600.0)
    monkeypatch.setattr(progress, "FIRST", 5.0)
    return found


def becomes_stderr(stream: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the line alone: pytest keeps sys.stderr to itself."""
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=stream))


class Terminal:
    """A pseudo-terminal of 80 columns as stderr: all that was written, and what is to be seen."""

    def __init__(self, number: int, stream: TextIO) -> None:
        self.number, self.stream, self.written = number, stream, ""

    def read(self) -> str:
        while select.select([self.number], [], [], 0)[0]:
            self.written += os.read(self.number, 65536).decode()
        return self.written

    @property
    def screen(self) -> list[str]:
        """Its lines: a carriage return goes back to the first column, letters replace letters."""
        lines, at = [""], 0
        for letter in self.read():
            if letter == "\n":
                lines.append("")
            elif letter == "\r":
                at = 0
            else:
                lines[-1] = lines[-1][:at] + letter + lines[-1][at + 1 :]
                at += 1
        return [line.rstrip() for line in lines]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    outer, inner = os.openpty()
    with os.fdopen(inner, "w") as stream:
        becomes_stderr(stream, monkeypatch)
        yield Terminal(outer, stream)
    os.close(outer)


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    found = io.StringIO()
    becomes_stderr(found, monkeypatch)
    return found


def draw() -> None:
    progress._own.line.draw()


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn from the first moment on, whenever something was counted."""
    monkeypatch.setattr(progress, "AFTER", 0.0)
    monkeypatch.setattr(progress, "BEAT", 3600.0)
    counted = Count.__call__

    def drawn(self: Count, *given: Any, **named: Any) -> None:
        counted(self, *given, **named)
        draw()

    monkeypatch.setattr(Count, "__call__", drawn)
