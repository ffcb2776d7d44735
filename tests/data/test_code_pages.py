"""Names in any bytes and any order: code pages that are guessed, numbers in names, paths."""

import os
import random
from functools import cmp_to_key
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.commands import refused
from tests.refusals import one_line
from unnoise.data import codepages, images, npy, prepare, prepared, scan, webdataset, write_index
from unnoise.data.codepages import guessed, readable
from unnoise.data.names import natural, place_of
from unnoise.recipes import data_table

quick = settings(deadline=None, max_examples=40)
KOREAN = [
    bytes((a, b)).decode("euc_kr") for a in range(0xB0, 0xC9) for b in range(0xA1, 0xFF)
]  # the 2,350 syllables that are in use
SCRIPTS = {
    "cp949": st.text(st.sampled_from(KOREAN), min_size=2, max_size=9),
    "cp932": st.text(st.characters(min_codepoint=0x30A1, max_codepoint=0x30F4), min_size=2),
    "cp1251": st.text(st.characters(min_codepoint=0x430, max_codepoint=0x44F), min_size=3),
}


@pytest.mark.parametrize("page", SCRIPTS)
def test_names_of_one_code_page(page: str):
    """Whatever is written in it, among names in plain letters: the page, and the words."""

    @quick
    @given(st.lists(SCRIPTS[page], min_size=3, max_size=9))
    def found(words: list[str]) -> None:
        raw = [word.encode(page) for word in words] + [b"plain/0.png"]
        if guessed(raw) in ("ascii", "utf-8"):
            return  # bytes that happen to be both
        decoded = [content.decode(guessed(raw) or "ascii") for content in raw]
        assert decoded[:-1] == words
        shuffled = random.Random(1).sample(raw, len(raw))
        assert guessed(shuffled) == guessed(raw)

    found()


def test_words_of_the_west():
    for word in ("café", "Ärger", "señor", "thé", "naïf", "Übergröße", "œuvre"):
        raw = [word.encode("cp1252"), b"plain"]
        assert guessed(raw) == "cp1252"
    assert guessed(["고양이".encode(), "é".encode()]) == "utf-8" and guessed([b"a"]) == "ascii"
    assert guessed([bytes(range(256))]) is None and guessed([]) == "ascii"


@quick
@given(st.lists(st.binary(max_size=12), max_size=6))
def test_any_bytes(names: list[bytes]):
    """A guess can read all that it was made of."""
    page = guessed(names)
    if page is not None:
        assert all(name.decode(page) or not name for name in names)


@quick
@given(st.lists(st.binary(min_size=1, max_size=9).filter(lambda b: b"/" not in b), max_size=6))
def test_paths_of_any_bytes(parts: list[bytes]):
    path = b"/".join(parts).decode("utf-8", "surrogateescape")
    known, page = readable([path, "plain/강아지"])
    assert set(known) <= {path}
    if page is None:
        assert not known
    else:
        assert known[path].encode()  # which half letters cannot be
        assert readable([known[path]]) == ({}, None)


def test_only_what_is_no_utf_8_is_read_otherwise():
    odd = os.fsdecode("강아지".encode() + b"/" + "고양이".encode("cp949") + b".png")
    assert readable([odd, "개/0.png"]) == ({odd: "강아지/고양이.png"}, "cp949")
    mixed = [odd, os.fsdecode(b"caf\xe9"), os.fsdecode(b"\xff\xfe")]
    assert readable(mixed) == ({}, None)


def test_canary_a_guess_without_common_letters(monkeypatch: pytest.MonkeyPatch):
    """Bytes of most pages can be read by others: only common letters tell."""
    words = ["коты".encode("cp1251")]
    assert guessed(words) == "cp1251"
    monkeypatch.setattr(codepages, "_ENOUGH", 0.0)
    assert guessed(words) == "cp949"


# -- order -----------------------------------------------------------------------------------------


def by_hand(a: str, b: str) -> int:
    """Natural order as it is told: letter by letter, but runs of digits by value."""
    i = j = 0
    while i < len(a) and j < len(b):
        if a[i] in "0123456789" and b[j] in "0123456789":
            x = y = ""
            while i < len(a) and a[i] in "0123456789":
                x, i = x + a[i], i + 1
            while j < len(b) and b[j] in "0123456789":
                y, j = y + b[j], j + 1
            if int(x) != int(y):
                return -1 if int(x) < int(y) else 1
        elif a[i] != b[j]:
            x, y = (("0" if c in "0123456789" else c) for c in (a[i], b[j]))
            return -1 if x < y else 1
        else:
            i, j = i + 1, j + 1
    if (i < len(a)) != (j < len(b)):
        return 1 if i < len(a) else -1
    return (a > b) - (a < b)


@quick
@given(st.lists(st.text("abC019 _-é", max_size=6), max_size=8, unique=True))
def test_natural_order(words: list[str]):
    numbers = [word for word in words if word.isascii() and word.isdigit()]
    others = [word for word in words if word not in numbers]
    meant = sorted(numbers, key=lambda word: (int(word), word))
    meant += sorted(others, key=cmp_to_key(by_hand))
    assert sorted(words, key=natural) == meant


def test_two_before_ten():
    words = [f"class_{k}" for k in range(12)] + ["2", "10", "img2", "img10", "9" * 5000]
    shuffled = random.Random(0).sample(words, len(words))
    first = ["2", "10", "9" * 5000]
    assert sorted(shuffled, key=natural) == [*first, *words[:12], "img2", "img10"]


# -- paths -----------------------------------------------------------------------------------------


def test_an_empty_path_is_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As that of a variable that nobody set: it is not the working directory."""
    monkeypatch.chdir(tmp_path)
    for work in (scan, images, npy, prepared, data_table, write_index):
        for path in ("", "  "):
            assert "an empty path" in one_line(lambda path=path, work=work: work(path))
    assert "an empty path" in one_line(lambda: webdataset("", 6))
    assert "an empty path" in one_line(lambda: prepare("", "out", None))
    for words in (("prepare", "", "out"), ("train", "digits", "--data", "")):
        assert "an empty path" in refused(*words)


def test_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert place_of("~/photos") == f"{tmp_path}/photos" and place_of("hf:~/x") == f"hf:{tmp_path}/x"
    assert place_of("a~b") == "a~b" and place_of("~nobody-at-all/x") == "~nobody-at-all/x"
    (tmp_path / "index.json").write_text("{}")
    assert data_table("~")["kind"] == "webdataset" and data_table("~/a.NPZ")["kind"] == "npy"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~").mkdir()
    assert place_of("~") == "~"
