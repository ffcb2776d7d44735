"""What a source's labels and splits are: decided by one function of names and lists, and told."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.commands import POINTS, good, unnoise
from tests.pictures import pixels, png
from tests.refusals import one_line
from unnoise.core.errors import LONGEST
from unnoise.data import images, prepare, prepared, scan
from unnoise.data.pictures import decide as module
from unnoise.data.pictures import outline
from unnoise.data.pictures.decide import counted, decide
from unnoise.data.pictures.decode import Look
from unnoise.data.pictures.entry import Entry, Found, Listed
from unnoise.data.pictures.images import Decoded, decode
from unnoise.data.pictures.which_files import inside, is_hidden, role_of

PETS = [f"{name}/{k}.png" for name in ("cat", "dog") for k in range(10)]


def under(folder: str, names: list[str]) -> list[str]:
    return [f"{folder}/{name}" for name in names]


def listing(names: list[str], lists: dict[str, str] | None = None) -> Listed:
    readers: dict[str, Callable[[], bytes]] = {
        name: lambda text=text: text.encode() for name, text in (lists or {}).items()
    }
    return Listed([Entry(name, lambda: b"") for name in names], readers)


def decided(names: list[str], lists: dict[str, str] | None = None) -> Found:
    found = decide(listing(names, lists))
    assert len(found.told) <= LONGEST and "\n" not in found.told
    return found


# names; classes; pictures to train on, held out, refused; what must be told
CASES: dict[str, tuple[list[str], tuple[str, ...] | None, int, int | None, int, str]] = {
    "class folders": (PETS, ("cat", "dog"), 20, None, 0, "20 pictures, 2 classes: cat 10, dog 10"),
    "no folders": ([f"{k}.png" for k in range(9)], None, 9, None, 0, "9 pictures without classes"),
    "a stray": ([*PETS, "logo.png"], ("cat", "dog"), 20, None, 1, "1 without a label is left out"),
    "a deep stray": (
        [*under("a/b", PETS), "a/logo.png"], ("cat", "dog"), 20, None, 1, "1 without a label",
    ),
    "few with a label": (
        [*PETS[:2], *PETS[-2:], *(f"{k}.png" for k in range(99))], None, 103, None, 0,
        "only 4 with a label, so there are no classes",
    ),
    "one odd folder": (["old/0.png", "1.png", "2.png"], None, 3, None, 0, "only 1 with a label"),
    "one class": (["old/0.png", "old/1.png"], ("old",), 2, None, 0, "1 class: old 2"),
    "folders in classes": (
        ["cat/a/0.png", "cat/0.png", "dog/b/c/0.png"], ("cat", "dog"), 3, None, 0, "cat 2, dog 1",
    ),
    "train and test": (
        [*under("train", PETS), *under("test", PETS[5:15])], ("cat", "dog"), 20, 10, 0,
        "20 pictures, 2 classes: cat 10, dog 10; test/ (10) is held out",
    ),
    "train and val": (
        [*under("x/Training", PETS), *under("x/Validation", PETS)], ("cat", "dog"), 20, 20, 0,
        "Validation/ (20) is held out",
    ),
    "all three": (
        [*under("train", PETS), *under("valid", PETS[:4]), *under("test", PETS)],
        ("cat", "dog"), 20, 20, 0, "test/ (20) is held out; valid/ (4) is left out",
    ),
    "test without classes": (
        [*under("train", PETS), *(f"test/{k}.png" for k in range(5))], ("cat", "dog"), 20, None, 0,
        "test/ (5) has no labels and is left out",
    ),
    "test without classes, val with": (
        [*under("train", PETS), "test/0.png", *under("val", PETS)], ("cat", "dog"), 20, 20, 0,
        "test/ (1) has no labels and is left out; val/ (20) is held out",
    ),
    "flat parts": (
        ["train/0.png", "train/1.png", "test/0.png"], None, 2, 1, 0, "test/ (1) is held out",
    ),
    "parts in every class": (
        [f"{c}/{p}/{k}.png" for c in ("cat", "dog") for p in ("train", "test") for k in range(3)],
        ("cat", "dog"), 6, 6, 0, "test/ (6) is held out",
    ),
    "parts by longer names": (
        [*under("seg_train/seg_train", PETS), *under("seg_test/seg_test", PETS), "seg_pred/0.png"],
        ("cat", "dog"), 20, 20, 1, "1 in no part of the split is left out",
    ),
    "years": (["train2017/0.png", "val2017/1.png"], None, 1, 1, 0, "val2017/ (1) is held out"),
    "a stray beside parts": (
        [*under("train", PETS), *under("test", PETS), "0.png"], ("cat", "dog"), 20, 20, 1,
        "1 in no part",
    ),
    "a class in test alone": (
        [*under("train", PETS), *under("test", [*PETS, "owl/0.png"])], ("cat", "dog"), 20, 20, 0,
        "test/ (20) is held out",
    ),
    "test is a class": (["test/0.png", *PETS], ("cat", "dog", "test"), 21, None, 0, "test 1"),
    "train is a class": (["train/0.png", *PETS], ("cat", "dog", "train"), 21, None, 0, "train 1"),
    "train and test are classes": (
        ["train/0.png", "test/0.png", *PETS], ("cat", "dog", "test", "train"), 22, None, 0, "",
    ),
    "words in classes": (
        ["test_tube/0.png", "train_station/0.png"], ("test_tube", "train_station"), 2, None, 0, "",
    ),
    "natural order": (
        [f"class_{k}/0.png" for k in range(12)], tuple(f"class_{k}" for k in range(12)), 12, None,
        0, "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_decided_by_names(name: str):
    names, classes, train, held, refused, told = CASES[name]
    found = decided(names)
    assert found.classes == classes and told in found.told
    assert len(found.entries) == train and len(found.refused) == refused
    assert (None if found.held is None else len(found.held.entries)) == held
    if found.held is not None and classes is not None:
        assert {entry.label for entry in found.held.entries} <= set(classes)
    backwards = decide(listing(names[::-1]))
    assert backwards.told == found.told
    assert [e.name for e in backwards.entries] == [e.name for e in found.entries]
    plain = decide(listing(names), labels=False)
    assert plain.classes is None and all(entry.label is None for entry in plain.entries)
    assert len(plain.entries) >= train


FOLDERS = st.sampled_from(["train", "test", "val", "cat", "dog", "x", "10", "2", "Test", "a b"])
PATHS = st.tuples(st.lists(FOLDERS, max_size=3), st.integers(0, 30)).map(
    lambda pair: "/".join([*pair[0], f"{pair[1]}.png"])
)


@settings(deadline=None, max_examples=150)
@given(st.lists(PATHS, min_size=1, max_size=40, unique=True))
def test_no_picture_vanishes(names: list[str]):
    """Trained on, held out, refused by name, or in a part that the line counts as left out."""
    found = decided(names)
    held = found.held or Found([])
    kept = [entry.name for entry in (*found.entries, *held.entries)]
    refused = [each.name for each in (*found.refused, *held.refused)]
    assert len({*kept, *refused}) == len(kept) + len(refused) and {*kept, *refused} <= set(names)
    if len(kept) + len(refused) < len(names):
        assert "is left out" in found.told
    labels = {entry.label for entry in found.entries}
    assert None not in labels or labels == {None}
    assert {entry.label for entry in held.entries} <= labels or not found.entries


def test_canaries(monkeypatch: pytest.MonkeyPatch):
    for where, name, broken, test in (
        (module, "settled", lambda entries, found: entries, "a stray"),
        (outline, "split_folders", lambda names: None, "train and test"),
        (outline, "_is_split", lambda *_: True, "train and test are classes"),
        (outline, "_outer", lambda parents: 0, "a deep stray"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(where, name, broken)
            with pytest.raises(AssertionError):
                test_decided_by_names(test)


# -- the line --------------------------------------------------------------------------------------


def test_the_line_of_the_issue():
    names = [f"cat/{k}.png" for k in range(70)] + [f"dog/{k}.png" for k in range(36)]
    found = decided([*names, *(f"{k}.png" for k in range(4))])
    assert found.told == "106 pictures, 2 classes: cat 70, dog 36; 4 without a label are left out"


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.text(min_size=1, max_size=90), st.integers(0, 10**6)), min_size=1),
    st.integers(60, 190),
)
def test_classes_are_told_in_few_letters(classes: list[tuple[str, int]], room: int):
    said = counted(classes, room)
    assert len(said) <= max(room, 60) and said.startswith(f"{len(classes):,} class")
    assert said.endswith(", ...") or said.count(", ") >= len(classes) - 1


def test_what_nobody_foresaw_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It says the source; a picture's own reader says the picture."""
    parted(tmp_path / "a")

    def broken(*_: object) -> None:
        raise KeyError("of a library's own")

    with monkeypatch.context() as patch:
        patch.setattr(module, "outline", broken)
        said = one_line(lambda: scan(tmp_path / "a"))
    assert "cannot be read: KeyError" in said and str(tmp_path)[:9] in said
    kept = Decoded()
    found = Found([Entry("a.png", broken), Entry("b.png", lambda: png(pixels(0)))])
    assert len(list(decode(found, Look(), kept))) == 1
    assert kept.refused[0].name == "a.png" and "of a library's own" in kept.refused[0].reason


def test_unread_formats_are_named_and_counted(tmp_path: Path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "dog").mkdir()
    for name in ("cat/0.png", "dog/1.png", "cat/a.HEIC", "cat/b.heic", "dog/c.svg", "dog/d.txt"):
        (tmp_path / name).write_bytes(png(pixels(0)))
    data = images(str(tmp_path), held_out=0.0)
    assert "2 .heic, 1 .svg cannot be read here" in data.told and len(data) == 2
    assert [(each.name, each.bad) for each in data.refused] == [
        ("cat/a.HEIC", False), ("cat/b.heic", False), ("dog/c.svg", False),
    ]  # fmt: skip
    (tmp_path / "cat/0.png").unlink()
    (tmp_path / "dog/1.png").unlink()
    with pytest.raises(ValueError, match=r"holds no pictures but 2 \.heic"):
        scan(tmp_path)


def test_how_many_without_a_label_are_borne(tmp_path: Path):
    """A single stray is, in the smallest source; many are a sentence that names the setting."""
    for number, name in enumerate(["cat/0.png", "dog/1.png", "logo.png"]):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(png(pixels(number)))
    data = images(str(tmp_path), held_out=0.0)
    assert len(data) == 2 and [each.name for each in data.refused] == ["logo.png"]
    (tmp_path / "logo2.png").write_bytes(png(pixels(9)))
    said = one_line(lambda: images(str(tmp_path), held_out=0.0))
    assert "2 of 4 files are left out (logo.png: has no label). Label them, or say labels" in said
    assert len(images(str(tmp_path), held_out=0.0, labels=False)) == 4
    assert len(images(str(tmp_path), held_out=0.0, bad=0.5)) == 2


# -- hidden files, plain paths ---------------------------------------------------------------------


HIDDEN = [
    *(".a.png", "._a.png", ".DS_Store", ".ipynb_checkpoints/a.png", "x/.git/a.png"),
    *("__MACOSX/a.png", "Thumbs.db", "desktop.ini", "a/@eaDir/b.png", "lost+found/a.png"),
    *("$RECYCLE.BIN/a.png", "System Volume Information/a.png"),
]


def test_hidden_and_system_files():
    assert all(map(is_hidden, HIDDEN))
    assert not any(map(is_hidden, ["a/b.png", "a..png", "./a.png", "macosx/a.png", ".."]))
    roles = [role_of(name) for name in ("a.PNG", "a/b.csv", "a.heic", "a", "", ".a.png", "a.db")]
    assert roles == ["picture", "list", "unread", "none", "none", "none", "none"]
    assert inside("./a\\b//c.png") == "a/b/c.png" and inside("a/../b") is None


def test_hidden_files_of_a_folder(tmp_path: Path):
    for name in [*PETS[:3], *PETS[-3:], *HIDDEN, "cat/._0.png"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(png(pixels(0)))
    found = scan(tmp_path)
    assert found.classes == ("cat", "dog") and len(found.entries) == 6 and not found.refused


# -- through all that reads it ---------------------------------------------------------------------


def parted(folder: Path) -> Path:
    """train/ and test/ of two classes, and a stray."""
    for number, name in enumerate([*under("train", PETS), *under("test", PETS[8:12]), "0.png"]):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png(pixels(number)))
    return folder


def test_a_test_part_is_held_out(tmp_path: Path):
    """Whatever share is asked for; it is never trained on."""
    source = str(parted(tmp_path / "source"))
    for held_out in (0.0, 0.1, 0.5):
        train = images(source, held_out=held_out)
        test = images(source, split="test", held_out=held_out)
        assert (len(train), len(test)) == (20, 4) and train.told == test.told
        assert train.info.class_names == test.info.class_names == ("cat", "dog")
        assert test[:].label.tolist() == [0, 0, 1, 1]
    made = prepare(source, tmp_path / "ready", Look())
    assert made.counts == {"train": 20, "test": 4} and made.told == train.told
    ready = prepared(str(tmp_path / "ready"))
    assert ready.told == "20 pictures, 2 classes: cat 10, dog 10; 4 more are held out"
    lines = (tmp_path / "ready" / "refused.jsonl").read_text().splitlines()
    assert [json.loads(line)["name"] for line in lines] == ["0.png"]


def test_another_test_source_wins(tmp_path: Path):
    source = str(parted(tmp_path / "source"))
    for name in ("cat/0.png", "dog/1.png", "dog/2.png"):
        (tmp_path / "other" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "other" / name).write_bytes(png(pixels(99)))
    test = images(source, split="test", test=str(tmp_path / "other"))
    assert len(test) == 3 and "; test/ (4) is left out; " in test.told
    assert test.told.endswith("other is held out")
    assert len(images(source, test=str(tmp_path / "other"))) == 20
    assert len(images(str(tmp_path / "other"), split="test", test=source)) == 4


def test_the_line_is_printed(tmp_path: Path):
    source = parted(tmp_path / "source")
    said = "20 pictures, 2 classes: cat 10, dog 10; "
    assert said in good("prepare", source, tmp_path / "ready").out
    network = POINTS.partition("[model]")[2].replace("width = 16", "width = 16, classes = 2")
    (tmp_path / "tiny.toml").write_text("[model]" + network)
    for data in (source, tmp_path / "ready"):
        out = tmp_path / f"run {data.name}"
        words = ("--data", data, "--out", out, "--device", "cpu")
        assert said in unnoise("train", tmp_path / "tiny.toml", *words).out
