"""Guess of the code page of names and lists that are not written in UTF-8."""

import re
from collections.abc import Callable, Sequence

_LOOKED_AT = 1 << 20  # letters
_ENOUGH = 0.9  # share of the letters that must be common ones of their script


def guessed(texts: Sequence[bytes]) -> str | None:
    """Guess the code page of texts: UTF-8, or that of a script whose common letters they hold.

    The guess is one for all texts, so it is the same whatever their order.

    Arguments:
        texts: bytes, such as names of files in one archive.

    Returns:
        Name of a Python codec; None where no code page makes common letters of them all.
    """
    whole = b"\n".join(sorted({text for text in texts if not text.isascii()}))
    for page in ("ascii", "utf-8"):
        if _decoded(whole, page) is not None:
            return page
    for page, is_common in _PAGES.items():
        text = (_decoded(whole, page) or "")[:_LOOKED_AT]
        letters = [letter for letter in text if ord(letter) > 127]
        if page == "cp1252" and any(map(_is_word, _RUNS.findall(text))):
            continue
        if text and sum(map(is_common, letters)) >= _ENOUGH * len(letters):
            return page
    return None


def readable(paths: Sequence[str]) -> tuple[dict[str, str], str | None]:
    """Names of folders and files that are not UTF-8, read by the code page that is guessed.

    Arguments:
        paths: as Python reads them from a file system, with "/".

    Returns:
        Those that are to be read otherwise with what they are then; and the code page, None where
        nothing was guessed.
    """
    odd = [path for path in paths if not path.isascii() and _HALVES.search(path)]
    parts = {part for path in odd for part in path.split("/") if _HALVES.search(part)}
    try:
        raw = {part: part.encode("utf-8", "surrogateescape") for part in parts}
    except UnicodeEncodeError:  # halves that stand for no bytes
        return {}, None
    page = guessed(list(raw.values())) if raw else None
    if page is None:
        return {}, None
    known = {part: content.decode(page) for part, content in raw.items()}
    return {path: "/".join(known.get(p, p) for p in path.split("/")) for path in odd}, page


_HALVES = re.compile("[\ud800-\udfff]")


def _decoded(content: bytes, page: str) -> str | None:
    try:
        return content.decode(page)
    except UnicodeDecodeError:
        return None


def _first_byte(letter: str, page: str) -> int:
    """First of the two bytes of a letter in a code page; 0 where it has one, or none."""
    try:
        encoded = letter.encode(page)
    except UnicodeEncodeError:
        return 0
    return encoded[0] if len(encoded) == 2 else 0


def _is_korean(letter: str) -> bool:
    # Of all syllables the 2,350 of KS X 1001: others are what bytes of other scripts come to.
    return "가" <= letter <= "힣" and _first_byte(letter, "euc_kr") > 0


def _is_japanese(letter: str) -> bool:
    return 0x81 <= _first_byte(letter, "cp932") <= 0x97  # kana, and kanji of the first level


def _is_western(letter: str) -> bool:
    return "À" <= letter <= "ÿ" or letter in "ŒœŠšŽžŸ"


def _is_word(run: str) -> bool:
    """Whether letters beyond ASCII stand together as none do between plain ones."""
    return len(run) > 2


_RUNS = re.compile(r"[^\x00-\x7f]+")


def _is_cyrillic(letter: str) -> bool:
    return "А" <= letter <= "я" or letter in "Ёё"


def _is_chinese(letter: str) -> bool:
    return 0xB0 <= _first_byte(letter, "gb2312") <= 0xD7


def _is_traditional(letter: str) -> bool:
    return 0xA4 <= _first_byte(letter, "big5") <= 0xC6


_PAGES: dict[str, Callable[[str], bool]] = {
    "cp949": _is_korean,
    "cp1252": _is_western,
    "cp932": _is_japanese,
    "gb18030": _is_chinese,
    "big5": _is_traditional,
    "cp1251": _is_cyrillic,
}
