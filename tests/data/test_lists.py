"""Lists of pictures as other programs write them: every dialect of CSV, JSON lines, any bytes."""

import csv
import io
import json
import math
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pictures import add, pixels, png
from tests.refusals import one_line
from unnoise.core.errors import LONGEST
from unnoise.data import scan
from unnoise.data.pictures import labels as module
from unnoise.data.pictures import rows
from unnoise.data.pictures.decide import decide
from unnoise.data.pictures.entry import Entry, Found, Listed
from unnoise.data.pictures.labels import word

NAMES = ("0.png", "a/1.png", "a/b c.png", "é/3,4.png")
quick = settings(deadline=None, max_examples=80)


def found(lists: dict[str, bytes], names: tuple[str, ...] = NAMES) -> Found:
    readers = {name: lambda content=content: content for name, content in lists.items()}
    return decide(Listed([Entry(name, lambda: b"") for name in names], readers))


def labels_of(lists: dict[str, bytes], names: tuple[str, ...] = NAMES) -> dict[str, str | None]:
    return {entry.name: entry.label for entry in found(lists, names).entries}


# -- dialects --------------------------------------------------------------------------------------

WORDS = (
    st.text(st.sampled_from("abcXYZ가é1-_ "), min_size=1, max_size=8).map(str.strip).filter(bool)
)
FILES = ["file_name", "File Name", "filename", " FILENAME ", "path", "image", "Image_Path", "file"]
LABELS = ["label", "Label", "class", " Class Name", "category", "target", "cls"]
TEXTS = ["text", "Caption", "prompt"]


@quick
@given(
    given=st.lists(st.tuples(WORDS, WORDS), min_size=4, max_size=4),
    heads=st.tuples(st.sampled_from(FILES), st.sampled_from(LABELS), st.sampled_from(TEXTS)),
    separator=st.sampled_from(",;\t|"),
    ends=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]),
    blank=st.sampled_from(["", " "]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    order=st.permutations(range(3)),
    suffix=st.sampled_from(["csv", "tsv"]),
)
def test_every_dialect(given, heads, separator, ends, encoding, blank, quoting, order, suffix):
    """Separators, line ends, encodings, quotes, blanks, names and order of columns."""
    given = [("p", given[0][1]), ("q", given[1][1]), *given[2:]]
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=separator, lineterminator=ends, quoting=quoting)
    table = [heads, *((name, *each) for name, each in zip(NAMES, given, strict=True))]
    for row in table:
        writer.writerow([row[k] for k in order])
    text = stream.getvalue().replace(separator, separator + blank) if blank else stream.getvalue()
    if blank and separator == ",":
        text = text.replace("3, 4", "3,4")
    said = found({f"metadata.{suffix}": text.encode(encoding)})
    entries = {entry.name: (entry.label, entry.text) for entry in said.entries}
    assert entries == dict(zip(NAMES, given, strict=True)) and not said.refused


@quick
@given(
    st.lists(
        st.one_of(
            st.none(), st.booleans(), st.integers(-9, 99), st.floats(width=32), WORDS, st.just(" ")
        ),
        min_size=4,
        max_size=4,
    )
)
def test_labels_of_any_kind_in_json(values: list[object]):
    text = "".join(
        json.dumps({"file_name": name, "label": value}) + "\n"
        for name, value in zip(NAMES, values, strict=True)
    )
    said = found({"metadata.jsonl": text.encode()})
    meant = [word(value) for value in values]
    if None not in meant:
        assert [entry.label for entry in said.entries] == [
            label for _, label in sorted(zip(NAMES, meant, strict=True))
        ]
    assert len(said.entries) + len(said.refused) == 4


def test_words_of_labels():
    for value, meant in (
        (1, "1"), (1.0, "1"), ("1.0", "1"), (" 10.00 ", "10"), ("-1.", "-1"), (1.5, "1.5"),
        ("1.5", "1.5"), ("01", "01"), (True, "true"), ("", None), ("  ", None), ("nan", None),
        ("NaN", None), (math.nan, None), (None, None), ("none", "none"), ("v1.0", "v1.0"),
        ("9" * 5000 + ".0", "9" * 5000),
    ):  # fmt: skip
        assert word(value) == meant
    for value in ([1], {"a": 1}):
        with pytest.raises(ValueError, match="a word or a number"):
            word(value)


HEAD = "file_name,label\n"
EVERY = {"0.png": "x", "a/1.png": "y", "a/b c.png": "x", "é/3,4.png": "y"}
REST = 'a/b c.png,x\n"é/3,4.png",y\n'
ODD: dict[str, str] = {
    "semicolons": "file_name;label\n0.png;x\na/1.png;y\na/b c.png;x\né/3,4.png;y\n",
    "Excel's first line": "sep=;\nfile_name;label\n0.png;x\na/1.png;y\na/b c.png;x\né/3,4.png;y\n",
    "empty lines": "\n\n" + HEAD + "\n0.png,x\n\n\na/1.png,y\n" + REST,
    "more columns": "id,file_name,label,w\n1,0.png,x,\n2,a/1.png,y,\n3,a/b c.png,x,\n4,"
    '"é/3,4.png",y,\n',
    "trailing commas": HEAD + '0.png,x,\na/1.png,y,,\na/b c.png,x\n"é/3,4.png",y\n',
    "backslashes": HEAD + "0.png,x\na\\1.png,y\n.\\a\\b c.png,x\n" + '"./é/3,4.png",y\n',
    "no heading": "0.png,x\na/1.png,y\n" + REST,
    "no heading, label first": 'x,0.png\ny,a/1.png\nx,a/b c.png\ny,"é/3,4.png"\n',
    "no folders, no suffixes": HEAD + '0,x\n1.png,y\nB C.PNG,x\n"3,4",y\n',
    "another column of files": "image_id,path,label\nq1,0.png,x\nq2,a/1.png,y\nq3,a/b c.png,x\nq4,"
    '"é/3,4.png",y\n',
    "a single other column": "id,breed\n0,x\na/1.png,y\n" + REST,
}


@pytest.mark.parametrize("name", ODD)
def test_lists_of_odd_form(name: str):
    assert labels_of({"metadata.csv": ODD[name].encode()}) == EVERY


WRONG: dict[str, tuple[str, str]] = {
    "an empty label": (HEAD + "0.png,x\na/1.png,y\na/b c.png,\n" + REST[12:], "has no label"),
    "twice": (HEAD + "0.png,x\na/1.png,y\n0.png,y\n" + REST, "stands twice in metadata.csv"),
    "not there": (HEAD + "0.png,x\na/1.png,y\nb.png,y\n" + REST, "is not there"),
    "leads out": (HEAD + "0.png,x\na/1.png,y\n../../0.png,y\n" + REST, "is not there"),
    "too many cells": (HEAD + "0.png,x\na/1.png,y\na,b,c\n" + REST, "has 3 cells, the first line"),
    "missing": (HEAD + "0.png,x\na/1.png,y\n" + REST[:12], "does not stand in metadata.csv"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(name: str):
    text, reason = WRONG[name]
    said = found({"metadata.csv": text.encode()})
    assert [each.reason for each in said.refused if reason in each.reason]
    assert said.classes == ("x", "y") and len(said.refused) == 1


def test_lists_that_say_nothing_are_refused_by_name():
    for text, reason in (
        (b"name of it,y\nq,1\n", "metadata.csv: its first line names no column of files"),
        (
            b"file_name,label,Label\n0.png,1,2\n",
            "metadata.csv, line 1 names the column label twice",
        ),
        (b"\xff\xfe\x00", "metadata.csv is not written in UTF-16"),
        (b"file_name\n\x80\xff\n", "metadata.csv is not written in UTF-8"),
    ):
        assert reason in one_line(lambda text=text: found({"metadata.csv": text}))
    said = found({"metadata.csv": b"file_name,size\n0.png,1\na/1.png,2\n"})
    assert "metadata.csv has no column called label or text" in said.told
    for empty in (b"", HEAD.encode(), b"\n\n"):
        said = found({"metadata.csv": empty})
        assert not said.entries
        assert {each.reason for each in said.refused} == {"does not stand in metadata.csv"}
    twice = b'{"file_name": "0.png", "label": 1, "label": 2}\n{"file_name": "a/1.png"}\n'
    said = found({"metadata.jsonl": twice})
    assert "a key stands twice" in next(e.reason for e in said.refused if "line 1" in e.name)


@quick
@given(st.binary(max_size=300), st.sampled_from(["csv", "jsonl", "tsv"]))
def test_any_bytes_end_in_a_sentence(content: bytes, suffix: str):
    for before in (b"", b"file_name,label\n0.png,1\n", b'{"file_name": "0.png", "label": 1}\n'):
        lists = {f"metadata.{suffix}": before + content, f"a/x.{suffix}": content}
        one_line(lambda lists=lists: found(lists))


# -- where lists lie -------------------------------------------------------------------------------


def test_lists_of_code_pages():
    said = found(
        {"metadata.csv": (HEAD + "0.png,고양이\na/1.png,강아지\n").encode("cp949")}, NAMES[:2]
    )
    assert said.classes == ("강아지", "고양이") and "metadata.csv is read as cp949" in said.told


SPLIT = ("train/0.png", "train/1.png", "train/2.png", "test/0.png", "test/1.png")
IN_PARTS = {
    "train/metadata.csv": HEAD + "0.png,x\n1.png,y\n2.png,x\n",
    "test/metadata.jsonl": '{"file_name": "0.png", "label": "y"}\n'
    '{"file_name": "1.png", "label": "x"}\n',
}


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
@pytest.mark.parametrize("top", ["", "outer/"])
def test_lists_in_the_folders_of_parts(kind: str, top: str, tmp_path: Path):
    """Names in them are of their own folder; folder and archives alike."""
    files = {f"{top}{name}": png(pixels(k)) for k, name in enumerate(SPLIT)}
    files |= {f"{top}{name}": text.encode() for name, text in IN_PARTS.items()}
    place = tmp_path / f"a.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(place, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    elif kind == "tar":
        with tarfile.open(place, "w") as archive:
            for name, content in files.items():
                add(archive, name, content)
    else:
        for name, content in files.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(content)
    said = scan(place)
    assert [entry.label for entry in said.entries] == ["x", "y", "x"] and not said.refused
    assert said.held is not None
    assert [entry.label for entry in said.held.entries] == ["y", "x"]
    assert said.told == "3 pictures, 2 classes: x 2, y 1; test/ (2) is held out"


PLACES = st.tuples(
    st.lists(st.sampled_from(["train", "test", "cat", "dog"]), max_size=2), st.integers(0, 9)
).map(lambda pair: "/".join([*pair[0], f"{pair[1]}.png"]))
TABLES = st.lists(
    st.tuples(st.one_of(PLACES, st.just("none.png")), st.sampled_from(["", "x", "y"]))
)


@quick
@given(
    names=st.lists(PLACES, min_size=1, max_size=20, unique=True),
    tables=st.dictionaries(
        st.builds(
            str.__add__,
            st.sampled_from(["", "train/", "test/", "cat/"]),
            st.sampled_from(["metadata.csv", "metadata.jsonl", "labels.csv", "other.csv"]),
        ),
        TABLES,
        max_size=3,
    ),
)
def test_no_picture_vanishes(names: list[str], tables: dict[str, list[tuple[str, str]]]):
    """Wherever lists lie and whatever they name."""
    lists: dict[str, bytes] = {}
    for path, table in tables.items():
        lines = [json.dumps({"file_name": name, "label": label}) for name, label in table]
        text = "\n".join(lines if path.endswith("jsonl") else [f"{a},{b}" for a, b in table])
        lists[path] = (text if path.endswith("jsonl") else HEAD + text).encode()
    said = found(lists, tuple(names))
    held = said.held or Found([])
    kept = [entry.name for entry in (*said.entries, *held.entries)]
    refused = [each.name for each in (*said.refused, *held.refused) if each.name in names]
    assert len(set(kept)) == len(kept) and set(kept) <= set(names)
    left = set(names) - set(kept) - set(refused)
    assert not left or "is left out" in said.told
    # A row that stands twice is refused by its picture's name, which stays.
    doubtful = {
        each.name for each in said.refused if "twice" in each.reason or "there" in each.reason
    }
    assert set(kept) & set(refused) <= doubtful


def test_a_list_of_other_pictures_leaves_none():
    """They are refused, and not taken by their folders after all."""
    said = found({"metadata.csv": (HEAD + "q.png,1\nr.png,2\n").encode()}, ("a/0.png", "b/1.png"))
    assert not said.entries and len(said.refused) == 4


def test_a_list_of_one_part():
    """What lies elsewhere stays, without a label."""
    text = (HEAD + "0.png,x\n1.png,y\n2.png,x\n").encode()
    said = found({"train/labels.csv": text}, SPLIT)
    assert [entry.label for entry in said.entries] == ["x", "y", "x"]
    assert "test/ (2) has no labels and is left out" in said.told


def test_a_list_above_the_parts():
    """Only what is trained on must stand in it."""
    said = found({"metadata.csv": (HEAD + "train/0.png,x\ntrain/1.png,y\n").encode()}, SPLIT)
    assert [each.name for each in said.refused] == ["train/2.png"]
    assert said.held is None and "test/ (2) has no labels and is left out" in said.told


def test_captions_alone():
    """Then folders are no classes, as ever; and it is said."""
    text = b'{"file_name": "a/0.png", "text": "x"}\n{"file_name": "b/1.png", "text": "y"}\n'
    said = found({"metadata.jsonl": text}, ("a/0.png", "b/1.png"))
    assert (
        said.told == "2 pictures without classes; no list names labels, so folders are no classes"
    )
    assert [entry.text for entry in said.entries] == ["x", "y"]


def test_lists_of_other_names():
    """Read where one alone says what the pictures are; else named as not read."""
    flat = tuple(f"{k}.png" for k in range(4))
    text = ("filename,class\n" + "".join(f"{k}.png,{k % 2}\n" for k in range(4))).encode()
    said = found({"labels.csv": text}, flat)
    assert said.classes == ("0", "1") and "labels are those of labels.csv" in said.told
    for lists, names in (
        ({"labels.csv": text, "other.tsv": text}, flat),
        ({"labels.csv": text}, ("a/0.png", "a/1.png", "b/2.png", "b/3.png")),
    ):
        said = found(lists, names)
        assert "labels.csv is not read; call it metadata.csv if it is meant" in said.told
        assert said.classes == (None if names is flat else ("a", "b"))
    for content in (b"\xff\x00" * 9, b"x,y\n1,2\n", b"filename,class\nq.png,1\n"):
        assert found({"labels.csv": content}, flat).told == "4 pictures without classes"
    both = {"metadata.jsonl": b'{"file_name": "0.png", "label": 1}\n', "metadata.csv": text}
    assert "metadata.jsonl is not read, but metadata.csv" in found(both, flat).told
    many = {f"{k}.csv": text for k in range(99)}
    assert "99 lists of other names than metadata are not read" in found(many, flat).told


def test_words_that_are_numbers():
    text = HEAD + "0.png,1.0\na/1.png,2\na/b c.png,1\n" + '"é/3,4.png",2.0\n'
    said = found({"metadata.csv": text.encode()})
    assert said.classes == ("1", "2") and len(said.told) <= LONGEST


def test_canaries(monkeypatch: pytest.MonkeyPatch):
    for where, name, broken, test in (
        (module, "word", lambda value: value, test_words_that_are_numbers),
        (rows, "_SEPARATORS", ",", lambda: test_lists_of_odd_form("semicolons")),
        (rows, "guessed", lambda texts: None, test_lists_of_code_pages),
        (rows, "plain", str, lambda: test_what_is_wrong_is_named("twice")),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(where, name, broken)
            with pytest.raises((AssertionError, ValueError)):
                test()
