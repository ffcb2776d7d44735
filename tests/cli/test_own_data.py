"""From a zip file of one's own to a trained model, as one would type it."""

import json
from pathlib import Path

import pytest

from tests import pictures
from tests.commands import good, refused, unnoise

NET = """
[data]
kind = "digits"
[model]
kind = "diffusion"
network = { kind = "mlp", width = 16, depth = 1 }
[training]
steps = 6
batch = 8
save_every = 3
[evaluation]
count = 12
likelihood = 2
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(NET)
    return path


def test_prepare_train_sample_evaluate(tmp_path: Path, recipe: Path):
    ready, run = tmp_path / "ready", tmp_path / "run"
    ended = good("prepare", pictures.a_zip(), ready, "--size", 4, "--held-out", 0.4, "--workers", 1)
    assert "to train on" in ended.out and "to hold out" in ended.out
    assert ended.last == f"wrote {ready}"
    words = ("--threads", 1, "--device", "cpu")
    ended = good("train", recipe, "--data", ready, "--out", run, *words)
    assert "of shape (3, 4, 4)" in ended.out
    good("sample", run, "-n", 4, "--label", "dog", "-o", tmp_path / "a.npz")
    good("sample", run, "-n", 4, "--label", 1, "-o", tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    said = refused("sample", run, "-n", 4, "--label", "cow", "-o", tmp_path / "c.npz")
    assert said == "unnoise: label 'cow': no such class. Known: cat, dog, owl.\n"
    figures = json.loads(good("evaluate", run, "--json").out)
    assert figures["count"] == 12 and figures["likelihood_count"] == 2


@pytest.mark.parametrize("source", ["folder", "zip", "shards", "npy"])
def test_every_way_in(tmp_path: Path, recipe: Path, source: str):
    path = {
        "folder": pictures.a_folder,
        "zip": pictures.a_zip,
        "shards": pictures.some_shards,
        "npy": lambda: pictures.an_array()[0],
    }[source]()
    words = ["--threads", 1, "--device", "cpu", "--set", "training.workers=2"]
    if source == "shards":
        good("prepare", path, path / "index.json")
        words += ["--set", "data.size=6"]
    good("train", recipe, "--data", path, "--out", tmp_path / "run", *words)


def test_changed_pictures_are_no_longer_the_runs(tmp_path: Path, recipe: Path):
    """Another file between save and resume is found out (F7)."""
    source = pictures.fill(tmp_path / "source")
    words = ("--data", source, "--out", tmp_path / "run", "--threads", 1, "--device", "cpu")
    good("train", recipe, *words)
    (source / "cat" / "0000.png").write_bytes(pictures.png(pictures.pixels(77)))
    (source / "cat" / "0003.png").write_bytes(pictures.png(pictures.pixels(78)))
    said = refused("train", recipe, *words, "--resume")
    assert "data was source (hash" in said and "Resume would not be exact" in said


def test_bad_files_are_named_in_the_run(tmp_path: Path, recipe: Path):
    source = pictures.fill(tmp_path / "source", 60)
    (source / "cat" / "0000.png").write_bytes(b"")
    run = tmp_path / "run"
    words = ("--data", source, "--set", "data.held_out=0.0", "--threads", 1, "--device", "cpu")
    ended = unnoise("train", recipe, *words, "--out", run)
    assert ended.code == 0
    assert "1 of 60 files are left out (cat/0000.png: the file is empty)" in ended.err
    assert json.loads((run / "refused.jsonl").read_text())["name"] == "cat/0000.png"


def test_mistakes(tmp_path: Path, recipe: Path):
    for words, said in {
        ("prepare", tmp_path / "no", tmp_path / "out"): "give a folder of pictures, or a .zip",
        ("prepare", recipe, tmp_path / "out"): "give a folder of pictures",
        ("prepare", tmp_path, tmp_path / "out"): "holds no pictures",
        ("prepare", pictures.a_zip(), tmp_path): "exists already",
        ("prepare", pictures.a_zip(), tmp_path / "o", "--channels", 2): "give 3 for colour",
        ("prepare", pictures.a_zip(), tmp_path / "o", "--background", "red"): "white or black",
        ("train", recipe, "--data", tmp_path / "no"): "give a folder of pictures",
    }.items():
        assert said in refused(*words)
    assert not (tmp_path / "out").exists() and not (tmp_path / "o").exists()
