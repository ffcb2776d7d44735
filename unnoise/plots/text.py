"""Text on images, in Pillow's default font."""

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
    """Text in letters that the font has; others become a question mark."""
    spelled = "".join(_WORDS.get(letter, letter) for letter in text)
    return spelled.encode("latin-1", "replace").decode("latin-1")


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
