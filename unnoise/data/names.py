"""Names and labels as text: compared, written to files, shown in sentences; and refused files."""

import re
import unicodedata
from dataclasses import dataclass

from unnoise.core.errors import within

_LONGEST_PATH = 65_535  # letters; no file's is longer, but what a list says may be


_LONGEST_TOLD = 80


@dataclass(frozen=True)
class Refusal:
    """A file that is left out, and why."""

    name: str
    reason: str


def normal(name: str) -> str:
    """A name as it is compared: macOS takes Hangul apart, others do not."""
    return unicodedata.normalize("NFC", name)


def writable(text: str) -> str:
    """A text that UTF-8 can hold: of a name in other bytes, 0xB0 becomes the letters ``\\xb0``."""
    return _HALF_LETTER.sub(_escaped, text)


_HALF_LETTER = re.compile(r"[\ud800-\udfff]")


def _escaped(half: re.Match[str]) -> str:
    code = ord(half[0])
    # Python reads a byte that is no UTF-8 as this half; other halves come out of JSON.
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code < 0xDD00 else f"\\u{code:04x}"


def shown(name: str, most: int = _LONGEST_PATH) -> str:
    """A name for a report: in one line, writable, and without its middle where it is long."""
    name = within(name, most)
    if name.isprintable():
        return name
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in writable(name)
    )


def brief(name: str) -> str:
    """A name for a sentence: ``shown``, and short."""
    return within(shown(name, _LONGEST_TOLD), _LONGEST_TOLD)
