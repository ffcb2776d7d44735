"""A run killed at any moment, the first millisecond included, starts or resumes again, and becomes
what it would have been.

Forked, so that forty kills cost seconds. After each kill the run is taken up by a script that knows
nothing: it starts the run, and says ``--resume`` only where a refusal told it to.
"""

import importlib
import multiprocessing
import os
import signal
import time
import warnings
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch

from tests.commands import good, refused
from tests.small import diffusion, points, temporary
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.system import disk
from unnoise.tasks import train
from unnoise.training import Run, fit
from unnoise.training.events import read_metrics

RECIPE = {
    "name": "tiny",
    "data": {"kind": "digits"},
    "model": {"kind": "diffusion", "network": {"kind": "mlp", "width": 8, "depth": 1}},
    "sampling": {"steps": 2},
    "training": {"steps": 6, "batch": 4, "save_every": 2, "sample_every": 3},
}
OPERATIONS = ("create", "sync", "rename", "make_folder", "sync_folder", "remove", "remove_folder")

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


def go(out: Path, resume: bool = False) -> None:
    torch.set_num_threads(1)
    train(RECIPE, out, resume=resume, threads=1, device="cpu")


def killed_at(out: Path, number: int) -> None:
    """The run, killed as it begins its n-th operation on the disk."""
    done = 0

    def watch(name: str) -> None:
        real: Callable[..., None] = getattr(disk, name)

        def maybe(*arguments: object) -> None:
            nonlocal done
            done += 1
            if done == number:
                if name == "create":  # half of it is there
                    path, content = arguments
                    real(path, content[: len(content) // 2])  # pyright: ignore
                os.kill(os.getpid(), signal.SIGKILL)
            real(*arguments)

        setattr(disk, name, maybe)

    for name in OPERATIONS:
        watch(name)
    go(out)


def forked(work: Callable[..., None], *arguments: object) -> BaseProcess:
    process = multiprocessing.get_context("fork").Process(target=work, args=arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
        process.start()
    return process


def script(out: Path) -> None:
    """Start, or do what the refusal says."""
    try:
        go(out)
    except InputError as error:
        if "resume=True" not in str(error) or "leave resume=True out" in str(error):
            raise
        go(out, resume=True)


def outcome(out: Path) -> tuple[dict[str, bytes], list[tuple[object, ...]]]:
    names = ("model.safetensors", "recipe.toml", "checkpoints/step-000006/state.safetensors")
    files = {name: (out / name).read_bytes() for name in names}
    files |= {path.name: path.read_bytes() for path in (out / "samples").iterdir()}
    lines = [(e["event"], e["step"], e.get("loss")) for e in read_metrics(out / "metrics.jsonl")]
    return files, lines


def taken_up(out: Path) -> tuple[dict[str, bytes], list[tuple[object, ...]]]:
    process = forked(script, out)
    process.join(60)
    assert process.exitcode == 0 and not temporary(out)
    return outcome(out)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, float]:
    """What nobody disturbed, and the seconds it took, once everything was imported."""
    folder, threads = tmp_path_factory.mktemp("whole"), torch.get_num_threads()
    go(folder / "first")
    began = time.monotonic()
    go(folder / "run")
    torch.set_num_threads(threads)
    return outcome(folder / "run"), time.monotonic() - began


@forks
def test_at_every_one_of_the_first_operations(whole: tuple[object, float], tmp_path: Path):
    for number in range(1, 25):
        out = tmp_path / str(number)
        process = forked(killed_at, out, number)
        process.join(60)
        assert process.exitcode == -signal.SIGKILL, number
        assert taken_up(out) == whole[0], number


@forks
def test_at_any_millisecond(whole: tuple[object, float], tmp_path: Path):
    wanted, seconds = whole
    moments = Noise(time.time_ns(), [0]).uniform(torch.empty(1, 10))[0] * seconds
    for i, moment in enumerate([*(m / 1000 for m in range(6)), *moments.tolist()]):
        out = tmp_path / str(i)
        process = forked(go, out)
        time.sleep(moment)
        process.kill()
        process.join(60)
        assert taken_up(out) == wanted, moment


# What a kill may leave in a folder before its recipe is there.
LEFT = [
    (),
    (".lock",),
    (".lock", ".recipe.toml.tmp-1"),
    (".recipe.toml.tmp-7", ".recipe.toml.tmp-8"),
]


@pytest.mark.parametrize("left", LEFT, ids=len)
def test_what_lies_there_before_the_recipe(left: tuple[str, ...], tmp_path: Path):
    out = tmp_path / "run"
    out.mkdir()
    for name in left:
        (out / name).write_text("half of it")
    assert "leave --resume out" in refused("train", "moons", "--out", out, "--resume")
    few = ["--set", "model.network.width=8", "--steps", "2", "--threads", "1"]
    good("train", "moons", "--out", out, *few)
    assert not temporary(out)


@pytest.mark.parametrize(
    "name", ["notes.txt", ".recipe.toml.tmp-mine", ".mine.tmp-1", "recipe.txt"]
)
def test_neither_sends_to_the_other(name: str, tmp_path: Path):
    """In a folder of the user's both ask for another folder, and what lies there stays."""
    (tmp_path / name).write_text("mine")
    for words in ([], ["--resume"]):
        said = refused("train", "moons", "--out", tmp_path, *words)
        assert "--resume" not in said and "new folder" in said
    assert (tmp_path / name).read_text() == "mine"


@forks
def test_canary_the_recipe_late(whole: tuple[object, float], tmp_path: Path, monkeypatch):
    """As it was: anything beside the lock is a run, whether it has a recipe or not."""
    module = importlib.import_module("unnoise.tasks.train")  # `train` is a function, too
    monkeypatch.setattr(module, "_before_the_recipe", lambda name: name == ".lock")
    process = forked(killed_at, tmp_path / "run", 2)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    with pytest.raises(AssertionError):
        taken_up(tmp_path / "run")


def test_a_refused_training_leaves_nothing(tmp_path: Path):
    """Neither a folder nor a lock; but what was there stays."""

    def refuse(run: Run) -> None:
        raise InputError("no.")

    for name in ("new", "old"):
        (tmp_path / "old").mkdir(exist_ok=True)
        with pytest.raises(InputError, match="no"):
            fit(diffusion(), points(), steps=2, batch=4, out=tmp_path / name, begun=refuse)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
