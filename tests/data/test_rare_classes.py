"""A class of few pictures always has one to train on, and nothing ends for want of a label."""

import json
from pathlib import Path

import pytest

from tests.commands import POINTS, good, refused
from tests.pictures import CLASSES, fill, pixels, png
from unnoise.core.errors import InputError
from unnoise.data import Look, images, prepare, prepared
from unnoise.data.pictures import decide
from unnoise.data.pictures import images as module
from unnoise.data.pictures.images import splits

HELD = "12.png"  # its mark, 0.025, is in the held-out tenth
RECIPE = POINTS.partition("[model]")[2].replace("width = 16", "width = 16, classes = 4")


def rare(folder: Path) -> Path:
    """Three classes, and a fourth of one picture that falls into the held-out part."""
    fill(folder, 60)
    (folder / "rare").mkdir()
    (folder / "rare" / HELD).write_bytes(png(pixels(999)))
    return folder


def parts(path: Path, held_out: float = 0.1) -> tuple[set[str], set[str]]:
    train, rest = splits(str(path), None, held_out)
    return {entry.name for entry in train.entries}, {entry.name for entry in rest.entries}


def test_the_mark_of_a_rare_one():
    """By its name alone it would be held out: the tests below mean what they say."""
    assert module._mark(f"rare/{HELD}") < 0.1


def test_every_class_is_trained_on(tmp_path: Path):
    rare(tmp_path)
    train, test = images(str(tmp_path)), images(str(tmp_path), split="test")
    assert train.info.class_names == test.info.class_names == (*CLASSES, "rare")
    assert train[:].label.unique().tolist() == [0, 1, 2, 3]
    assert test[:].label.unique().tolist() == [0, 1, 2]
    assert len(train) + len(test) == 61


def test_prepared_as_well(tmp_path: Path):
    rare(tmp_path / "source")
    prepare(tmp_path / "source", tmp_path / "out", Look())
    for split in ("train", "test"):
        ready = prepared(str(tmp_path / "out"), split=split)
        plain = images(str(tmp_path / "source"), split=split)
        assert ready.info.sha256 == plain.info.sha256
        assert ready.info.class_names == plain.info.class_names
        assert ready[:].label.tolist() == plain[:].label.tolist()


def test_on_the_command_line(tmp_path: Path):
    source = rare(tmp_path / "source")
    assert "to train on" in good("prepare", source, tmp_path / "ready").out
    (tmp_path / "tiny.toml").write_text("[model]" + RECIPE)
    for data in (tmp_path / "ready", source):
        out = tmp_path / f"run {data.name}"
        good("train", tmp_path / "tiny.toml", "--data", data, "--out", out, "--device", "cpu")
        good("sample", out, "-n", 2, "--label", "rare", "--steps", 2, "-o", tmp_path / "rare.png")


def test_other_pictures_stay_where_they_were(tmp_path: Path):
    fill(tmp_path, 60)
    train, rest = parts(tmp_path)
    rare(tmp_path)
    assert parts(tmp_path) == (train | {f"rare/{HELD}"}, rest)
    # Once the class has another picture to train on, this one is held out like any.
    (tmp_path / "rare" / "0.png").write_bytes(png(pixels(998)))
    assert module._mark("rare/0.png") > 0.1
    assert parts(tmp_path) == (train | {"rare/0.png"}, rest | {f"rare/{HELD}"})


def test_of_several_the_one_nearest_to_the_border_goes(tmp_path: Path):
    """Decided by names alone, whatever is listed first."""
    fill(tmp_path, 12)
    marks = {name: module._mark(name) for name in (f"cat/{n:04d}.png" for n in range(0, 12, 3))}
    train, rest = parts(tmp_path, held_out=max(marks.values()) + 1e-9)
    assert train & set(marks) == {max(marks, key=lambda name: marks[name])}
    assert len(train & {name for name in train | rest if name.startswith("dog")}) >= 1


def test_all_held_out_is_left_alone(tmp_path: Path):
    """Who asks for everything gets it, and is told where that leaves nothing to train on."""
    source = rare(tmp_path / "source")
    assert len(images(str(source), split="test", held_out=1.0)) == 61
    with pytest.raises(InputError, match="leaves nothing to train on"):
        images(str(source), held_out=1.0)
    said = refused("prepare", source, tmp_path / "out", "--held-out", 1)
    assert "held out altogether" in said and not (tmp_path / "out").exists()


def test_one_picture_is_trained_on(tmp_path: Path):
    (tmp_path / "rare").mkdir()
    (tmp_path / "rare" / HELD).write_bytes(png(pixels(0)))
    assert len(images(str(tmp_path))) == 1
    (tmp_path / HELD).write_bytes(png(pixels(1)))  # a loose one, so there are no classes
    assert len(images(str(tmp_path))) == 1


# -- pictures without a label ----------------------------------------------------------------------


def listed(folder: Path, without: str) -> Path:
    """A list in which one picture has no label."""
    fill(folder, 60)
    rows: list[dict[str, str]] = []
    for file in sorted(folder.rglob("*.png")):
        name = file.relative_to(folder).as_posix()
        rows.append({"file_name": name, **({} if name == without else {"label": name[:3]})})
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_a_picture_without_a_label_is_named(tmp_path: Path):
    """Whichever part it would fall into: it is left out of both, and the classes stay."""
    train, rest = parts(fill(tmp_path / "first", 60))
    for part, names in (("train", train), ("test", rest)):
        source = listed(tmp_path / part, min(names))
        whole = images(str(source))
        assert [(each.name, each.reason) for each in whole.refused] == [
            (min(names), "has no label")
        ]
        assert whole.info.class_names == CLASSES and "1 without a label is left out" in whole.told
        test = images(str(source), split="test")
        assert len(whole) + len(test) == 59 and test.info.class_names == CLASSES
        both = [images(str(source), split=s, labels=False) for s in ("train", "test")]
        assert sum(map(len, both)) == 60
        said = good("prepare", source, tmp_path / f"out {part}").out
        assert "60 pictures" not in said and "59 pictures, 3 classes: cat" in said
        assert min(names) in (tmp_path / f"out {part}" / "refused.jsonl").read_text()


def test_held_out_data_of_elsewhere_without_a_label(tmp_path: Path):
    """What is trained on has classes: then what is held out needs one too."""
    fill(tmp_path / "source")
    fill(tmp_path / "loose" / "x", 3)
    (tmp_path / "other").mkdir()
    for number in range(3):
        (tmp_path / "other" / f"{number}.png").write_bytes(png(pixels(number)))
    said = refused("prepare", tmp_path / "source", tmp_path / "o", "--test", tmp_path / "other")
    assert "has no label" in said


# -- canaries --------------------------------------------------------------------------------------


def test_canary_marks_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_needed", lambda entries, marks, held: set())
    for test in (test_every_class_is_trained_on, test_prepared_as_well):
        with pytest.raises(KeyError, match="rare"):
            test(tmp_path / test.__name__)


def test_canary_labels_are_taken_for_granted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(decide, "settled", lambda entries, found: entries)
    with pytest.raises((AssertionError, KeyError)):
        test_a_picture_without_a_label_is_named(tmp_path)
