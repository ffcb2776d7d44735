"""Text on images, in Pillow's default font."""

import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

INK = 0
SIZE = 13
HEIGHT = 20
"""Pixels a line of text takes, with room above and below."""

# What the font lacks, in its own letters; it would draw a crossed box.
_WORDS = {"σ": "sigma", "α": "alpha", "ε": "eps", "→": "to", "×": "x", "−": "-", "–": "-", "—": "-"}


def plain(text: str) -> str:
    """Text in letters that the font has: without accents, what it lacks as a question mark."""
    return "".join(letter if _has(letter) else "?" for letter in _spelled(text))


def can_write(text: str) -> bool:
    """Whether the font has every letter of a text, accents left out."""
    return all(map(_has, _spelled(text)))


def _spelled(text: str) -> str:
    """Text in the letters that are nearest to those of the font."""
    whole = unicodedata.normalize("NFC", text)  # macOS writes accents apart
    return "".join(letter if _has(letter) else _nearest(letter) for letter in whole)


def _nearest(letter: str) -> str:
    """A word for a letter, or the letter without its accents where the font has that."""
    apart = unicodedata.normalize("NFKD", letter)
    bare = "".join(c for c in apart if not unicodedata.combining(c))
    return _WORDS.get(letter, bare if bare and all(map(_has, bare)) else letter)


@cache
def _has(letter: str) -> bool:
    """Whether the font has a letter: what it lacks all looks like what no font has."""
    return letter.isprintable() and _drawn(letter) != _drawn("\uffff")


def _drawn(letter: str) -> bytes:
    """The pixels of a letter."""
    from PIL import Image, ImageDraw

    paper = Image.new("L", (2 * SIZE, HEIGHT))
    ImageDraw.Draw(paper).text((0, 0), letter, fill=255, font=font(SIZE))
    return paper.tobytes()


@cache
def font(size: int) -> "FreeTypeFont | ImageFont":
    """Pillow's default font at a size in pixels."""
    from PIL import ImageFont

    return ImageFont.load_default(size)


def width_of(text: str, size: int = SIZE) -> int:
    """Width of a line of text in pixels."""
    return round(font(size).getlength(plain(text)))


def fitting(texts: Sequence[str], room: int) -> int:
    """Largest font size, between 9 and SIZE, at which all texts fit into ``room`` pixels."""
    size = SIZE
    while size > 9 and max((width_of(text, size) for text in texts), default=0) > room:
        size -= 1
    return size


def write(
    draw: "ImageDraw",
    text: str,
    left: int,
    top: int,
    room: int,
    align: str = "middle",
    size: int = SIZE,
) -> None:
    """Draw one line of text in a box of ``room`` by HEIGHT pixels, cut off where too long.

    Arguments:
        draw: on the picture.
        text: what to write.
        left, top: corner of the box.
        room: its width.
        align: "left", "middle" or "right".
        size: of the letters.
    """
    text = plain(text)
    if width_of(text, size) > room:
        while text and width_of(text + "...", size) > room:
            text = text[:-1]
        text += "..."
    free = room - width_of(text, size)
    start = left + {"left": 0, "middle": free // 2, "right": free}[align]
    ink = INK if draw.mode == "L" else (INK, INK, INK)
    draw.text((start, top + HEIGHT // 2), text, fill=ink, font=font(size), anchor="lm")
