"""What is data runs no code: hostile strings in every field (G3), and no pickle in any load (H1).

Python's own audit hook watches, in a process of its own (a hook cannot be taken off again).
"""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests import pictures
from tests.commands import POINTS, train

HOSTILE = r"""
_target_ __class__ __import__('os').system('touch_CANARY') os.system subprocess.Popen
{0.__globals__} {0.__class__.__mro__} %(x)s ${jndi:ldap://x} `touch_CANARY` $(touch_CANARY) ;id
../../etc/passwd /etc/passwd file:///etc/passwd ~/.bashrc \\host\share C:\x nul con .. . /
builtins.eval torch.hub.load pickle.loads yaml.load !!python/object/apply:os.system
lambda:0 eval('1') exec('1') {{7*7}} <script> %s%s%n \x00 \u202e nan inf -1 None true
unnoise.catalogue.registry unnoise:data json antigravity this ctypes webbrowser tkinter idlelib
""".split()  # noqa: SIM905  (a list of fifty lines reads worse)

WATCH = """
import json, os, sys
seen, watching = [], False
def hook(event, arguments):
    if not watching:
        return
    if event == "import" and not str(arguments[0]).startswith("unnoise"):
        seen.append(["import", str(arguments[0])])
    elif event == "open":
        seen.append(["open", str(arguments[0]), str(arguments[1])])
    elif event.split(".")[0] in ("subprocess", "socket", "ctypes", "pickle") or event in (
        "os.system", "os.exec", "os.posix_spawn", "os.fork", "exec", "compile"):
        seen.append([event, str(arguments)[:200]])
sys.addaudithook(hook)
"""

RECIPES = """
import copy, tomllib, pathlib
from unnoise.core.errors import InputError
from unnoise.recipes import load_recipe
strings = json.loads(sys.argv[1])
tables = tomllib.loads(pathlib.Path(sys.argv[2]).read_text())
def prepare(tables):
    recipe = load_recipe(tables)
    data = recipe.dataset()
    recipe.build_model(data.info)
def places(value, path=()):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*path, key))
    elif isinstance(value, str) and path[-1] != "path":
        yield path
tables["data"]["kind"] = "moons"
everywhere = list(places(tables)) + [
    ("model", "head"), ("sampling", "solver"), ("sampling", "grid"),
    ("model", "objective", "kind"), ("model", "process", "kind"), ("evaluation", "divergence"),
    ("training", "precision"), ("training", "schedule"), ("name",)]
prepare(tables)
for path in everywhere:  # warm: what a refusal itself imports is there
    broken = copy.deepcopy(tables)
    try:
        inner = broken
        for key in path[:-1]:
            inner = inner.setdefault(key, {})
        inner[path[-1]] = "nothing of the kind"
        prepare(broken)
    except InputError:
        pass
watching = True
refused = 0
tried = 0
for number, text in enumerate(strings):
    for path in everywhere[number % 4 :: 4]:
        tried += 1
        broken = copy.deepcopy(tables)
        inner = broken
        for key in path[:-1]:
            inner = inner.setdefault(key, {})
        inner[path[-1]] = text
        try:
            prepare(broken)
        except InputError:
            refused += 1
watching = False
print(json.dumps({"seen": seen, "refused": refused, "tried": tried}))
"""

LOADS = """
import pathlib, shutil
import numpy as np
import unnoise
from unnoise.data import images, npy, prepared, webdataset
from unnoise.tasks import train
from unnoise.training import read_average
run, folder, ready, shards, array = (sys.argv[i] for i in range(1, 6))
watching = True
unnoise.load(run)
images(folder), prepared(ready), webdataset(shards, 6), npy(array)
train(pathlib.Path(run) / "recipe.toml", run, resume=True, device="cpu", threads=1)
unnoise.evaluate(unnoise.load(run), cache=pathlib.Path(run))
unnoise.evaluate(unnoise.load(run), cache=pathlib.Path(run))
for name in ("model.pt", "model.safetensors"):
    file = pathlib.Path(run).parent / name
    import pickle
    file.write_bytes(pickle.dumps({"weights": np.float64(1)}))
    try:
        unnoise.load(file)
    except unnoise.InputError:
        pass
if "canary" in sys.argv:
    pickle.loads(file.read_bytes())
watching = False
print(json.dumps({"seen": [s for s in seen if s[0].startswith("pickle")]}))
"""


def watched(script: str, *words: object, cwd: Path) -> dict:
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WATCH + textwrap.dedent(script), *map(str, words)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=200,
    )
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("run"), POINTS)


def test_hostile_strings_import_nothing(run: Path, tmp_path: Path):
    """Some hundred strings in the places of a recipe that hold one (G3)."""
    forms = ("{}", "{0}.{0}", "{0}{0}{0}", "unnoise.{}", "{}()", " {}\n")
    strings = [form.replace("{0}", h).replace("{}", h) for form in forms for h in HOSTILE]
    assert len(strings) >= 300
    found = watched(RECIPES, json.dumps(strings), run / "recipe.toml", cwd=tmp_path)
    assert found["tried"] > 1000 and found["refused"] > 0.8 * found["tried"]
    assert [s for s in found["seen"] if s[0] not in ("open", "exec", "compile")] == []
    package = str(Path(__file__).parents[1])
    outside = [
        s for s in found["seen"] if s[0] == "open" and not s[1].startswith((package, sys.prefix))
    ]
    assert outside == [] and not list(tmp_path.rglob("*CANARY*"))


def words(run: Path) -> list[object]:
    folder, ready = pictures.a_folder(), pictures.a_preparation()
    return [run, folder, ready, pictures.some_shards(), pictures.an_array()[0]]


def test_no_load_unpickles(run: Path, tmp_path: Path):
    """Models, checkpoints, averages, judges, data of every kind, and pickles in disguise (H1)."""
    assert watched(LOADS, *words(run), cwd=tmp_path)["seen"] == []


def test_canary_the_hook_hears_a_pickle(run: Path, tmp_path: Path):
    found = watched(LOADS, *words(run), "canary", cwd=tmp_path)
    assert found["seen"] and found["seen"][0][0] == "pickle.find_class"
