"""Killed at every call that writes, on a full disk, with a wrong clock, short of memory, by fifty
signals: nothing is lost (A3, A5, A6, A10, A16, B6). Minutes; ``make nightly``."""

import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.training.test_killed_often import done, outcome, started
from tests.training.test_together import LAUNCHER
from unnoise.training import checkpoints
from unnoise.training.checkpoints import steps_of
from unnoise.training.events import read_metrics

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
GO = "from pathlib import Path; import sys; from tests.training.test_killed_often import go; "
GO += "go(Path(sys.argv[1]))"
CALLS = "write,fsync,rename,unlink"
ENV = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> tuple:
    """What a run becomes that nobody disturbs."""
    out = tmp_path_factory.mktemp("whole") / "run"
    process = started(out)
    process.join(120)
    assert process.exitcode == 0
    return outcome(out)


def finished(out: Path) -> tuple:
    process = started(out)
    process.join(120)
    assert process.exitcode == 0 and not [p for p in out.rglob("*") if ".tmp-" in p.name]
    return outcome(out)


def traced(out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = ["strace", "-y", *options, sys.executable, "-c", GO, str(out)]
    return subprocess.run(command, env=ENV, capture_output=True, text=True, timeout=120)


def calls(log: str, out: Path) -> list[tuple[str, int]]:
    """System calls on the run's folder up to its third checkpoint: name, and the how-manyth."""
    counts: dict[str, int] = {}
    found: list[tuple[str, int]] = []
    for line in log.splitlines():
        name = line.partition("(")[0]
        counts[name] = counts.get(name, 0) + 1
        if str(out) in line:
            found.append((name, counts[name]))
        if "step-000006/manifest.json" in line and name == "rename":
            return found
    raise AssertionError("no third checkpoint")


@needs("strace")
@pytest.mark.timeout(1800)  # about a hundred runs
def test_every_call(wanted: tuple, tmp_path: Path):
    """strace kills the process as it enters each call in turn (A3)."""
    log = tmp_path / "log"
    assert traced(tmp_path / "whole", "-e", f"trace={CALLS}", "-o", str(log)).returncode == 0
    places = calls(log.read_text(), tmp_path / "whole")
    assert len(places) > 40 and {name for name, _ in places} == {*CALLS.split(",")} - {"unlink"}
    for name, number in places:
        out = tmp_path / f"{name}-{number}"
        inject = ["-e", f"trace={name}", "-e", f"inject={name}:signal=SIGKILL:when={number}"]
        killed = traced(out, *inject, "-o", "/dev/null")
        assert killed.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), (name, number)
        assert finished(out) == wanted, (name, number)
        shutil.rmtree(out)


@needs("strace")
@pytest.mark.parametrize("number", range(1, 13))
def test_process_0_of_two_at_every_sync(number: int, tmp_path: Path):
    """The other ends by itself, and the run goes on to the same bits (B6)."""
    script, out = tmp_path / "start.sh", tmp_path / "run"
    inject = f"strace -o /dev/null -e trace=fsync -e inject=fsync:signal=SIGKILL:when={number}"
    script.write_text(f'[ "$RANK" = 0 ] && exec {inject} "$@"\nexec "$@"\n')
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(
        '[data]\nkind = "moons"\ncount = 101\n[model]\nkind = "diffusion"\n'
        'network = { kind = "mlp", width = 16, depth = 1 }\n'
        "[training]\nsteps = 30\nbatch = 16\nsave_every = 10\n"
    )
    words = ["-m", "unnoise", "train", str(recipe), "--device", "cpu", "--out"]
    train = [*LAUNCHER, "--nproc-per-node", "2"]
    whole = subprocess.run(
        [*train, *words, str(tmp_path / "whole")], env=ENV, capture_output=True, timeout=120
    )
    assert whole.returncode == 0
    began = time.monotonic()
    killed = subprocess.run(
        [*train, "--no-python", "sh", str(script), sys.executable, *words, str(out)],
        env=ENV,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert killed.returncode != 0 and time.monotonic() - began < 60, killed.stderr
    resume = ["--resume"] if (out / "recipe.toml").exists() else []
    shutil.rmtree(out) if not resume else None
    again = subprocess.run(
        [*train, *words, str(out), *resume], env=ENV, capture_output=True, text=True, timeout=120
    )
    assert again.returncode == 0, again.stderr
    for name in ("model.safetensors", "checkpoints/step-000030/state.safetensors"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


FULL = """
set -e
mount -t tmpfs -o size=$SIZE tmpfs "$PLACE"
cd "$PLACE"
head -c $BALLAST /dev/zero > ballast
set +e
"$PYTHON" -m unnoise train "$RECIPE" --out run --threads 1 --device cpu 2> "$TOLD/full"
echo $? > "$TOLD/code"
set -e
rm ballast
"$PYTHON" -m unnoise train "$RECIPE" --out run --threads 1 --device cpu --resume > "$TOLD/resumed"
cp -r run "$TOLD/run"
"""


@needs("unshare")
@pytest.mark.parametrize("left", [150, 300, 450, 550, 600])
def test_full_disk(left: int, tmp_path: Path):
    """A disk of one megabyte with so many kilobytes free; later there is room again (A5)."""
    recipe, place = tmp_path / "tiny.toml", tmp_path / "disk"
    place.mkdir()
    recipe.write_text(
        '[data]\nkind = "moons"\ncount = 100\n[model]\nkind = "diffusion"\n'
        'network = { kind = "mlp", width = 32, depth = 1 }\n'
        "[training]\nsteps = 40\nbatch = 16\nsave_every = 10\n"
    )
    whole = tmp_path / "whole"
    words = [sys.executable, "-m", "unnoise", "train", str(recipe), "--threads", "1"]
    subprocess.run([*words, "--device", "cpu", "--out", str(whole)], env=ENV, check=True)
    env = {
        **ENV,
        "SIZE": "1m",
        "BALLAST": str((1024 - left) * 1024),
        "PLACE": str(place),
        "TOLD": str(tmp_path),
        "RECIPE": str(recipe),
        "PYTHON": sys.executable,
    }
    ended = subprocess.run(
        ["unshare", "-rm", "sh", "-c", FULL], env=env, capture_output=True, text=True, timeout=200
    )
    assert ended.returncode == 0, ended.stderr
    (line,) = (tmp_path / "full").read_text().splitlines()
    assert (tmp_path / "code").read_text() == "3\n"
    assert "No space left on device" in line and "run" in line
    for name in ("model.safetensors", "checkpoints/step-000040/state.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize("most", [10_000, 50_000, 100_000])
def test_files_that_may_not_grow(most: int, tmp_path: Path):
    """A limit of the shell (ulimit -f): one line, exit 3, nothing half-written (A5)."""
    out = tmp_path / "run"
    command = [
        sys.executable,
        "-m",
        "unnoise",
        "train",
        "moons",
        "--steps",
        "20",
        "--out",
        str(out),
    ]
    ended = subprocess.run(
        [*command, "--out", str(out), "--threads", "1"],
        env=ENV,
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
    )
    (line,) = ended.stderr.splitlines()
    assert ended.returncode == 3 and "File too large" in line and str(out) in line
    assert not [path for path in out.rglob("*") if ".tmp-" in path.name]


def test_fifty_signals(wanted: tuple, tmp_path: Path):
    """At random times, also while saving: each saves its very step; the end is the same (A6)."""
    heard, run, slowest = 0, 0, 0.0
    while heard < 50:
        out = tmp_path / str(run)
        run += 1
        for _ in range(5):
            before = done(out)
            process = started(out)
            while process.is_alive() and done(out) <= before:
                time.sleep(0.002)
            time.sleep(random.random() * 0.1)
            number = random.choice((signal.SIGINT, signal.SIGTERM))
            began = time.monotonic()
            os.kill(process.pid or 0, number)
            process.join(60)
            slowest = max(slowest, time.monotonic() - began)
            if process.exitcode == 0:
                break  # it was over already
            last = max(e["step"] for e in read_metrics(out / "metrics.jsonl") if "step" in e)
            assert process.exitcode != 0 and steps_of(out)[0] == last
            heard += 1
        assert finished(out) == wanted
    assert slowest < 5.5


def test_a_second_signal_ends_at_once(tmp_path: Path):
    for trial in range(5):
        out = tmp_path / str(trial)
        process = started(out)
        while process.is_alive() and done(out) < 1:
            time.sleep(0.002)
        os.kill(process.pid or 0, signal.SIGTERM)
        os.kill(process.pid or 0, signal.SIGTERM)
        began = time.monotonic()
        process.join(10)
        assert time.monotonic() - began < 2 and process.exitcode != 0


@needs("faketime")
def test_clocks(wanted: tuple, tmp_path: Path):
    """A year forward, a year back, and times of files in any order: the newest is by step (A10)."""
    out = tmp_path / "run"
    for shift, steps in (("+1y", 6), ("-1y", 12), ("+0", 20)):
        script = f"{GO.replace('go(', 'import tests.training.test_killed_often as t; t.go(')}"
        process = subprocess.Popen(
            ["faketime", "-f", shift, sys.executable, "-c", script, str(out)], env=ENV
        )
        while process.poll() is None and (done(out) < steps or steps == 20):
            time.sleep(0.01)
        process.kill()
        process.wait()
    assert finished(out) == wanted
    newest = steps_of(out)[0]
    for _ in range(100):
        for path in (out / "checkpoints").rglob("*"):
            when = random.uniform(0, 2e9)
            os.utime(path, (when, when))
        found = checkpoints.read(out, lambda text: pytest.fail(text))
        assert found is not None and found.step == newest == 20


def test_short_of_memory(tmp_path: Path):
    """Sampling that cannot have its memory: a line, exit 3, the run's folder as it was (A16)."""
    out = tmp_path / "run"
    command = [sys.executable, "-m", "unnoise"]
    train = [*command, "train", "moons", "--steps", "20", "--out", str(out), "--threads", "1"]
    subprocess.run(train, env=ENV, check=True, capture_output=True)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    sample = [
        *command,
        "sample",
        str(out),
        "-n",
        "10000000",
        "--fast",
        "-o",
        str(tmp_path / "x.npz"),
    ]
    for gigabytes in (3, 4, 5):
        ended = subprocess.run(
            sample,
            env=ENV,
            capture_output=True,
            text=True,
            timeout=200,
            preexec_fn=lambda most=gigabytes << 30: resource.setrlimit(
                resource.RLIMIT_AS, (most, most)
            ),
        )
        (line,) = ended.stderr.splitlines()
        assert ended.returncode == 3 and re.search("memory has run out", line)
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before
    assert not (tmp_path / "x.npz").exists()
