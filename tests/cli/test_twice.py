"""Every command twice gives the same bytes, also in another environment (C1, C5)."""

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.every_command import COMMANDS
from tests.commands import files
from tests.pictures import fill

ROOT = Path(__file__).parents[2]
PLAIN = {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
OTHER = {"PYTHONHASHSEED": "7", "LC_ALL": "C", "LANG": "tr_TR.UTF-8", "TZ": "Asia/Seoul"}
# The clock: how fast, how long, when. Nothing else may differ.
CLOCK = [
    rb'"images_per_second": [\d.e+-]+',
    rb"[\d.,]+ img/s",
    rb"\b[\dhmsd ]+s left",
    rb"in [\d.]+ s",
]
CLOCK += [rb"[\d.]+ CPU s", rb"about \S+( \d+\w)?", rb"[\d.]+ GiB", rb"[\d.]+ pictures/s"]


def all_commands(folder: Path, pictures: Path, env: dict[str, str], *more: str) -> dict[str, bytes]:
    """Run them in a folder; every file that is there afterwards, without what the clock wrote."""
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "tests.cli.every_command", str(pictures), *more]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **env}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, timeout=250, text=True)
    assert done.returncode == 0, done.stderr
    found = files(folder)
    kept = {n: v for n, v in found.items() if not n.endswith("log.txt") and "tfevents" not in n}
    text = (".jsonl", ".out", ".json")
    return {n: timeless(v) if n.endswith(text) else v for n, v in kept.items()}


def timeless(said: bytes) -> bytes:
    """Text without what the clock wrote."""
    for pattern in CLOCK:
        said = re.sub(pattern, b"...", said)
    return said


def test_canary_only_the_clock_is_left_out():
    line = b'{"event": "step", "step": 10, "loss": 0.25, "lr": 0.003, "images_per_second": 81.5}'
    assert timeless(line) == timeless(line.replace(b"81.5", b"9.25"))
    for old, new in ((b"0.25", b"0.26"), (b"10", b"11"), (b"0.003", b"0.002")):
        assert timeless(line) != timeless(line.replace(old, new))
    shown = b"12 samples in 0.1 s\nbits/dim 2.444, about 25s, step 3/20  loss 0.196  2,208 img/s"
    for old, new in (
        (b"2.444", b"2.445"),
        (b"0.196", b"0.197"),
        (b"12", b"13"),
        (b"3/20", b"4/20"),
    ):
        assert timeless(shown) != timeless(shown.replace(old, new))


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    base = tmp_path_factory.mktemp("twice")
    pictures = fill(base / "pictures")
    return base, all_commands(base / "once", pictures, PLAIN)


def test_again(once: tuple[Path, dict[str, bytes]]):
    base, before = once
    again = all_commands(base / "elsewhere" / "again", base / "pictures", OTHER, "shuffled")
    assert again.keys() == before.keys()
    assert [name for name in before if again[name] != before[name]] == []


def test_they_have_done_something(once: tuple[Path, dict[str, bytes]]):
    """Files of every command are among those compared, and are not empty (the canary's ground)."""
    found = once[1]
    for name in ("sheet.png", "walk.gif", "arrays.npz", "cats.png", "average.safetensors"):
        assert len(found[name]) > 100
    assert found["sheet.png"] != found["cats.png"]
    assert len([name for name in found if name.startswith("folder/")]) >= 3

    def said(words: str) -> bytes:
        number = next(i for i, line in enumerate(COMMANDS) if line.startswith(words))
        return found[f"{number:02d}.out"]

    assert json.loads(said("evaluate run"))["count"]
    assert json.loads(said("evaluate classifier"))["levels"]
    assert b"identical" in said("verify")
    assert all(found[f"{i:02d}.out"] for i in range(len(COMMANDS)))


def test_every_verb_is_among_them():
    verbs = {line.split()[0] for line in COMMANDS}
    app = importlib.import_module("unnoise.cli.app").app
    known = {command.callback.__name__ for command in app.registered_commands}
    assert known - verbs == {"demo"}  # a minute and a half: run by hand and at night
