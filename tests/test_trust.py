"""A model file from elsewhere makes no command open a folder, an address or a device that the user
did not name: counted by Python's audit hooks."""

import itertools
import os
import shutil
import site
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

import unnoise as package
from tests import pictures
from tests.commands import DIGITS, Ended, good, train, unnoise
from tests.small import SETTINGS
from unnoise.core.files import pack, unpack
from unnoise.data import digits, images
from unnoise.models import Diffusion, load
from unnoise.networks import MLP
from unnoise.recipes import own_data
from unnoise.training import fit

CALLS = ("socket.connect", "socket.getaddrinfo", "urllib.Request", "subprocess.Popen", "os.system")
# What the program reads by itself, whoever asks for what.
OWN = [Path(p).resolve() for p in (sys.prefix, sys.base_prefix, *site.getsitepackages())]
OWN += [
    Path(package.__file__).resolve().parents[1] / name for name in ("unnoise", "tests", ".venv")
]
OWN += [Path(p) for p in ("/proc", "/sys", "/dev", "/etc", "/usr", "/lib")]
OWN += [Path.home() / ".cache", Path.home() / ".config"]

_watching: list[list[str]] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    if event in CALLS:
        _watching[-1].append(f"{event} {arguments[:2]}")
    elif event in ("open", "os.listdir", "os.scandir") and isinstance(arguments[0], str | bytes):
        path = Path(os.path.abspath(os.fsdecode(arguments[0])))
        if not any(path.is_relative_to(own) for own in OWN) and path.suffix != ".pyc":
            _watching[-1].append(str(path))


sys.addaudithook(_hook)


@contextmanager
def watched() -> Iterator[list[str]]:
    """What is opened and called meanwhile, beside the program's own files."""
    found: list[str] = []
    _watching.append(found)
    try:
        yield found
    finally:
        _watching.remove(found)


def elsewhere(found: list[str], *named: Path) -> list[str]:
    """What was not named; the program may make temporary files of its own."""
    return [f for f in found if not any(Path(f).is_relative_to(n.resolve()) for n in named)]


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = Diffusion(MLP(shape=(1, 8, 8), width=8, depth=1, classes=10))
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    fit(model, digits(), **{**SETTINGS, "steps": 3}).save(str(path))
    return path


def data_tables() -> list[dict[str, Any]]:
    """[data] tables that name a place, each of the kinds that can."""
    folder, array, labels = str(pictures.a_folder()), *map(str, pictures.an_array())
    lies = [
        "http://127.0.0.1:9/x",
        "https://127.0.0.1:9/index.json",
        "hf:evil/evil",
        "/etc",
        "~",
        "..",
    ]
    places = [folder, array, str(pictures.a_zip()), str(pictures.some_shards()), *lies, "/dev/zero"]
    places += [str(pictures.a_preparation()), "../../..", "digits", "\udcff", "x" * 5000, ""]
    tables: list[dict[str, Any]] = [
        {"kind": kind, "path": place, **({"size": 8} if kind in ("images", "webdataset") else {})}
        for kind, place in itertools.product(("images", "npy", "prepared", "webdataset"), places)
    ]
    for table in list(tables):
        if table["kind"] != "webdataset":
            tables.append({**table, "split": "test"})
        if table["kind"] in ("images", "webdataset"):
            tables.append({**table, "test": folder})
        if table["kind"] == "npy":
            tables.append({**table, "labels": labels})
        if table["kind"] == "webdataset":
            tables += [{**table, "cache": folder}, {**table, "split": "test", "test": lies[0]}]
    return tables


def hostile() -> list[dict[str, Any]]:
    """Recipes of model files from elsewhere."""
    found = [{"data": table} for table in data_tables()]
    plugin = str(pictures.a_folder() / "evil.py")
    return [
        *found,
        {"plugins": [plugin], "data": {"kind": "images", "path": plugin}},
        {"plugins": [plugin, "http://127.0.0.1:9/x.py"], "name": "../../x"},
        {"training": {"fork": plugin, "device": "cuda:7"}, "data": {"kind": "evil"}},
        {
            "evaluation": {"cache": plugin, "divergence": plugin},
            "data": {"kind": "digits", "path": "/"},
        },
        {"data": {"kind": ["images"], "path": "/etc"}},
        {"data": {"path": "/etc"}},
    ]


def copied(file: Path, folder: Path, recipe: dict[str, Any]) -> Path:
    """The file with another recipe, rightly sealed, alone in a folder."""
    document, tensors = unpack(file)
    document["recipe"] = {**document["recipe"], "data": {}, **recipe}
    folder.mkdir()
    target = folder / "m.safetensors"
    target.write_bytes(pack(document, tensors))
    (folder / "given.png").write_bytes(pictures.png(pictures.pixels(0, 8, 1)))
    return target


def commands(file: Path, folder: Path) -> list[list[Any]]:
    """Every command that reads a model file, with as little work as there is."""
    few = ["--steps", "1", "--threads", "1"]
    vary = ["--vary", "0.5", "-n", "1", "-o", folder / "v.png", *few]
    return [
        ["evaluate", file, "-n", "8", "--nll", "0", "-o", folder / "m.json", *few],
        ["likelihood", file, "-n", "1", "-o", folder, *few],
        ["show", file, "diagnostics", "-o", folder / "d.png"],
        ["show", file],
        ["sample", file, "-n", "1", "-o", folder / "x.npz", *few],
        ["show", file, "chain", "-o", folder / "c.png"],
        ["edit", file, folder / "given.png", *vary],
        ["average", file, "--half-life", "9"],
        ["verify", file],
        ["train", "digits", "--fork", file, "--dry-run"],
        ["sample", file, "-n", "1", "--guide", file, "-o", folder / "y.npz", *few],
    ]


def run(words: list[Any], folder: Path) -> tuple[list[str], Ended]:
    with watched() as found:
        ended = unnoise(*words)
    assert "bug" not in ended.err and "Traceback" not in ended.err, ended
    assert all(len(line) <= len("unnoise: ") + 200 for line in ended.err.splitlines())
    return elsewhere(found, folder, Path(tempfile.gettempdir()) / "never"), ended


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_two_hundred_files(every: bool, model_file: Path, tmp_path: Path):
    """0 opens outside the file and what was named, 0 connects."""
    recipes = hostile()
    assert len(recipes) >= 200
    runs = 0
    for number, recipe in enumerate(recipes):
        folder = tmp_path / str(number)
        file = copied(model_file, folder, recipe)
        words_of = commands(file, folder)
        # All commands read some of the files, three many of them, and evaluate every one.
        count = len(words_of) if every or number % 20 == 0 else 3 if number % 3 == 0 else 1
        for words in words_of[:count]:
            outside, ended = run(words, folder)
            runs += 1
            assert outside == [], (recipe, words, outside)
            if words[0] == "evaluate" and "data" in recipe:
                assert ended.code == 2, (recipe, ended)
        shutil.rmtree(folder)
    assert runs > 400


def test_the_sentence(model_file: Path, tmp_path: Path):
    table = {"kind": "images", "path": str(pictures.a_folder()), "size": 8}
    file = copied(model_file, tmp_path / "x", {"data": table})
    _, ended = run(["evaluate", file, "-n", "8"], tmp_path / "x")
    assert "a file's word opens nothing" in ended.err and "--data PATH" in ended.err
    assert load(file).origin == file


def test_data_that_opens_nothing_may_be_named(model_file: Path, tmp_path: Path):
    file = copied(model_file, tmp_path / "x", {"data": {"kind": "digits"}})
    few = ["-n", "8", "--nll", "0", "--steps", "1", "--threads", "1"]
    outside, ended = run(["evaluate", file, *few], tmp_path / "x")
    assert ended.code == 0 and outside == []


SHARE = ["--set", "data.held_out=0.4", "--steps", "3"]


@pytest.fixture(scope="module")
def own_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on a folder of pictures."""
    folder = tmp_path_factory.mktemp("own")
    return train(folder, DIGITS, "--data", pictures.fill(folder / "photos", 40), *SHARE)


FEW = ["-n", "8", "--nll", "2", "--steps", "2", "--threads", "1", "--json"]


def test_a_run_of_ones_own_needs_no_word(own_run: Path):
    good("evaluate", own_run, *FEW)
    good("likelihood", own_run, "-n", "1", "--threads", "1")
    good("show", own_run, "diagnostics", "--threads", "1")
    good("evaluate", own_run / "model.safetensors", *FEW)
    newest = max((own_run / "checkpoints").iterdir())
    good("evaluate", newest / "model.safetensors", *FEW, "-o", own_run / "metrics.json")


def test_data_that_the_user_names(own_run: Path, tmp_path: Path):
    """The file alone elsewhere, and the pictures elsewhere too: the same figures."""
    shutil.copy(own_run / "model.safetensors", tmp_path / "m.safetensors")
    photos = shutil.copytree(own_run.parent / "photos", tmp_path / "photos")
    assert unnoise("evaluate", tmp_path / "m.safetensors", *FEW).code == 2
    outside, ended = run(["evaluate", tmp_path / "m.safetensors", "--data", photos, *FEW], tmp_path)
    wanted = good("evaluate", own_run, *FEW).last
    assert outside == [] and ended.code == 0, ended.err
    names = [w.replace(str(tmp_path), str(own_run)) for w in ended.last.split(", ")]
    assert [n for n in names if "wrote" not in n] == [
        n for n in wanted.split(", ") if "wrote" not in n
    ]
    others = pictures.fill(tmp_path / "others", 20, 8)
    good("evaluate", own_run, "--against", others, *FEW)
    good("likelihood", own_run, "--data", others, "-n", "2", "--threads", "1")
    good("show", tmp_path / "m.safetensors", "diagnostics", "--data", photos, "--threads", "1")


def test_only_settings_that_name_no_place_are_taken(own_run: Path):
    """Of the header's table the user's path gets sizes and shares, never a second path."""
    model: Diffusion = load(own_run)
    model.origin = None
    photos = str(own_run.parent / "photos")
    model.recipe["data"] = {
        "kind": "images",
        "path": "/etc",
        "test": "http://127.0.0.1:9/",
        "size": 6,
        "held_out": 0.5,
        "flip": True,
        "background": "black",
    }
    with watched() as found:
        data = own_data.own_data(model, "train", photos)
    assert elsewhere(found, Path(photos)) == []
    wanted = images(photos, size=6, held_out=0.5, flip=True, background="black")
    assert data.info.sha256 == wanted.info.sha256


def test_canary_the_header_is_believed(
    model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(own_data, "_place_settings", lambda maker: [])
    for recipe in ({"data": t} for t in data_tables()[:1]):
        file = copied(model_file, tmp_path / "x", recipe)
        outside, _ = run(["evaluate", file, "-n", "8"], tmp_path / "x")
        assert any(str(pictures.a_folder()) in path for path in outside)
    with watched() as found:
        torch.zeros(1)
    assert found == []
