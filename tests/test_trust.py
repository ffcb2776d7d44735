"""A model file from elsewhere makes no command open a folder, an address or a device that the user
did not name: counted by Python's audit hooks."""

import copy
import itertools
import json
import os
import pickle
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
from matplotlib import font_manager, get_cachedir

import unnoise as package
from tests import pictures
from tests.commands import DIGITS, Ended, good, train, unnoise
from tests.small import SETTINGS
from unnoise.catalogue.registry import load_plugin, lookup, names
from unnoise.core.errors import InputError
from unnoise.data import TensorDataset, digits, images
from unnoise.evaluation import Evaluation
from unnoise.models import Classifier, Diffusion, load, save
from unnoise.networks import MLP
from unnoise.networks.classifiers import MLPClassifier
from unnoise.system.files import pack, unpack
from unnoise.tasks import evaluate, own_data
from unnoise.tasks.classify import classify
from unnoise.training import fit

CALLS = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request"}
CALLS |= {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"}
# What lies here is the system's own, but hostile files name these two.
NAMED = {"/etc", "/dev/zero"}
# What the program reads by itself, whoever asks for what.
OWN = [Path(p).resolve() for p in (sys.prefix, sys.base_prefix, *site.getsitepackages())]
OWN += [
    Path(package.__file__).resolve().parents[1] / name for name in ("unnoise", "tests", ".venv")
]
OWN += [Path(p) for p in ("/proc", "/sys", "/dev", "/etc", "/usr", "/lib")]
OWN += [Path(get_cachedir())]
font_manager.findfont("DejaVu Sans")  # looks through the machine's fonts, the first time

_watching: list[list[str]] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    if event in CALLS:
        _watching[-1].append(f"{event} {arguments[:2]}")
    elif event in ("open", "os.listdir", "os.scandir") and isinstance(arguments[0], str | bytes):
        path = Path(os.path.abspath(os.fsdecode(arguments[0])))
        own = path.suffix == ".pyc" or any(path.is_relative_to(folder) for folder in OWN)
        if str(path) in NAMED or not own:
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


def evil() -> Path:
    """A plug-in that nobody asked for."""
    file = pictures.place() / "evil.py"
    file.write_text("import unnoise\n")
    return file


def hostile() -> list[dict[str, Any]]:
    """Recipes of model files from elsewhere."""
    found = [{"data": table} for table in data_tables()]
    plugin = str(evil())
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
    guided = ["--guide", file, "--guidance", "2", "-o", folder / "y.npz", *few]
    same = ["--set", 'model={kind="diffusion",network={kind="mlp",width=8,depth=1}}']
    return [
        ["evaluate", file, "-n", "8", "--nll", "0", "-o", folder / "m.json", *few],
        ["likelihood", file, "-n", "1", "-o", folder, *few],
        ["show", file, "diagnostics", "-o", folder / "d.png"],
        ["show", file],
        ["sample", file, "-n", "1", "-o", folder / "x.npz", *few],
        ["show", file, "chain", "-o", folder / "c.png"],
        ["edit", file, folder / "given.png", *vary],
        ["average", folder, "--half-life", "9"],
        ["verify", folder],
        ["train", "digits", "--fork", file, "--dry-run", *same],
        ["sample", file, "-n", "1", *guided],
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
                assert ended.err.count("\n") == 1 or "evaluation" in recipe, (recipe, ended)
            if words[0] in ("sample", "train", "edit"):
                assert ended.code == 0, (words, ended)
        shutil.rmtree(folder)
    assert runs > 400


def test_the_sentence(model_file: Path, tmp_path: Path):
    table = {"kind": "images", "path": str(pictures.a_folder()), "size": 8}
    file = copied(model_file, tmp_path / "x", {"data": table})
    _, ended = run(["evaluate", file, "-n", "8"], tmp_path / "x")
    assert "a file's word opens nothing" in ended.err and "--data PATH" in ended.err
    assert load(file).origin == file


def test_in_python(model_file: Path, tmp_path: Path):
    """Copies of a model remember where it came from."""
    table = {"kind": "images", "path": str(pictures.a_folder()), "size": 8}
    model = load(copied(model_file, tmp_path / "x", {"data": table}))
    network = MLPClassifier(shape=(1, 8, 8), classes=10, width=8, depth=1)
    plain = tmp_path / "plain.safetensors"
    save(fit(Classifier(network), digits(), **{**SETTINGS, "steps": 3}), plain)
    classifier = load(copied(plain, tmp_path / "y", {"data": table}))
    settings = Evaluation(count=8, likelihood=0)
    with watched() as found:
        for one in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            with pytest.raises(InputError, match="a file's word opens nothing"):
                evaluate(one, settings)
        with pytest.raises(InputError, match="a file's word opens nothing"):
            classify(classifier, settings)
    assert found == []


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


def figures(line: str) -> dict[str, Any]:
    return {name: value for name, value in json.loads(line).items() if name != "wrote"}


def test_data_that_the_user_names(own_run: Path, tmp_path: Path):
    """The file alone elsewhere, and the pictures elsewhere too: the same figures."""
    shutil.copy(own_run / "model.safetensors", tmp_path / "m.safetensors")
    photos = shutil.copytree(own_run.parent / "photos", tmp_path / "photos")
    assert unnoise("evaluate", tmp_path / "m.safetensors", *FEW).code == 2
    outside, ended = run(["evaluate", tmp_path / "m.safetensors", "--data", photos, *FEW], tmp_path)
    wanted = good("evaluate", own_run, *FEW).last
    assert outside == [] and ended.code == 0, ended.err
    assert figures(ended.last) == figures(wanted)
    others = pictures.fill(tmp_path / "others", 20, 8)
    assert figures(good("evaluate", own_run, "--against", others, *FEW).last) != figures(wanted)
    good("likelihood", own_run, "--data", others, "-n", "2", "--threads", "1")
    good("show", tmp_path / "m.safetensors", "diagnostics", "--data", photos, "--threads", "1")


def test_the_own_folder_is_no_other_data(own_run: Path):
    """Compared with its own pictures a model meets those held out, none that it was trained on."""
    photos = own_run.parent / "photos"
    wanted = figures(good("evaluate", own_run, *FEW).last)
    assert figures(good("evaluate", own_run, "--against", photos, *FEW).last) == wanted
    whole = unnoise("evaluate", own_run, "--against", f"{photos}:train", *FEW)
    assert whole.code == 2 and "it has not seen" in whole.err


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


PLUGIN = """
import unnoise
from unnoise.data import Dataset, images


@unnoise.register("dataset", "wrapped")
def wrapped(inner: Dataset) -> Dataset:
    \"\"\"Data in other data.\"\"\"
    return inner


@unnoise.register("dataset", "fixed")
def fixed(year: int = 1) -> Dataset:
    \"\"\"Data at a place of its own.\"\"\"
    return images(PLACE, size=8)
"""


@pytest.mark.parametrize("kind", ["wrapped", "fixed"])
def test_data_sets_of_plugins(kind: str, model_file: Path, tmp_path: Path):
    """They may open something, so a header may not ask for them."""
    photos = str(pictures.a_folder())
    plugin = tmp_path / "sets.py"
    plugin.write_text(PLUGIN.replace("PLACE", repr(photos)))
    inner = {"inner": {"kind": "images", "path": photos, "size": 8}} if kind == "wrapped" else {}
    file = copied(model_file, tmp_path / "x", {"data": {"kind": kind, **inner}})
    words = ["show", file, "diagnostics", "--plugin", plugin, "-o", tmp_path / "x" / "d.png"]
    outside, ended = run(words, tmp_path)
    assert outside == [] and "a file's word opens nothing" in ended.err


def test_trained_on(model_file: Path, tmp_path: Path):
    """A model trained on values without a recipe forgets what its file said of its data."""
    table = {"kind": "images", "path": str(pictures.a_folder()), "size": 8}
    model = load(copied(model_file, tmp_path / "x", {"data": table}))
    values = torch.arange(60 * 64).reshape(60, 1, 8, 8) % 17
    mine = TensorDataset("mine", values, torch.arange(60) % 10, levels=17, licence="none")
    fit(model, mine, **{**SETTINGS, "steps": 3})
    with watched() as found, pytest.raises(InputError, match="does not say what it was trained on"):
        evaluate(model, Evaluation(count=8, likelihood=0))
    assert found == []


BELIEVED = {
    "images": lambda: {"path": str(pictures.a_folder())},
    "npy": lambda: {"path": str(pictures.an_array()[0])},
    "prepared": lambda: {"path": str(pictures.a_preparation())},
    "webdataset": lambda: {
        "path": "http://127.0.0.1:9/x",
        "test": "http://127.0.0.1:9/y",
        "size": 8,
    },
}


@pytest.mark.parametrize("kind", BELIEVED)
def test_canary_the_header_is_believed(
    kind: str, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in names("dataset"):
        monkeypatch.setattr(lookup("dataset", name), "opens_nothing", True, raising=False)
    table = BELIEVED[kind]()
    file = copied(model_file, tmp_path / "x", {"data": {"kind": kind, **table}})
    outside, _ = run(["evaluate", file, "-n", "8"], tmp_path / "x")
    sign = "socket.connect" if kind == "webdataset" else table["path"]
    assert any(seen.startswith(sign) for seen in outside), outside


def test_canary_the_hook(tmp_path: Path):
    """It sees plug-ins and the places of the system that hostile files name, and no work."""
    plugin = tmp_path / "seen.py"
    plugin.write_text("import unnoise\n")
    with watched() as found:
        torch.zeros(1)
    assert found == []
    with watched() as found:
        load_plugin(plugin)
        os.listdir("/etc")
        with open("/dev/zero", "rb"):
            pass
    assert {str(plugin), "/etc", "/dev/zero"} <= set(found)
