"""Text of file names and labels: Unicode normalisation, escaping, shortening; refused files."""

import re
import unicodedata
from dataclasses import dataclass

from unnoise.core.errors import within

_LONGEST_PATH = 65_535  # letters; no file's is longer, but what a list says may be


_LONGEST_TOLD = 80


@dataclass(frozen=True)
class Refusal:
    """A file that was refused (left out of a data set), and why."""

    name: str
    reason: str


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
