"""Several processes as one, really started by torchrun: the same weights, samples, figures (B)."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.commands import good, unnoise
from unnoise.system import parallel
from unnoise.system.files import unpack
from unnoise.training.checkpoints import steps_of
from unnoise.training.events import read_metrics

# 101 examples, a prime, in batches that run over the ends of epochs; evaluation of odd counts.
RECIPE = """
[data]
kind = "moons"
count = 101
[model]
kind = "diffusion"
network = { kind = "mlp", width = 16, depth = 1, dropout = 0.1 }
[sampling]
steps = 3
chunk = 8
[training]
steps = 100
batch = 16
warmup = 5
save_every = 50
half_lives = [64.0]
[evaluation]
count = 53
likelihood = 1
likelihood_steps = 2
"""
PATIENCE = 10
LAUNCHER = [sys.executable, "-m", "torch.distributed.run"]
LAUNCHER += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]


def together(count: int, *words: object, **env: str) -> subprocess.Popen[str]:
    """A command in so many processes."""
    return subprocess.Popen(
        [*LAUNCHER, "--nproc-per-node", str(count), "-m", "unnoise", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "UNNOISE_TIMEOUT": str(PATIENCE), **env},
    )


def ended(process: subprocess.Popen[str]) -> tuple[str, str]:
    out, err = process.communicate(timeout=150)
    assert process.returncode == 0, err
    return out, err


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("together") / "tiny.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def pair(recipe: Path) -> Path:
    """A run trained by two processes."""
    out = recipe.parent / "two"
    said, _ = ended(together(2, "train", recipe, "--out", out, "--device", "cpu"))
    assert said.count("wrote") == 1  # one of them speaks
    return out


def single(recipe: Path, name: str, *more: object) -> Path:
    out = recipe.parent / name
    good("train", recipe, "--out", out, "--threads", 1, "--device", "cpu", *more)
    return out


@pytest.fixture(scope="module")
def plain(recipe: Path) -> tuple[Path, Path]:
    """A recipe without dropout, and a run of two by it."""
    path, out = recipe.parent / "plain.toml", recipe.parent / "plain-two"
    path.write_text(RECIPE.replace(", dropout = 0.1", ""))
    ended(together(2, "train", path, "--out", out, "--device", "cpu"))
    return path, out


def state(run: Path, step: int = 100) -> dict[str, Tensor]:
    return unpack(run / "checkpoints" / f"step-{step:06d}" / "state.safetensors")[1]


def losses(run: Path) -> list[float]:
    return [line["loss"] for line in read_metrics(run / "metrics.jsonl") if line["event"] == "step"]


def test_two_are_one(pair: Path, recipe: Path):
    """100 steps: the bits of one process that takes the same halves one after the other (B1)."""
    one, two = state(single(recipe, "one", "--set", "training.micro_batch=8")), state(pair)
    assert one.keys() == two.keys() and len(one) > 30
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert losses(pair) == losses(recipe.parent / "one")


def test_two_are_nearly_one_whole_batch(plain: tuple[Path, Path]):
    """Against the undivided batch: rounding (no dropout, whose draws hang on the division)."""
    whole = state(single(plain[0], "plain-one"))
    away = [
        float((whole[n] - v).norm() / v.norm().clamp(min=1e-9))
        for n, v in state(plain[1]).items()
        if n.startswith("weights")
    ]
    assert max(away) < 1e-6


def test_canary_two_with_the_same_rows(pair: Path, recipe: Path):
    """Where each process takes the same half, the weights are others."""
    model = single(recipe, "half", "--set", "training.batch=8")
    assert not torch.equal(
        state(model)["weights.denoiser.network.out.weight"],
        state(pair)["weights.denoiser.network.out.weight"],
    )


def test_saved_by_two_resumed_by_one(plain: tuple[Path, Path], tmp_path: Path):
    """The order of examples stays, the rest up to rounding (B4)."""
    run, words = tmp_path / "run", ("--threads", 1, "--device", "cpu")
    shutil.copytree(plain[1], run)
    shutil.rmtree(run / "checkpoints" / "step-000100")  # the second half again, by one process
    ended = unnoise("train", plain[0], "--out", run, *words, "--resume")
    assert ended.code == 0 and "processes 1, trained so far with 2" in ended.err
    one, two = state(plain[1]), state(run)
    for name in one:
        if name.startswith("weights"):
            torch.testing.assert_close(two[name], one[name], rtol=1e-4, atol=1e-6)


def test_saved_by_one_resumed_by_two(plain: tuple[Path, Path], tmp_path: Path):
    """The other way round; process 1 has never seen the file that process 0 reads."""
    run, words = tmp_path / "run", ("--threads", 1, "--device", "cpu")
    good("train", plain[0], "--out", run, *words)
    shutil.rmtree(run / "checkpoints" / "step-000100")
    ended(together(2, "train", plain[0], "--out", run, "--device", "cpu", "--resume"))
    one, two = state(plain[1]), state(run)
    for name in one:
        if name.startswith("weights"):
            torch.testing.assert_close(two[name], one[name], rtol=1e-4, atol=1e-6)


def test_the_same_samples(pair: Path, tmp_path: Path):
    """27 samples, in chunks of 8, by one and by two processes: no bit, none twice (B3)."""
    good("sample", pair, "-n", 27, "-o", tmp_path / "one.npz", "--threads", 1)
    ended(together(2, "sample", pair, "-n", 27, "-o", tmp_path / "two.npz"))
    ended(together(2, "sample", pair, "-n", 1, "-o", tmp_path / "first.npz"))
    with (
        np.load(tmp_path / "one.npz") as one,
        np.load(tmp_path / "two.npz") as two,
        np.load(tmp_path / "first.npz") as first,
    ):
        key = next(name for name in one.files if one[name].shape[:1] == (27,))
        assert np.array_equal(one[key], two[key]) and np.array_equal(one[key][:1], first[key])
        assert len(np.unique(one[key], axis=0)) == 27


def test_the_same_figures(pair: Path, tmp_path: Path):
    """53 samples and the likelihood of 1 example by two: no hang, each counted once (B5)."""
    good("evaluate", pair, "-o", tmp_path / "one.json", "--threads", 1)
    ended(together(2, "evaluate", pair, "-o", tmp_path / "two.json"))
    one, two = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "two"))
    assert one == two and one["count"] == 53 and one["likelihood_count"] == 1


def test_batch_that_cannot_be_shared(recipe: Path, tmp_path: Path):
    process = together(
        2,
        "train",
        recipe,
        "--out",
        tmp_path / "run",
        "--device",
        "cpu",
        "--set",
        "training.batch=7",
    )
    _, err = process.communicate(timeout=120)
    assert process.returncode != 0
    assert lines(err) == ["unnoise: batch = 7 cannot be shared by 2 processes; make it a multiple."]


def lines(err: str) -> list[str]:
    """What the product itself said, among the launcher's many words."""
    return [line for line in err.splitlines() if line.startswith(("unnoise: ", "unnoise ("))]


def ranks(process: subprocess.Popen[str]) -> dict[int, int]:
    """Process ids by rank."""
    import psutil

    found: dict[int, int] = {}
    for child in psutil.Process(process.pid).children(recursive=True):
        number = child.environ().get("RANK")
        if number is not None:
            found[int(number)] = child.pid
    return found


@pytest.fixture
def running(recipe: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Two processes in the middle of a long training."""
    out = tmp_path / "run"
    process = together(2, "train", recipe, "--out", out, "--steps", 100_000, "--device", "cpu")
    deadline = time.monotonic() + 120
    while not steps_of(out) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    yield process, out
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize(
    ("number", "how"),
    [
        (1, signal.SIGKILL),
        *[
            pytest.param(number, how, marks=pytest.mark.slow, id=f"{number} {how.name} {again}")
            for again in range(5)
            for number in (0, 1)
            for how in (signal.SIGKILL, signal.SIGSTOP)
        ],
    ],
)
def test_losing_one(running: tuple[subprocess.Popen[str], Path], number: int, how: signal.Signals):
    """The other ends within its patience and five seconds, and names it; no orphans (B2)."""
    process, _ = running
    pids = ranks(process)
    time.sleep(random.random())  # anywhere in a step, or in a save
    os.kill(pids[number], how)
    began = time.monotonic()
    _, err = process.communicate(timeout=90)
    took = time.monotonic() - began
    assert took < (0 if how == signal.SIGKILL else PATIENCE) + 8  # 5, and 3 for a busy machine
    assert process.returncode != 0
    said = lines(err)
    assert len(said) == 1 and f"process {number} of 2" in said[0], err
    assert all(not Path(f"/proc/{pid}").exists() for pid in pids.values())


def test_stopped_together(running: tuple[subprocess.Popen[str], Path]):
    """SIGTERM to the launcher: both finish the step, one saves it, and it can be resumed."""
    process, out = running
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert "Stopped at step" in err and "bug" not in err
    step = int(err.partition("Stopped at step ")[2].split()[0])
    assert steps_of(out)[0] == step


def test_alone_is_alone():
    """Nothing waits where there is one process."""
    assert parallel.share(10) == range(10) and parallel.alone(lambda: 3) == 3
    assert torch.equal(parallel.gather(torch.ones(2), 2), torch.ones(2))


@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize(("n", "unit"), [(27, 8), (1, 8), (64, 8), (7, 1), (100, 64)])
def test_shares_are_a_partition(monkeypatch: pytest.MonkeyPatch, size: int, n: int, unit: int):
    monkeypatch.setattr(parallel, "together", lambda: True)
    monkeypatch.setenv("WORLD_SIZE", str(size))
    found: list[int] = []
    for number in range(size):
        monkeypatch.setenv("RANK", str(number))
        rows = parallel.share(n, unit)
        assert rows.start % unit == 0 or not rows
        found += rows
    assert found == list(range(n))
