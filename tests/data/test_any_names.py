"""Names and numbers of any kind: bytes that are no UTF-8, half letters, thousands of digits."""

import csv
import io
import json
import os
import random
import sys
import tarfile
import time
import zipfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.commands import POINTS, good, refused
from tests.pictures import add, fill, pixels, png
from unnoise.core.errors import InputError
from unnoise.data import (
    Look,
    RefusedFile,
    digits,
    images,
    prepare,
    prepared,
    scan,
    webdataset,
    write_index,
)
from unnoise.data.names import Refusal, shown, writable
from unnoise.data.pictures import outline
from unnoise.data.pictures.entry import Entry, Found
from unnoise.data.pictures.images import told

ODD = {
    "고양이".encode("cp949"): "\\xb0\\xed\\xbe\\xe7\\xc0\\xcc",
    "é".encode("latin-1"): "\\xe9",
    b"a\xffb": "a\\xffb",
    "🦉".encode(): "🦉",
    "👩‍🚀".encode(): "👩‍🚀",
    "강아지".encode(): "강아지",
    b"\\xb0": "\\xb0",
    b"plain": "plain",
}
CLASSES = tuple(sorted(ODD.values()))
on_bytes = pytest.mark.skipif(
    os.name == "nt" or sys.platform == "darwin", reason="names of files are letters there"
)
HALF = '"\\udcb0 \\ud800 \\ud83e\\udd89"'  # as JSON has it: two halves, and a whole owl
WHOLE = "\\xb0 \\ud800 🦉"


def odd_folder(top: Path) -> Path:
    for k, name in enumerate(ODD):
        folder = os.fsencode(top) + b"/" + name
        os.makedirs(folder)
        for i in range(3):
            with open(folder + b"/%d\xfe.png" % i, "wb") as stream:
                stream.write(png(pixels(10 * k + i)))
    return top


def read(kind: str, top: Path) -> Found:
    """What is found where labels and captions have half letters, in sources of each kind."""
    picture = png(pixels(0))
    row = f'{{"file_name": "0.png", "label": {HALF}, "text": {HALF}}}\n'
    if kind == "list":
        (top / "0.png").write_bytes(picture)
        (top / "metadata.jsonl").write_text(row)
        return scan(top)
    if kind == "zip":
        with zipfile.ZipFile(top / "a.zip", "w") as archive:
            archive.writestr("0.png", picture)
            archive.writestr("metadata.jsonl", row)
        return scan(top / "a.zip")
    with tarfile.open(top / "a.tar", "w") as archive:
        add(archive, "0.png", picture)
        add(archive, "0.json", row.encode())
    return scan(top / "a.tar")


# -- bytes -----------------------------------------------------------------------------------------


@on_bytes
def test_folders_of_any_bytes(tmp_path: Path):
    found = scan(odd_folder(tmp_path))
    assert found.classes == CLASSES
    assert json.loads(json.dumps(CLASSES, ensure_ascii=False).encode()) == list(CLASSES)
    assert {entry.label for entry in found.entries} == set(CLASSES)
    assert len(found.entries) == 3 * len(ODD)


@on_bytes
def test_prepared_and_trained(tmp_path: Path):
    """Through all files that a training leaves: names in them can be read again."""
    source = odd_folder(tmp_path / "source")
    where = os.fsdecode(os.fsencode(tmp_path) + b"/out\xb0")
    for out in (str(tmp_path / "out"), where):
        good("prepare", source, out, "--held-out", 0.3, "--licence", os.fsdecode(b"mine\xb0"))
        ready = prepared(out)
        assert ready.info.class_names == CLASSES
        assert ready.info.licence == os.fsdecode(b"mine\xb0")
        assert ready.info.name == shown(os.path.basename(out))
    recipe = tmp_path / "tiny.toml"
    network = POINTS.partition("[model]")[2].replace(
        "width = 16", f"width = 16, classes = {len(CLASSES)}"
    )
    recipe.write_text("[model]" + network)
    for data in (tmp_path / "out", source):
        out = tmp_path / f"run {data.name}"
        good("train", recipe, "--data", data, "--out", out, "--device", "cpu")
        good("sample", out, "--label", "\\xe9", "-n", 2, "--steps", 2, "-o", tmp_path / "a.png")
        assert "no such class" in refused("sample", out, "--label", "9" * 5000, "-n", 2)


@on_bytes
def test_tar_files_of_any_bytes(tmp_path: Path):
    """As classes, and as names of shards in an index."""
    name = os.fsdecode(b"\xb0.tar")
    with tarfile.open(tmp_path / name, "w") as archive:
        add(archive, os.fsdecode(b"\xe9.png"), png(pixels(0)))
        add(archive, os.fsdecode(b"\xe9.json"), f'{{"label": {HALF}}}'.encode())
    before = webdataset(str(tmp_path), 6)
    index = json.loads(write_index(tmp_path).read_text("utf-8"))
    assert index["classes"] == [WHOLE] and index["shardlist"][0]["url"] == name
    after = webdataset(str(tmp_path), 6)
    assert before.info.class_names == after.info.class_names == (WHOLE,)
    assert before[:].label.tolist() == after[:].label.tolist() == [0]


@pytest.mark.parametrize("name", ["a b.tar", "train (1).tar", "a+b%20.tar", "-x.tar", "점수.tar"])
def test_an_index_that_we_wrote_can_be_read(name: str, tmp_path: Path):
    with tarfile.open(tmp_path / name, "w") as archive:
        add(archive, "0.png", png(pixels(0)))
    write_index(tmp_path)
    assert len(webdataset(str(tmp_path), 6)) == 1


@pytest.mark.parametrize("kind", ["list", "zip", "tar"])
def test_half_letters_in_labels_and_captions(kind: str, tmp_path: Path):
    (entry,) = read(kind, tmp_path).entries
    assert (entry.label, entry.text) == (WHOLE, WHOLE)


def test_captions_with_rare_line_ends_come_back(tmp_path: Path):
    """Letters at which Python would split a line, though JSON does not escape them."""
    caption = "one\u2028two\u2029three\x85four\x0bfive"
    source = fill(tmp_path / "source", 2)
    names = sorted(file.relative_to(source).as_posix() for file in source.rglob("*.png"))
    rows = [{"file_name": name, "text": caption} for name in names]
    (source / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    prepare(source, tmp_path / "out", Look(), held_out=0.0)
    assert prepared(str(tmp_path / "out")).texts == (caption, caption)


def test_writable_changes_nothing_else():
    draw = random.Random(0)
    letters = [chr(draw.randrange(0x110000)) for _ in range(20_000)]
    whole = "".join(c for c in letters if not 0xD800 <= ord(c) < 0xE000)
    assert writable(whole) == whole
    for code in range(0xD800, 0xE000):
        assert writable(f"a{chr(code)}b").isascii()
    for byte in range(0x80, 0x100):
        assert writable(os.fsdecode(b"a\xff" + bytes([byte]))).endswith(f"\\x{byte:02x}")


# -- numbers and lengths ---------------------------------------------------------------------------


def labels_of(*words: str) -> Found:
    return Found([Entry(f"{k}.png", lambda: b"", word) for k, word in enumerate(words)])


def test_numbers_of_any_length_sort_by_value():
    """As they did when Python read them, and beyond what it reads."""
    draw = random.Random(1)
    words = [str(draw.randrange(10 ** draw.randrange(1, 30))) for _ in range(300)]
    words += ["0", "00", "007", "07", "7", "a", "1a", "²", "٣", "-1", "1.5", ""]
    by_value = sorted(
        set(words), key=lambda w: (0, int(w), w) if w.isascii() and w.isdigit() else (1, 0, w)
    )
    assert labels_of(*words).classes == tuple(by_value)
    long = ["9" * 5000, "1" + "0" * 5000, "2", "0" * 5000 + "3"]
    assert labels_of(*long).classes == ("2", long[3], long[0], long[1])


def test_canary_numbers_that_python_reads():
    with pytest.raises(ValueError, match="4300 digits"):
        sorted(["9" * 5000, "1"], key=int)


def test_labels_of_thousands_of_digits(tmp_path: Path):
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(png(pixels(number)))
    rows = [f'{{"file_name": "{k}.png", "label": "{"9" * (5000 + k)}"}}\n' for k in range(3)]
    rows.append(f'{{"file_name": "3.png", "label": {"9" * 5000}}}\n')
    (tmp_path / "metadata.jsonl").write_text("".join(rows))
    found = scan(tmp_path)
    assert [len(name) for name in found.classes or ()] == [5000, 5001, 5002]
    assert "too many digits" in found.refused[0].reason
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        add(archive, "0.png", png(pixels(0)))
        add(archive, "0.cls", b"9" * 5000)
    assert images(str(tmp_path / "a.tar"), held_out=0.0).info.class_names == ("9" * 5000,)


@pytest.mark.parametrize("text", ["9" * 5000, "9" * 19, "x" * 10**6, "-1", "²"])
@pytest.mark.parametrize("names", [None, tuple("abcdefghijklmno"), ("x" * 10**6, "b")])
def test_no_such_label(text: str, names: tuple[str, ...] | None):
    info = replace(digits().info, class_names=names, classes=15)
    if text in (names or ()):
        return
    with pytest.raises(InputError) as caught:
        info.label(text)
    assert len(str(caught.value)) <= 200


def test_names_that_fit_no_model_file_are_refused_at_once(tmp_path: Path):
    for number in range(2):
        (tmp_path / f"{number}.png").write_bytes(png(pixels(number)))
    rows = [f'{{"file_name": "{k}.png", "label": "{k}{"x" * (6 << 20)}"}}\n' for k in range(2)]
    (tmp_path / "metadata.jsonl").write_text("".join(rows))
    with pytest.raises(InputError, match="too long for a model file"):
        images(str(tmp_path), held_out=0.0)
    assert images(str(tmp_path), held_out=0.0, labels=False).info.classes is None


# -- lists that no program would write -------------------------------------------------------------


def with_list(folder: Path, content: bytes, kind: str) -> Found:
    for number in range(3):
        (folder / f"{number}.png").write_bytes(png(pixels(number)))
    (folder / f"metadata.{kind}").write_bytes(content)
    return scan(folder)


def test_a_line_of_forty_million_letters(tmp_path: Path):
    """Its name is not walked letter by letter, and not printed (R16)."""
    began = time.perf_counter()
    row = json.dumps({"file_name": "a/\x01" * 10_000_000}).encode() + b"\n"
    found = with_list(tmp_path, row + b"[" * 1_000_000 + b"\n", "jsonl")
    assert time.perf_counter() - began < 5
    assert (
        "nested too deeply"
        in {each.name: each.reason for each in found.refused}["metadata.jsonl, line 2"].__str__()
    )
    assert max(len(each.name) for each in found.refused) < 500_000
    assert len(told(found.refused, 3)) < 600


def test_a_column_that_is_too_long_for_csv(tmp_path: Path):
    text = b"file_name,label\n0.png,cat\n1.png," + b"x" * 200_000 + b"\n2.png,dog\n"
    found = with_list(tmp_path, text, "csv")
    assert [(entry.name, entry.label) for entry in found.entries] == [
        ("0.png", "cat"),
        ("2.png", "dog"),
    ]
    assert Refusal("metadata.csv, line 3", "no CSV: field larger than field limit (131072)") in (
        found.refused
    )


def test_line_ends_of_old_macs(tmp_path: Path):
    found = with_list(tmp_path, b'file_name,text\r0.png,"a\rb"\r1.png,c\r2.png,d\r', "csv")
    assert [entry.text for entry in found.entries] == ["a\rb", "c", "d"] and not found.refused


def test_a_heading_that_is_no_csv(tmp_path: Path):
    with pytest.raises(InputError, match="line 1 names no columns"):
        with_list(tmp_path, b"file_name," + b"x" * 200_000 + b"\n0.png,a\n", "csv")


# -- archives that were made to harm ---------------------------------------------------------------


def a_tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for number in range(3):
            add(archive, f"{'d' * 120}/é{number}.png", png(pixels(number)))
            add(archive, f"{'d' * 120}/é{number}.cls", b"3")
    return stream.getvalue()


def a_zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for number in range(4):
            archive.writestr(f"c{number % 2}/é{number}.png", png(pixels(number)))
    return stream.getvalue()


def said_of(path: Path) -> str:
    """Why a source cannot be read; "" where it can."""
    try:
        for entry in scan(path).entries:
            with suppress(RefusedFile):
                entry.read()
    except InputError as error:
        return str(error)
    return ""


def mended(content: bytearray) -> None:
    """Give a tar file's heads the checksums that they should have."""
    for place in range(0, len(content) - 511, 512):
        head = content[place : place + 512]
        if head[257:262] == b"ustar":
            total = 8 * 32 + sum(head[:148]) + sum(head[156:])
            content[place + 148 : place + 156] = b"%06o\0 " % total


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_damaged_heads_end_in_a_sentence(kind: str, tmp_path: Path):
    whole = {"tar": a_tar, "zip": a_zip}[kind]()
    draw = random.Random(2)
    path = tmp_path / f"a.{kind}"
    refusals = 0
    for _ in range(400):
        content = bytearray(whole)
        for _ in range(draw.choice((1, 2, 5))):
            place = draw.randrange(len(content))
            if kind == "zip":
                place = len(content) - 1 - draw.randrange(500)
            content[place] = draw.choice((0, 255, 128, draw.randrange(256)))
        if kind == "tar":
            mended(content)
        path.write_bytes(content)
        refusal = said_of(path)
        assert len(refusal) <= 200 and "\n" not in refusal
        refusals += refusal != ""
    assert refusals > 20


@pytest.mark.parametrize("size", [-5, 2**62, 2**80])
def test_a_tar_of_an_impossible_size(size: int, tmp_path: Path):
    content = bytearray(a_tar())
    first = content.index(b"\x89PNG") - 512
    content[first + 124 : first + 136] = (b"\xff" if size < 0 else b"\x80") + (
        size % 2**88
    ).to_bytes(11, "big")
    mended(content)
    (tmp_path / "a.tar").write_bytes(content)
    assert "no tar file" in said_of(tmp_path / "a.tar") or not scan(tmp_path / "a.tar").entries


def test_a_zip_of_a_later_version(tmp_path: Path):
    content = bytearray(a_zip())
    content[content.index(b"PK\x01\x02") + 6] = 255
    (tmp_path / "a.zip").write_bytes(content)
    assert "no zip file that can be read: zip file version 25.5" in said_of(tmp_path / "a.zip")


def test_a_file_without_a_name(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x.png", png(pixels(0)))
        archive.writestr("y.png", png(pixels(1)))
    content = (tmp_path / "a.zip").read_bytes().replace(b"x.png", b"\0.png")
    (tmp_path / "a.zip").write_bytes(content)  # Python ends a name at the first zero
    assert [entry.name for entry in scan(tmp_path / "a.zip").entries] == ["y.png"]


# -- canaries --------------------------------------------------------------------------------------


@on_bytes
def test_canary_names_as_python_reads_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(outline, "writable", lambda text: text)
    classes = scan(odd_folder(tmp_path)).classes
    with pytest.raises(UnicodeEncodeError):
        json.dumps(classes, ensure_ascii=False).encode()


def test_canary_csv_as_it_comes():
    for text in ("a," + "x" * 200_000, "a\rb"):
        with pytest.raises(csv.Error):
            list(csv.reader(io.StringIO(text)))
