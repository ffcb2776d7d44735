"""Text that nobody means, in recipes and in commands, is answered by a sentence, and soon."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import unnoise
from tests.answers import HUGE, answer
from tests.commands import POINTS, Ended, process, refused, train
from tests.small import points
from unnoise.core.errors import LONGEST, InputError, NumbersError, short
from unnoise.recipes import load_recipe
from unnoise.recipes.load import parse_changes

# -- text -----------------------------------------------------------------------------------------

DATASET = '[data]\nkind = "moons"\n'
RECIPE = DATASET + '[model]\nkind = "diffusion"\nnetwork = "mlp"\n'
TEXTS: Mapping[str, tuple[str | bytes, str]] = {
    "digits": (f"{RECIPE}[training]\nsteps = 1{'0' * 5000}", "more than 4,300 digits"),
    "dots": ("a." * 100_000 + "a = 1", "more than 50 dots"),
    "quoted dots": ('"a" . ' * 100_000 + "a = 1", "more than 50 dots"),
    "dots of a table": (f"[a{'.a' * 100_000}]", "more than 50 dots"),
    "lists": ("x = " + "[" * 100_000, "too deep"),
    "tables": ("x = " + "{a = " * 10_000, "too deep"),
    "tables unknown": ("\n".join(f"k{i} = 1" for i in range(30_000)), "no such table"),
    "keys unknown": (
        f"{RECIPE}[training]\n" + "\n".join(f"k{i} = 1" for i in range(30_000)),
        "no such setting",
    ),
    "one long word": (f"{RECIPE}[training]\nbacth = '''\n{'x' * 900_000}'''", "'batch'"),
    "a long number": (f"{RECIPE}[training]\nlr = 1.{'0' * 900_000}\nx = 1", "training.x"),
    "long text": (f"{RECIPE}[training]\nlr = '{'x' * 900_000}'", "training.lr = 'xxx"),
    "bytes": (b"\xff\xfe", "cannot be read"),
    "size": ("#" * 1_000_001, "has 1,000,001 bytes; at most 1,000,000 are read"),
    "kind of sampling": (f"{RECIPE}[sampling]\nkind = 3", "sampling.kind: no such setting"),
    "kind of training": (f"{RECIPE}[training]\nkind = 'training'", "training.kind: no such"),
    "kind of evaluation": (f"{RECIPE}[evaluation]\nkind = 'x'", "evaluation.kind: no such"),
    "seed": (f"{RECIPE}[training]\nseed = 0x{'f' * 300}", "at most a hundred digits"),
    "name": (f"name = '{'x' * 1000}'\n{RECIPE}", "name = 'xxx"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_recipes(name: str, tmp_path: Path):
    text, sentence = TEXTS[name]
    path = tmp_path / "mine.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert sentence in answer(lambda: load_recipe(path))
    path.write_text(RECIPE)
    assert answer(lambda: load_recipe(path)) == ""


def test_places_of_recipes(tmp_path: Path):
    (tmp_path / "no.toml").mkdir()
    for place in (tmp_path / "no.toml", "/dev/zero", "x" * 10_000 + ".toml", "a\0.toml"):
        assert "no such recipe" in answer(lambda place=place: load_recipe(place))


def test_a_place_stays_whole(tmp_path: Path):
    path = tmp_path / f"{'mine' * 20}.toml"
    path.write_text(f"{RECIPE}[model.objective]\nkind = 'regression'\nxx{'y' * 40} = 1\n")
    said = answer(lambda: load_recipe(path).build_model(points().info))
    assert said.endswith(", line 8)") and "(recipe /" in said and "Known" in said


def test_tables_from_python():
    deep: dict[str, Any] = {}
    for _ in range(10_000):
        deep = {"a": deep}
    tables: dict[str, Any] = {"data": {"kind": "moons"}, "model": {"kind": "diffusion"}}
    assert "too deep" in answer(lambda: load_recipe(deep))
    for key in ("name", "plugins", "data", "model", "training"):
        for value in (HUGE, "\udcff", "x" * 10_000):
            assert key in answer(lambda key=key, value=value: load_recipe({**tables, key: value}))
    assert "more than 50 dots" in answer(lambda: load_recipe("digits", {"a." * 99_999: 1}))


def test_names_that_are_not_utf8():
    for key in ("data.path", "data.test", "plugins"):
        value = ["\udcff.py"] if key == "plugins" else "/data/\udcff"
        said = answer(lambda key=key, value=value: load_recipe("digits", {key: value}))
        assert said == f"{key} holds bytes that are not UTF-8; rename the folder or file."
    assert answer(lambda: load_recipe("digits", {"data.path": "/data/\u00ff\ud55c"})) == ""


def test_changes():
    for value in ("1" + "0" * 5000, "[" * 10_000, "a." * 10_000 + "a"):
        assert "--set a" in answer(lambda value=value: parse_changes([f"a={value}"]))
    assert parse_changes(["a=[.05,.1]", "b=mlp", "c=1e-3"]) == {
        "a": "[.05,.1]",
        "b": "mlp",
        "c": 1e-3,
    }


# -- messages -------------------------------------------------------------------------------------


def test_what_is_shown_of_values():
    class Broken:
        def __repr__(self) -> str:
            raise KeyError

    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    for value in (1, 0.5, "a 'b'", None, [1, "x"], {"kind": "x", "a": 1}, (1,), b"x", "\udcff"):
        assert short(value) == repr(value)
    assert short(HUGE) == "a whole number of about 5,000 digits" and short(Broken()) == "a Broken"
    long: list[Any] = ["x" * 10**8, [HUGE] * 10**6, deep, {i: i for i in range(10**6)}, 10**4000]
    for value in (*long, torch.zeros(9, 9), np.zeros(10**6), "'" * 500, "\udcff" * 500):
        began = time.process_time()
        assert 10 < len(short(value)) <= 60 and "\n" not in short(value)
        assert len(short(value, 30)) <= 36 and time.process_time() - began < 1


def test_lines_of_errors():
    word, cure = "training.lr", "give a number above 0."
    said = str(InputError(f"{word} = {'x' * 10_000}: {cure}"))
    assert len(said) < LONGEST and said.startswith(word) and said.endswith(cure)
    said = str(InputError(f"{word} = {'x ' * 10_000}: {cure}"))
    assert len(said) == LONGEST and said.startswith(word) and said.endswith(cure)
    many = InputError("\n".join(f"a{i}" for i in range(1000)))
    lines = str(many).splitlines()
    assert len(lines) == 20 and lines[18:] == ["a18", "and 981 more"]
    assert str(InputError(f"b\n{many}")).splitlines()[-1] == "and 982 more"
    whole = f"{'/long/path' * 20} --resume"
    assert str(NumbersError(whole)) == whole  # what is there to be copied
    assert str(InputError("short\nlines")) == "short\nlines"


# -- the command line -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("limits"), POINTS)


ZEROS = "1" + "0" * 5000
WORDS: list[tuple[str, ...]] = [
    ("--threads", "10000000"),
    ("--threads", ZEROS),
    ("--steps", "10000001"),
    ("--steps", ZEROS),
    ("-n", ZEROS),
    ("--seed", ZEROS),
    ("--solver", f'{{kind = "churned", churn = {ZEROS}}}'),
    ("--solver", "x" * 10_000),
    ("--solver", "{a = " * 10_000),
    ("--grid", f"[{ZEROS}]"),
    ("--grid", f"[1, {'9' * 400}, 0]"),
    ("--grid", "[" * 10_000),
    ("--guidance", ZEROS),
    ("--guidance", f"{{{'a.' * 10_000}a = 1}}"),
    ("--label", ZEROS),
]


@pytest.mark.parametrize("words", WORDS, ids=lambda w: f"{w[0]} {w[1][:20]}")
def test_options(words: tuple[str, ...], run: Path):
    said = refused("sample", run, *words, "-o", run / "x.npz")
    (line,) = said.splitlines()
    assert len(line) <= 200 and not (run / "x.npz").exists()


def test_options_of_train(tmp_path: Path):
    for words in (
        ("--set", f"training.steps={ZEROS}"),
        ("--set", f"training.lr={'x' * 10_000}"),
        ("--set", f"{'a.' * 10_000}a=1"),
        ("--data", "/data/\udcff"),
        ("--steps", ZEROS),
        ("--threads", "1025"),
    ):
        (line,) = refused("train", "digits", "--out", tmp_path / "run", *words).splitlines()
        assert len(line) <= 200
    assert list(tmp_path.iterdir()) == []


def loading(tmp_path: Path, code: str) -> Ended:
    """A command that loads a module during which Ctrl-C is pressed, and that hides what came."""
    (tmp_path / "slow.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    (tmp_path / "plugin.py").write_text(
        f"{code}\ntry:\n    import slow\n"
        "except BaseException:\n    raise ImportError('half') from None\n"
    )
    where = os.pathsep.join([str(tmp_path), str(Path(unnoise.__file__).parents[1])])
    return process("show", "--plugin", "plugin.py", cwd=tmp_path, PYTHONPATH=where)


def test_an_interrupt_while_modules_load(tmp_path: Path):
    ended = loading(tmp_path, "")
    assert (ended.code, ended.err) == (130, "unnoise: interrupted.\n")
    # The canary: Python's own way throws into the half-loaded module, which may say anything.
    usual = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)"
    ended = loading(tmp_path, usual)
    assert ended.code == 2 and "half" in ended.err
