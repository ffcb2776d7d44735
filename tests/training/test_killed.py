"""Real processes, really killed: what they go on to make is what they would have made."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.commands import good
from unnoise.core.noise import Noise
from unnoise.system.files import unpack
from unnoise.training.checkpoints import steps_of
from unnoise.training.events import read_metrics

STEPS = 600
RECIPE = f"""
[data]
kind = "moons"
count = 200

[model]
kind = "diffusion"
network = {{ kind = "mlp", width = 16, depth = 1, dropout = 0.1 }}

[training]
steps = {STEPS}
batch = 16
warmup = 5
"""


def words(recipe: Path, out: Path, *more: str) -> list[str]:
    changes = ["--set", "training.save_every=20"]
    return ["train", str(recipe), "--out", str(out), "--threads", "1", *changes, *more]


def start(recipe: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "unnoise", *words(recipe, out, "--device", "cpu", *more)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Its own session: a Ctrl-C in the terminal of the tests is not meant for it.
        start_new_session=True,
    )


def wait_for(process: subprocess.Popen[str], done: Callable[[], bool]) -> None:
    """Until something is true, or the process has ended of itself."""
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if done():
            return
        time.sleep(0.01)


def steps_logged(out: Path) -> int:
    lines = read_metrics(out / "metrics.jsonl")
    return max((line["step"] for line in lines if line["event"] == "step"), default=0)


def losses(out: Path) -> list[tuple[int, float]]:
    lines = read_metrics(out / "metrics.jsonl")
    return [(line["step"], line["loss"]) for line in lines if line["event"] == "step"]


def finish(recipe: Path, out: Path) -> str:
    """Go on to the end, in this process: that one is to make the same bits as the others."""
    return good(*words(recipe, out, "--device", "cpu", "--resume")).out


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def whole(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nobody disturbs."""
    out = tmp_path_factory.mktemp("whole") / "run"
    process = start(recipe, out)
    said = process.communicate(timeout=200)[1].splitlines()
    assert all(line.startswith("training  ") for line in said) and process.returncode == 0
    return out


def assert_equal_runs(out: Path, whole: Path) -> None:
    for name in ("model.safetensors", "recipe.toml"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    last = f"checkpoints/step-{STEPS:06d}/state.safetensors"
    assert (out / last).read_bytes() == (whole / last).read_bytes()
    assert losses(out) == losses(whole) and len(losses(out)) == STEPS // 10
    assert not [path for path in out.rglob("*") if ".tmp-" in path.name]


def test_kill_9_three_times(recipe: Path, whole: Path, tmp_path: Path):
    out = tmp_path / "run"
    moments = Noise(time.time_ns(), [0]).uniform(torch.empty(1, 3))[0].tolist()
    killed: list[int] = []
    for i, share in enumerate(moments):
        # Somewhere in the next quarter of the run, and some milliseconds into whatever is done.
        target = steps_logged(out) + 10 + int(share * 60)
        process = start(recipe, out, *(["--resume"] if i else []))
        wait_for(process, lambda target=target: steps_logged(out) >= target)
        time.sleep(0.02 * share)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "the run was over before it was killed"
        killed.append(steps_logged(out))
        assert killed[-1] < STEPS and not (out / f"checkpoints/step-{STEPS:06d}").exists()
    assert killed == sorted(killed)
    assert "resumed at step" in finish(recipe, out)
    assert_equal_runs(out, whole)


def test_signals_save_this_very_step(recipe: Path, whole: Path, tmp_path: Path):
    out = tmp_path / "run"
    stops = [(signal.SIGINT, 130, 50), (signal.SIGTERM, 143, 150)]
    for number, code, after in stops:
        process = start(recipe, out, *(["--resume"] if out.exists() else []))
        wait_for(process, lambda after=after: steps_logged(out) >= after)
        os.kill(process.pid, number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == code
        (line,) = errors.splitlines()
        found = re.match(rf"unnoise: Stopped at step (\d+) of {STEPS}; it is saved\.", line)
        assert found is not None and "--resume" in line
        step = int(found[1])
        assert after <= step < STEPS and steps_of(out)[0] == step
        state = unpack(out / f"checkpoints/step-{step:06d}/state.safetensors")[0]
        assert state["step"] == step
    assert f"resumed at step {step} of" in finish(recipe, out)
    assert_equal_runs(out, whole)


def test_killed_before_the_first_checkpoint(recipe: Path, whole: Path, tmp_path: Path):
    out = tmp_path / "run"
    process = start(recipe, out, "--set", "training.save_every=1000")
    wait_for(process, lambda: steps_logged(out) >= 20)
    process.kill()
    process.communicate()
    assert steps_of(out) == [] and steps_logged(out) >= 20
    (out / ".metrics.jsonl.tmp-1").write_text("killed while this was written")
    finish(recipe, out)
    assert losses(out) == losses(whole)
    content = (out / "model.safetensors").read_bytes()
    assert content == (whole / "model.safetensors").read_bytes()
    assert not (out / ".metrics.jsonl.tmp-1").exists()
