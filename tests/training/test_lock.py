"""One trainer a folder (A9): a second is refused at once, a dead one leaves nothing behind."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.commands import POINTS, refused
from tests.small import SETTINGS, Heard, diffusion, points
from unnoise.core.errors import InputError, StorageError
from unnoise.training import Event, Run, Stepped, fit
from unnoise.training.lock import held

HOLD = """
import sys, time
from pathlib import Path
from unnoise.training.lock import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(folder: Path) -> "subprocess.Popen[str]":
    words = [sys.executable, "-c", HOLD, str(folder)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_a_second_trainer_is_refused_and_a_killed_one_forgotten(tmp_path: Path):
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(POINTS)
    run = tmp_path / "run"
    process = holder(run)
    try:
        began = time.monotonic()
        said = refused("train", recipe, "--out", run, "--threads", 1)
        assert "is being trained by another process" in said
        with pytest.raises(InputError, match="another process"):
            fit(diffusion(), points(), **SETTINGS, out=run)
        assert time.monotonic() - began < 30  # a guard against hanging
        assert {path.name for path in run.iterdir()} == {".lock"}
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    # The dead one's lock is there and holds nobody.
    fit(diffusion(), points(), **SETTINGS, out=run)
    assert (run / "model.safetensors").is_file()


def test_within_a_training(tmp_path: Path):
    """Also in the same process, and no longer when it is over."""
    heard = Heard()

    def intrude(event: Event, run: Run) -> None:
        if isinstance(event, Stepped) and event.step == 3:
            with pytest.raises(InputError, match="another process"), held(tmp_path):
                pass
            heard(event, run)

    fit(diffusion(), points(), **SETTINGS, out=tmp_path, listeners=[intrude])
    assert len(heard.events) == 1
    with held(tmp_path):
        pass


def test_no_folder_is_anybodys(tmp_path: Path):
    with held(None), held(None), held(tmp_path), held(None):
        pass


def test_a_folder_that_cannot_be(tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match="cannot make"), held(tmp_path / "file" / "run"):
        pass
