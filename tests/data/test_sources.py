"""Folders, zips, lists, links, strange names: what is found, and what is said (F3, F5, F6)."""

import json
import os
import random
import stat
import time
import zipfile
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest

from tests.pictures import CLASSES, fill, pixels, png
from unnoise.core.errors import InputError
from unnoise.data import Look, images, scan
from unnoise.data.pictures.entry import Found
from unnoise.data.pictures.images import Decoded, decode


def names(found: Found) -> list[str]:
    return [entry.name for entry in found.entries]


def reasons(found: Found) -> dict[str, str]:
    return {each.name: each.reason for each in found.refused}


def test_folders_are_classes(tmp_path: Path):
    found = scan(fill(tmp_path))
    assert found.classes == CLASSES and len(found.entries) == 24 and not found.refused
    assert all(entry.label == entry.name.partition("/")[0] for entry in found.entries)


def test_outer_folder_is_no_class(tmp_path: Path):
    fill(tmp_path / "all" / "of them")
    assert scan(tmp_path).classes == CLASSES
    (tmp_path / "loose.png").write_bytes(png(pixels(99)))
    found = scan(tmp_path)
    assert found.classes == CLASSES and reasons(found) == {"loose.png": "has no label"}


def test_numbers_sort_by_value(tmp_path: Path):
    for label in (10, 9, 2, 0):
        (tmp_path / str(label)).mkdir()
        (tmp_path / str(label) / "a.png").write_bytes(png(pixels(label)))
    assert scan(tmp_path).classes == ("0", "2", "9", "10")


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_list(tmp_path: Path, kind: str):
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(png(pixels(number)))
    rows = [
        {"file_name": "0.png", "text": "a, cat", "label": "cat", "artist": "me"},
        {"file_name": "1.png", "text": "a dog", "label": "dog"},
        {"file_name": "1.png", "text": "again", "label": "dog"},
        {"file_name": "missing.png", "text": "", "label": "cat"},
    ]
    if kind == "jsonl":
        text = "".join(json.dumps(row) + "\n" for row in rows) + '{"file_name": 3}\n{oops\n[1]\n'
    else:
        text = 'file_name,text,label\n0.png,"a, cat",cat\n1.png,a dog,dog\n1.png,again,dog\n'
        text += "missing.png,,cat\n"
    (tmp_path / f"metadata.{kind}").write_text(text)
    found = scan(tmp_path)
    assert [(e.name, e.label, e.text) for e in found.entries] == [
        ("0.png", "cat", "a, cat"),
        ("1.png", "dog", "a dog"),
    ]
    said = reasons(found)
    assert "twice" in said["1.png"] and "not there" in said["missing.png"]
    assert "does not stand" in said["2.png"] and "does not stand" in said["3.png"]
    if kind == "jsonl":
        assert {f"metadata.jsonl, line {n}" for n in (5, 6, 7)} <= set(said)


def test_zip_is_its_folder(tmp_path: Path):
    fill(tmp_path / "folder")
    target = tmp_path / "pictures.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in (tmp_path / "folder").rglob("*.png"):
            archive.write(file, file.relative_to(tmp_path / "folder").as_posix())
        archive.writestr("__MACOSX/cat/._0000.png", b"resource fork")
        archive.writestr("../../evil.png", png(pixels(1)))
        archive.writestr("readme.txt", "no picture")
    inside, outside = scan(target), scan(tmp_path / "folder")
    kept = [entry for entry in inside.entries if "evil" not in entry.name]
    assert [(e.name, e.read()) for e in kept] == [(e.name, e.read()) for e in outside.entries]
    assert not (tmp_path.parent.parent / "evil.png").exists()  # nothing is unpacked


def test_zip_bomb_is_refused_from_its_header(tmp_path: Path):
    target = tmp_path / "bomb.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("a/good.png", png(pixels(0)))
        with archive.open("a/bomb.png", "w", force_zip64=True) as stream:
            for _ in range(300):
                stream.write(bytes(1 << 20))
    found = scan(target)
    assert names(found) == ["a/good.png"] and "too large" in reasons(found)["a/bomb.png"]


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04" + bytes(50)])
def test_no_zip(tmp_path: Path, content: bytes):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(InputError, match="no zip file"):
        scan(tmp_path / "a.zip")


def test_special_files(tmp_path: Path):
    """Loops end, pipes do not block, and every real file comes once (F3)."""
    fill(tmp_path / "real", 3)
    top = tmp_path / "real"
    (top / "loop").symlink_to(top)
    (top / "cat" / "up").symlink_to(tmp_path)
    (top / "cat" / "same.png").symlink_to(top / "cat" / "0000.png")
    (top / "cat" / "dangling.png").symlink_to(top / "nowhere.png")
    os.mkfifo(top / "cat" / "pipe.png")
    (top / "dog" / "folder.png").mkdir()
    (top / "dog" / "folder.png" / "inner.png").write_bytes(png(pixels(9)))
    began = time.perf_counter()
    found = scan(top)
    assert time.perf_counter() - began < 5
    assert len(found.entries) == 4 and len({entry.read() for entry in found.entries}) == 4
    said = reasons(found)
    assert said["cat/pipe.png"] == "no regular file" and "cat/dangling.png" in said


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root makes devices")
def test_device_and_no_permission(tmp_path: Path):
    fill(tmp_path, 3)
    try:
        os.mknod(tmp_path / "cat" / "null.png", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("no devices in this container")
    assert reasons(scan(tmp_path))["cat/null.png"] == "no regular file"


def test_files_that_go_or_turn_into_pipes(tmp_path: Path):
    """What vanishes between listing and reading is named; what became a pipe does not block."""
    found = scan(fill(tmp_path))
    (tmp_path / "cat" / "0000.png").unlink()
    (tmp_path / "dog" / "0001.png").unlink()
    os.mkfifo(tmp_path / "dog" / "0001.png")
    kept = Decoded()
    assert len(list(decode(found, Look(), kept))) == 22
    assert {each.name for each in kept.refused} == {"cat/0000.png", "dog/0001.png"}


def test_names(tmp_path: Path):
    """Hangul composed and taken apart, spaces, newlines, emoji, bytes that are no text (F6)."""
    owl = "고양이.png"
    odd = [owl, normalize("NFD", owl), "a b.png", "a\nb.png", "🦉.png", "x" * 251 + ".png"]
    for number, name in enumerate(odd):
        (tmp_path / name).write_bytes(png(pixels(number)))
    raw = os.fsencode(tmp_path) + b"/\xff\xfe.png"
    with open(raw, "wb") as stream:
        stream.write(png(pixels(99)))
    (tmp_path / "bad\nname.png").write_bytes(b"no picture")
    found = scan(tmp_path)
    kept = Decoded()
    assert len(list(decode(found, Look(), kept))) == len(odd) + 1
    assert [each.name for each in kept.refused] == ["bad\\nname.png"]


def test_class_names_are_one_in_either_form(tmp_path: Path):
    for number, name in enumerate(("고양이", normalize("NFD", "고양이"))):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / f"{number}.png").write_bytes(png(pixels(number)))
    (tmp_path / "개").mkdir()
    (tmp_path / "개" / "2.png").write_bytes(png(pixels(2)))
    assert scan(tmp_path).classes == ("개", "고양이")


def test_order_does_not_hang_on_the_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A file system lists as it likes (C5)."""
    fill(tmp_path)
    before = names(scan(tmp_path))
    plain = os.scandir

    class Shuffled(list):
        def __enter__(self):
            return self

        def __exit__(self, *_: object):
            pass

    def shuffled(path: Path):
        inside = Shuffled(plain(path))
        random.Random(3).shuffle(inside)
        return inside

    monkeypatch.setattr(os, "scandir", shuffled)
    assert names(scan(tmp_path)) == before


def damaged(folder: Path, count: int, bad: int) -> set[str]:
    fill(folder, count)
    files = sorted(folder.rglob("*.png"), key=lambda file: file.name)[:: count // bad][:bad]
    for file in files:
        file.write_bytes(file.read_bytes()[:-20])
    return {file.relative_to(folder).as_posix() for file in files}


def test_one_in_a_hundred_is_bad(tmp_path: Path):
    """Exactly the damaged ones are named, the others are all there, twice the same (F5)."""
    bad = damaged(tmp_path, 1000, 10)
    train, test = images(str(tmp_path)), images(str(tmp_path), split="test")
    assert len(train) + len(test) == 990 and 60 < len(test) < 140
    assert {each.name for each in (*train.refused, *test.refused)} == bad
    again = images(str(tmp_path))
    assert again.info.sha256 == train.info.sha256 and again.refused == train.refused


def test_too_many_are_bad(tmp_path: Path):
    damaged(tmp_path, 100, 10)
    with pytest.raises(InputError, match=r"of \d+ files are left out .*At most 5%"):
        images(str(tmp_path))
    assert len(images(str(tmp_path), bad=0.2)) > 75


def test_nothing_there(tmp_path: Path):
    with pytest.raises(InputError, match="holds no pictures"):
        scan(tmp_path)
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.wav", "label": 1}\n')
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(InputError, match="holds no pictures"):
        scan(tmp_path)
    with pytest.raises(InputError, match=r"give a folder of pictures"):
        scan(tmp_path / "missing")


def test_sizes_that_differ(tmp_path: Path):
    fill(tmp_path, 6)
    (tmp_path / "cat" / "wide.png").write_bytes(png(np.zeros((6, 9, 3), np.uint8)))
    with pytest.raises(InputError, match="9 x 6, others are 6 x 6; say a size"):
        images(str(tmp_path), held_out=0.0)
    assert images(str(tmp_path), size=4, held_out=0.0).info.shape == (3, 4, 4)
