"""Exceptions and exit codes. Each message says what was given, what is accepted, what to do."""

import re
import reprlib
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, final

LONGEST = 191  # letters of a line of ours: 200 with the "unnoise: " that a terminal shows before it
_LONGEST_WORD = 60
_MOST_LINES = 20


class UnnoiseError(Exception):
    """Base of every error raised on purpose; ``exit_code`` is what the command line ends with."""

    exit_code = 1


class InputError(UnnoiseError, ValueError):
    """Invalid input of the user; the message has one line for each mistake.

    A line is at most ``LONGEST`` letters long, whatever was given: what is too long loses its
    middle. Of more than 20 lines the last says how many are left out.
    """

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(_fitted(message))


class StorageError(UnnoiseError, OSError):
    """Storage failure: disk full, file not readable or writable, or out of memory."""

    exit_code = 3


class DamagedFileError(InputError):
    """Corrupted file: it is not what its name, header, schema or checksum says."""


class NumbersError(UnnoiseError, ArithmeticError):
    """A loss, a weight or a state became NaN or infinite."""

    exit_code = 4


class PeerError(UnnoiseError):
    """A process of a distributed run is lost, or never joined."""

    exit_code = 3


class Interrupted(UnnoiseError):
    """The user or the system asked the run to stop; it did, after saving."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


_speaks = {"commands": False}  # which of its two faces a user of this process sees


@contextmanager
def speaking_of_commands() -> Generator[None]:
    """Context: the user has typed a command; messages name options and not arguments."""
    before, _speaks["commands"] = _speaks["commands"], True
    try:
        yield
    finally:
        _speaks["commands"] = before


def either(python: str, command: str) -> str:
    """What to do, in the words of the face that the user sees: an argument, or an option."""
    return command if _speaks["commands"] else python


def memory_ran_out(error: BaseException) -> bool:
    """Whether an error means out of memory (torch has no class of its own for the CPU's)."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and ("can't allocate memory" in said or "out of memory" in said)
    )


def short(value: object, most: int = _LONGEST_WORD) -> str:
    """Shortened repr of a value for a message, its middle left out where it is long."""
    return within(" ".join(_Short(most).repr(value).splitlines()), most)


def within(text: str, most: int) -> str:
    """Truncate a text to at most ``most`` characters by leaving out its middle."""
    if len(text) <= most:
        return text
    end = (most - 3) * 2 // 5
    return f"{text[: most - 3 - end]}...{text[len(text) - end :]}"


def line_within(line: str, most: int = LONGEST) -> str:
    """Shorten a message's line to ``most`` letters: long words lose their middle, then the line.

    So its beginning, which names the setting, and its end, which says what to do, stay.
    """
    if len(line) <= most:
        return line
    return within(_LONG_WORD.sub(lambda word: within(word[0], _LONGEST_WORD), line), most)


_LONG_WORD = re.compile(rf"\S{{{_LONGEST_WORD + 1},}}")
_MORE = re.compile(r"and ([\d,]+) more$")


def _fitted(message: str) -> str:
    lines = message.splitlines()
    if len(lines) <= _MOST_LINES:
        return "\n".join(map(line_within, lines))
    # What was left out of a message that became part of this one counts as well.
    found = [(line, _MORE.match(line)) for line in lines]
    told = [line for line, more in found if more is None][: _MOST_LINES - 1]
    every = sum(int(more[1].replace(",", "")) if more else 1 for _, more in found)
    return "\n".join([*map(line_within, told), f"and {every - len(told):,} more"])


@final
class _Short(reprlib.Repr):
    """repr of whatever a user may give: it never fails, and walks no further than is shown."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = most // 3
        self.maxstring = self.maxlong = self.maxother = most

    def repr_int(self, x: int, level: int) -> str:
        try:
            return super().repr_int(x, level)
        except ValueError:  # Python writes no more than 4,300 digits
            return f"a whole number of about {round(x.bit_length() * 0.30103):,} digits"

    def repr_dict(self, x: Mapping[Any, Any], level: int) -> str:
        if level <= 0 and x:
            return "{...}"
        inner = ((self.repr1(k, level - 1), self.repr1(x[k], level - 1)) for k in x)
        told = [f"{k}: {v}" for k, v in islice(inner, self.maxdict)]
        return f"{{{', '.join(told + ['...'] * (len(x) > self.maxdict))}}}"

    def repr_instance(self, x: object, level: int) -> str:
        try:
            return within(repr(x), self.maxother)
        except Exception:  # whatever a class of others does
            return f"a {type(x).__name__}"
