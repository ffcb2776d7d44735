"""A hundred thousand steps with kills, and many damaged files: nothing leaks, nothing is believed
(A15, F4, H3). Minutes; ``make nightly``."""

import json
import multiprocessing
import os
import random
import signal
import time
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from tests.pictures import pixels, png
from tests.small import diffusion, points
from unnoise.core.errors import InputError
from unnoise.data.pictures.decode import Look, RefusedFile, read_picture
from unnoise.system.files import pack, unpack
from unnoise.training import Event, Run, Stepped, Training, fit
from unnoise.training.checkpoints import steps_of

pytestmark = pytest.mark.slow
STEPS, EVERY = 100_000, 1000


class Pulse:
    """Writes what the process holds, every thousand steps."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, event: Event, run: Run) -> None:
        if isinstance(event, Stepped) and event.step % EVERY == 0:
            status = Path("/proc/self/status").read_text().split()
            line = {
                "process": os.getpid(),
                "step": event.step,
                "kilobytes": int(status[status.index("VmRSS:") + 1]),
                "threads": int(status[status.index("Threads:") + 1]),
                "files": len(os.listdir("/proc/self/fd")),
                "shared": len(os.listdir("/dev/shm")),
            }
            with self.path.open("a") as stream:
                stream.write(json.dumps(line) + "\n")


def go(out: Path) -> None:
    torch.set_num_threads(1)
    settings = Training(steps=STEPS, batch=4, save_every=50, workers=1)
    resume = (out / "checkpoints").exists()
    pulse = Pulse(out.with_suffix(".pulse"))
    model = diffusion(width=8)
    fit(model, points(), settings, out=out, resume=resume, threads=1, listeners=[pulse])


def started(out: Path) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context("fork").Process(target=go, args=(out,))
    process.start()
    return process


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_soak(tmp_path: Path):
    """Twenty kills on the way; then the bits of the run that nobody disturbed (A15)."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    undisturbed = started(whole)
    for i in range(20):
        process = started(killed)
        target = (i + random.random()) * STEPS / 20
        while process.is_alive() and (not steps_of(killed) or steps_of(killed)[0] < target):
            time.sleep(0.01)
        time.sleep(random.random() / 10)
        if process.is_alive():
            os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
    last = started(killed)
    last.join()
    undisturbed.join()
    assert last.exitcode == undisturbed.exitcode == 0
    state = f"checkpoints/step-{STEPS}/state.safetensors"
    first, second = ((out / state).read_bytes() for out in (whole, killed))
    assert sha256(first).digest() == sha256(second).digest()

    lines = [json.loads(line) for line in whole.with_suffix(".pulse").read_text().splitlines()]
    later = lines[len(lines) // 5 :]
    steps = torch.tensor([line["step"] for line in later], dtype=torch.float64)
    held = torch.tensor([line["kilobytes"] for line in later], dtype=torch.float64)
    slope = float(
        torch.linalg.lstsq(torch.stack([steps, torch.ones_like(steps)], 1), held).solution[0]
    )
    assert slope * 1000 < 1024  # kilobytes in a thousand steps
    for what in ("threads", "files"):
        assert len({line[what] for line in later}) == 1, what


def test_twenty_thousand_mutations(tmp_path: Path):
    """Of a good file: refused, or the same content (H3)."""
    tensors = {"a": torch.arange(12.0).reshape(3, 4), "b": torch.tensor([1, 2, 3])}
    good, path = pack({"kind": "test", "format": 1}, tensors), tmp_path / "file.safetensors"
    path.write_bytes(good)
    wanted = unpack(path)
    chance, believed = random.Random(0), 0
    for _ in range(20_000):
        content = bytearray(good)
        for _ in range(chance.choice((1, 1, 1, 2, 8))):
            place = chance.randrange(len(content))
            how = chance.randrange(4)
            if how == 0:
                content[place] ^= 1 << chance.randrange(8)
            elif how == 1:
                content[place : place + chance.randrange(1, 40)] = b""
            elif how == 2:
                content[place:place] = chance.randbytes(chance.randrange(1, 40))
            else:
                content[place : place + 8] = chance.randbytes(8)
            content = content or bytearray(b"x")
        path.write_bytes(content)
        try:
            document, found = unpack(path)
        except InputError:
            continue
        believed += 1
        assert document == wanted[0] and found.keys() == tensors.keys()
        assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    assert believed < 200  # such as a padding that became another


def test_ten_thousand_broken_pictures():
    """The gate says no or gives a picture, and never takes long (F4)."""
    good = [png(pixels(0, size=12)), png(pixels(1, size=12, channels=1))]
    chance, given = random.Random(0), 0
    for trial in range(10_000):
        content = bytearray(good[trial % len(good)])
        for _ in range(chance.choice((1, 2, 10))):
            content[chance.randrange(len(content))] = chance.randrange(256)
        if trial % 5 == 0:
            del content[chance.randrange(len(content)) :]
        began = time.monotonic()
        try:
            read_picture(bytes(content), Look())
            given += 1
        except RefusedFile:
            pass
        assert time.monotonic() - began < 5
    assert given < 5_000
