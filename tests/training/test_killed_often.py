"""Five trainings of a small U-Net, each killed twice, end as the one nobody killed (A2).

Forked, not started anew, so that ten kills cost seconds; a process of its own is killed in
test_killed.py.
"""

import json
import multiprocessing
import os
import signal
import time
import warnings
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from unnoise.core.noise import Noise
from unnoise.data import digits
from unnoise.models import Diffusion
from unnoise.networks import UNet
from unnoise.training import MetricsLog, Training, fit
from unnoise.training.checkpoints import steps_of
from unnoise.training.events import read_metrics

SETTINGS = {
    "steps": 20,
    "batch": 8,
    "warmup": 5,
    "save_every": 2,
    "half_lives": (100.0,),
    "workers": 1,
}

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


def go(out: Path) -> None:
    torch.set_num_threads(1)
    net = UNet(shape=(1, 8, 8), width=8, multipliers=(1, 2), classes=10, dropout=0.1)
    out.mkdir(exist_ok=True)
    log = MetricsLog(out / "metrics.jsonl", every=1)
    how = {"out": out, "resume": (out / "checkpoints").exists(), "threads": 1, "listeners": [log]}
    fit(Diffusion(net), digits(), Training(**SETTINGS), **how)


def started(out: Path) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context("fork").Process(target=go, args=(out,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
        process.start()
    return process


def outcome(out: Path) -> tuple:
    """Every file that matters, by its bytes, and the loss log."""
    last = out / "checkpoints" / "step-000020"
    files = [out / "model.safetensors", last / "state.safetensors", last / "model.safetensors"]
    hashes = [sha256(file.read_bytes()).hexdigest() for file in files]
    lines = [e for e in read_metrics(out / "metrics.jsonl") if e["event"] == "step"]
    return hashes, json.dumps([(e["step"], e["loss"], e["by_level"]) for e in lines])


def done(out: Path) -> int:
    """Steps that the log knows of."""
    steps = [e["step"] for e in read_metrics(out / "metrics.jsonl") if e["event"] == "step"]
    return max(steps, default=0)


@pytest.mark.parametrize("runs", [5, pytest.param(100, marks=pytest.mark.slow)])
def test_two_kills_a_run(runs: int, tmp_path: Path):
    first = started(tmp_path / "whole")
    first.join(120)
    assert first.exitcode == 0
    wanted = outcome(tmp_path / "whole")
    hits, places = 0, set()
    for run in range(runs):
        out = tmp_path / str(run)
        moments = Noise(run, [0]).child("kill").uniform(torch.empty(1, 4))[0].tolist()
        for step, wait in zip(moments[:2], moments[2:], strict=True):
            process = started(out)
            before = done(out)
            while process.is_alive() and done(out) < before + step * (19 - before):
                time.sleep(0.001)
            time.sleep(0.05 * wait)  # anywhere in a step, or in what is written after it
            if process.is_alive():
                os.kill(process.pid, signal.SIGKILL)  # pyright: ignore
                hits += 1
            process.join(60)
            places.add(steps_of(out)[0] if steps_of(out) else 0)
        last = started(out)
        last.join(120)
        assert last.exitcode == 0
        assert outcome(out) == wanted
    assert hits >= 1.6 * runs and len(places) >= 4, (hits, places)
