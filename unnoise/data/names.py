"""Text of file names and labels: Unicode normalisation, escaping, order, shortening; paths."""

import os
import re
import unicodedata
from dataclasses import dataclass

from unnoise.core.errors import InputError, short, within

_LONGEST_PATH = 65_535  # letters; no file's is longer, but what a list says may be


_LONGEST_TOLD = 80


@dataclass(frozen=True)
class Refusal:
    """A file that was refused (left out of a data set), and why.

    Arguments:
        name: of the file.
        reason: why.
        bad: whether it counts among the bad files, of which few are borne; what lies there
            rightly and is no example (the mask beside a picture) does not.
    """

    name: str
    reason: str
    bad: bool = True


def place_of(path: str) -> str:
    """Path of data as the user gave it, with ``~`` expanded.

    Raises:
        InputError: it is empty, as that of a variable that nobody set.
    """
    if not path.strip():
        raise InputError(f"data {short(path)}: an empty path; name a folder, a file or hf:NAME.")
    before, path = ("hf:", path[3:]) if path.startswith("hf:") else ("", path)
    home = path.startswith("~") and not os.path.lexists(path)
    return before + (os.path.expanduser(path) if home else path)


def normal(name: str) -> str:
    """Unicode normal form (NFC) of a name, for comparisons: macOS decomposes Hangul."""
    return unicodedata.normalize("NFC", name)


def writable(text: str) -> str:
    """Text escaped for UTF-8: of a name in other bytes, 0xB0 becomes the letters ``\\xb0``."""
    return _HALF_LETTER.sub(_escaped, text)


_HALF_LETTER = re.compile(r"[\ud800-\udfff]")


def _escaped(half: re.Match[str]) -> str:
    code = ord(half[0])
    # Python reads a byte that is no UTF-8 as this half; other halves come out of JSON.
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code < 0xDD00 else f"\\u{code:04x}"


def natural(name: str) -> tuple[int, str, str]:
    """Sort key of natural order: whole numbers by value, then words, numbers in them by value."""
    number = name.isascii() and name.isdigit()
    return 0 if number else 1, _DIGITS.sub(_by_value, name), name


_DIGITS = re.compile(r"[0-9]+")


def _by_value(found: re.Match[str]) -> str:
    # Compared as they stand, the longer being the larger: Python reads no more than 4,300.
    digits = found[0].lstrip("0")
    return f"0{chr(min(len(digits), 0x10FFFF))}{digits}"


def shown(name: str, most: int = _LONGEST_PATH) -> str:
    """Printable name for a report: in one line, escaped, without its middle where it is long."""
    name = within(name, most)
    if name.isprintable():
        return name
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in writable(name)
    )


def brief(name: str) -> str:
    """Short printable name for a message: ``shown``, at most 80 characters."""
    return within(shown(name, _LONGEST_TOLD), _LONGEST_TOLD)
