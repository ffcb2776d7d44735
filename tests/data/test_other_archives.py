"""Archives as other systems pack them, and as nobody should: read rightly, or one sentence."""

import builtins
import io
import json
import os
import pickle
import random
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pictures import add, pixels, png
from tests.refusals import one_line
from unnoise.core.errors import LONGEST
from unnoise.data import Look, images, prepare, scan, webdataset, write_index
from unnoise.data.pictures import tar_file, zip_file
from unnoise.data.pictures.which_files import inside, is_hidden, role_of

PICTURE = png(pixels(0))


def _mark(number: int, name: bytes) -> str:
    return f"{number}{'~' * (len(name) - 1)}"


def zipped(names: list[bytes | str], place: Path) -> Path:
    """A zip file whose names of bytes stand there without the mark of UTF-8."""
    with zipfile.ZipFile(place, "w") as archive:
        for k, name in enumerate(names):
            info = zipfile.ZipInfo("x")
            info.filename = name if isinstance(name, str) else _mark(k, name)
            archive.writestr(info, png(pixels(k)))
    content = place.read_bytes()
    for k, name in enumerate(names):
        if isinstance(name, bytes):
            mark = _mark(k, name).encode()
            assert content.count(mark) == 2
            content = content.replace(mark, name)
    place.write_bytes(content)
    return place


def tarred(names: list[str], place: Path, **others: bytes) -> Path:
    with tarfile.open(place, "w") as archive:
        for k, name in enumerate(names):
            add(archive, name, png(pixels(k)))
        for name, content in others.items():
            add(archive, name.replace("__", "/").replace("_", "."), content)
    return place


# -- zip -------------------------------------------------------------------------------------------

PAGES = {
    "cp949": ("고양이", "강아지"),
    "cp932": ("ネコ", "ソファ"),  # the second byte of ソ is a backslash
    "cp1252": ("château", "été à"),
    "utf-8": ("고양이", "été"),
    "cp437": ("naïve", "Ωµ"),
}


@pytest.mark.parametrize("page", PAGES)
def test_names_of_every_code_page(page: str, tmp_path: Path):
    first, second = (name.encode(page) for name in PAGES[page])
    names: list[bytes | str] = [first + b"/a0.png", second + b"\\bb1.png", first + b"/ccc2.png"]
    said = scan(zipped(names, tmp_path / "a.zip"))
    assert set(said.classes or ()) == set(PAGES[page]) and len(said.entries) == 3
    assert (page == "utf-8") == ("names are read as" not in said.told)
    assert [entry.read() for entry in said.entries] != []


def test_backslashes_and_odd_paths(tmp_path: Path):
    names = ["cat\\0.png", "./cat/1.png", "/dog/2.png", "dog//3.png", "..\\x.png", "a/../y.png"]
    names += ["__MACOSX\\cat\\._0.png", "cat\\.hidden\\4.png", "cat\\", "cat/0.png"]
    said = scan(zipped([*names], tmp_path / "a.zip"))
    assert said.classes == ("cat", "dog") and len(said.entries) == 4
    reasons = {each.name: each.reason for each in said.refused}
    assert reasons == {
        "..\\x.png": "its name leads out of the zip file",
        "a/../y.png": "its name leads out of the zip file",
        "cat/0.png": "stands twice in the zip file",
    }


@settings(deadline=None, max_examples=60)
@given(st.lists(st.binary(min_size=3, max_size=12), min_size=1, max_size=5, unique=True))
def test_names_of_any_bytes(names: list[bytes]):
    """Every picture is found or named, and all classes can be written."""
    place = Path(os.environ.get("TMPDIR", "/tmp")) / f"unnoise-names-{os.getpid()}.zip"
    with zipfile.ZipFile(place, "w") as archive:
        for name in names:
            archive.writestr("x" + name.decode("cp437").split("\0")[0] + "/0.png", PICTURE)
    refusal = one_line(lambda: scan(place))
    assert not refusal or "holds no pictures" in refusal
    if not refusal:
        said = scan(place)
        json.dumps([entry.label for entry in said.entries], ensure_ascii=False).encode()
        assert len(said.entries) + len(said.refused) <= len(names) and len(said.told) <= LONGEST
    place.unlink()


# -- tar -------------------------------------------------------------------------------------------


def test_keys_with_dots(tmp_path: Path):
    names = [f"a/22.{k:02d}.png" for k in range(6)] + ["b/1.5.x.png", "b/1.6.x.png", "b/7.5.png"]
    others = {f"a__22_{k:02d}_cls": str(k % 2).encode() for k in range(6)}
    others |= {"b__1_5_x_cls": b"0", "b__1_6_x_cls": b"1", "b__7_5_cls": b"1"}
    path = tarred(names, tmp_path / "a.tar", **others)
    said = scan(path)
    assert [entry.name for entry in said.entries] == sorted(names) and not said.refused
    labels = [entry.label for entry in said.entries]
    assert labels == ["0", "1", "0", "1", "0", "1", "0", "1", "1"]
    assert len(webdataset(str(tmp_path), 6)) == 9
    write_index(tmp_path)
    assert webdataset(str(tmp_path), 6)[:].label.tolist() == [0, 1] * 3 + [0, 1, 1]


MEMBERS = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["", "a/", "./", "b.c/", "../"]),
        st.sampled_from(["0", "1", "22", "cat", ".h"]),
        st.sampled_from(["", ".05", ".06", ".mask", ".image", ".a.b", ".1.x"]),
        st.sampled_from([".png", ".PNG", ".jpg", ".cls", ".heic", ""]),
    ),
)


@settings(deadline=None, max_examples=120)
@given(names=st.lists(MEMBERS, min_size=1, max_size=14))
def test_no_member_vanishes(names: list[str], tmp_path_factory: pytest.TempPathFactory):
    """Every picture of a tar file is an example, or refused by name, or hidden."""
    path = tarred(names, tmp_path_factory.mktemp("tar") / "a.tar")
    listed = tar_file.list_tar(path)
    read = [entry.name.lower() for entry in listed.entries]
    refused = [each.name.lower() for each in listed.refused]
    shown = [name for name in names if not is_hidden(inside(name) or name.rpartition("/")[2])]
    pictures = [name.lower() for name in shown if role_of("x" + name[-4:]) == "picture"]
    refused = [name for name in refused if name.endswith((".png", ".jpg"))]
    assert sorted([*read, *refused]) == sorted(pictures)
    assert len(listed.unread) == sum(n.endswith(".heic") and "../" not in n for n in shown)


@pytest.mark.parametrize("plain", ["png", "image.png"])
def test_masks_beside_pictures(plain: str, tmp_path: Path):
    names = [f"{k}.{kind}" for k in range(4) for kind in ("mask.png", plain)]
    others = {f"{k}_cls": str(k % 2).encode() for k in range(4)}
    data = images(str(tarred(names, tmp_path / "a.tar", **others)), held_out=0.0)
    assert len(data) == 4 and [each.name for each in data.refused] == names[::2]
    assert "4 left out: another picture of its key is taken" in data.told
    assert not any(each.bad for each in data.refused)
    stored = data.info.to_stored(data[:].x).numpy()
    assert all((stored[k] == pixels(2 * k + 1).transpose(2, 0, 1)).all() for k in range(4))


def test_folders_of_a_tar_are_classes(tmp_path: Path):
    names = ["./cat/0.png", "./dog/1.png", "./.git/2.png", "./cat/._0.png", "../x/3.png"]
    said = scan(tarred(names, tmp_path / "a.tar"))
    assert said.classes == ("cat", "dog") and len(said.entries) == 2
    assert [each.reason for each in said.refused] == ["its name leads out of the tar file"]
    labelled = scan(
        tarred(["cat/0.png", "dog/1.png"], tmp_path / "b.tar", cat__0_cls=b"x", dog__1_cls=b"1.0\n")
    )
    assert labelled.classes == ("1", "x")


def test_shards_of_parts(tmp_path: Path):
    """Shards that are called after test are no training data."""
    for k, name in enumerate(["set-train-0.tar", "set-train-1.tar", "set-val-0.tar"]):
        tarred([f"{3 * k}.png", f"{3 * k + 1}.png"], tmp_path / name)
    said = scan(tmp_path)
    assert len(said.entries) == 4 and said.held is not None and len(said.held.entries) == 2
    for _ in range(2):
        train, test = (webdataset(str(tmp_path), 6, split=split) for split in ("train", "test"))
        assert len(train) == 4 and len(test) == 2
        assert "of 3 shards 1 are of other parts by their names" in train.told
        write_index(tmp_path)
    tarred(["9.png"], tmp_path / "more-0.tar")
    assert "more-0.tar is of no part" in scan(tmp_path).told and len(scan(tmp_path).entries) == 4
    write_index(tmp_path)
    assert len(webdataset(str(tmp_path), 6)) == 4


def test_examples_of_shards_without_a_label(tmp_path: Path):
    """Left out of the classes' shards, and counted so in the index."""
    others = {f"{k}_cls": str(k % 2).encode() for k in range(5)}
    tarred([f"{k}.png" for k in range(6)], tmp_path / "a.tar", **others)
    for _ in range(2):
        data = webdataset(str(tmp_path), 6)
        assert len(data) == 5 and data[:].label.tolist() == [0, 1, 0, 1, 0]
        write_index(tmp_path)
    assert "5 pictures in 1 shards, 2 classes: 0, 1" in data.told


def test_other_archives_are_named(tmp_path: Path):
    for name in ("a.tar.gz", "a.7z", "a.rar", "a.tgz"):
        (tmp_path / name).write_bytes(b"x")
        said = one_line(lambda name=name: scan(tmp_path / name))
        assert "is not read in place; unpack it" in said


# -- two hundred that were made to harm ------------------------------------------------------------


class Harm:
    """What a pickle would do."""

    def __reduce__(self):
        return builtins.exec, ("import os; os._exit(66)",)


PICKLE = pickle.dumps(Harm())
NAMES = [
    "cat/0.png", "dog/1.png", "../../out.png", "/etc/out.png", "C:\\out.png", "\\\\host\\out.png",
    "cat/\x01\n.png", "a" * 300 + "/0.png", "x/" * 90 + "0.png", "metadata.csv", "metadata.jsonl",
    "labels.csv", "0.cls", "0.json", "0.txt", "0.png", "0.mask.png", "con.png", "train/0.png",
    "test/0.png", ".hidden/0.png", "0.npy", "index.json",
]  # fmt: skip
BODIES = [
    PICTURE, PICTURE[:40], b"", PICKLE, b"file_name,label\n0.png,1\n", b"\xff\xfe\0", b"[" * 5000,
    b'{"file_name": "cat/0.png", "label": ' + b"9" * 5000 + b"}", b"\0" * 600, b"0.png,\"a\n\n\n",
    b"file_name;label\rcat/0.png;1.0\r", b'{"label": [1]}', b"9" * 6000, PICTURE + PICKLE,
    struct.pack(">II", 2**31, 2**31), b"\x93NUMPY" + PICKLE,
]  # fmt: skip


def hostile(draw: random.Random, place: Path) -> Path:
    """An archive or a folder of a few of these, perhaps damaged."""
    files = [(draw.choice(NAMES), draw.choice(BODIES)) for _ in range(draw.randrange(1, 9))]
    kind = draw.choice(["zip", "tar", "folder"])
    path = place / f"a.{kind}"
    if kind == "folder":
        for name, content in files:
            plain = inside(name)
            if (
                plain
                and len(plain) < 200
                and not any((path / plain).parents[0].is_file() for _ in "1")
            ):
                (path / plain).parent.mkdir(parents=True, exist_ok=True)
                if not (path / plain).is_dir():
                    (path / plain).write_bytes(content)
        path.mkdir(exist_ok=True, parents=True)
        return path
    stream = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(stream, "w") as archive:
            for name, content in dict(files).items():
                archive.writestr(name, content)
    else:
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for name, content in files:
                add(archive, name, content)
    content = bytearray(stream.getvalue())
    for _ in range(draw.choice([0, 0, 1, 4])):
        content[draw.randrange(len(content))] = draw.randrange(256)
    path.write_bytes(content)
    return path


def outside(place: Path) -> set[Path]:
    return {path for path in place.rglob("*") if "inner" not in path.parts}


@pytest.mark.parametrize("part", range(4))
def test_two_hundred_end_in_a_sentence(part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Read, or refused in one line; nothing is written elsewhere, and no pickle is opened."""
    monkeypatch.setattr(pickle, "loads", lambda *_, **__: pytest.fail("a pickle was opened"))
    monkeypatch.setattr(pickle, "load", lambda *_, **__: pytest.fail("a pickle was opened"))
    draw, read = random.Random(part), 0
    before = outside(tmp_path)
    for number in range(50):
        inner = tmp_path / "inner" / str(number)
        inner.mkdir(parents=True)
        path = hostile(draw, inner)
        said = one_line(lambda path=path: images(str(path), size=4, held_out=0.0, bad=1.0))
        read += said == ""
        out = inner / "out"
        also = one_line(lambda p=path, o=out: prepare(p, o, Look(4), held_out=0.0, bad=1.0))
        assert (said == "") == (also == "") == out.is_dir()
    assert outside(tmp_path) - before <= {tmp_path / "inner"} and 3 < read < 50


def test_canaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for number, (where, name, broken, test) in enumerate((
        (zip_file, "guessed", lambda _: None, lambda p: test_names_of_every_code_page("cp949", p)),
        (zip_file, "inside", lambda path: path, test_backslashes_and_odd_paths),
        (tar_file, "_chosen", lambda parts: tar_file._pictures(parts)[:1], test_keys_with_dots),
        (tar_file, "_PLAIN", (), lambda p: test_masks_beside_pictures("image.png", p)),
    )):  # fmt: skip
        (tmp_path / str(number)).mkdir()
        with monkeypatch.context() as patch:
            patch.setattr(where, name, broken)
            with pytest.raises(AssertionError):
                test(tmp_path / str(number))
