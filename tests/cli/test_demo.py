"""The demo, on a recipe made small: everything lands in one folder, and a second run goes on."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.commands import files, good, refused, unnoise
from unnoise.models import load
from unnoise.tasks import demo as module
from unnoise.training import Stepped

SMALL = {
    "model.network.width": 16,
    "training.steps": 20,
    "training.batch": 16,
    "sampling.steps": 3,
    "evaluation.count": 40,
    "evaluation.likelihood": 2,
    "evaluation.likelihood_steps": 1,
}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch):
    prepare = module.assemble
    monkeypatch.setattr(
        module, "assemble", lambda name, changes, **how: prepare(name, {**changes, **SMALL}, **how)
    )


def test_the_tour(tmp_path: Path):
    out = tmp_path / "demo"
    ended = good("demo", "--out", out, "--threads", 1)
    assert ended.last == f"wrote {out}/metrics.json and {out}/model.safetensors"
    for name in ("samples.png", "denoising.png", "walk.gif", "loss.png"):
        assert f"{out}/{name}" in ended.out
        with Image.open(out / name) as picture:
            assert min(picture.size) >= 40 and max(picture.size) <= 2000
            colours = picture.convert("L").getcolors(256)
        assert colours is not None and len(colours) > 2  # something is to be seen
    figures = json.loads((out / "metrics.json").read_text())
    assert figures["count"] == 40 and f"{figures['frechet']:.3f}" in ended.out
    assert load(out).recipe["name"] == "demo"
    before = files(out)
    again = good("demo", "--out", out, "--threads", 1)
    assert "holds a trained model already" in again.out and "step" not in again.out
    assert files(out) == before
    assert "another seed" in refused("demo", "--out", out, "--seed", 1)
    assert files(out) == before
    found = json.loads(good("demo", "--out", out, "--json").out)
    assert found["wrote"] == str(out) and found["frechet"] == figures["frechet"]


def test_seeds_differ_and_quiet_is_quiet(tmp_path: Path):
    for seed in (0, 1):
        out = tmp_path / str(seed)
        ended = good("demo", "--out", out, "--seed", seed, "--threads", 1, "--quiet")
        assert ended.out == f"wrote {out}/metrics.json and {out}/model.safetensors\n"
    first, second = (
        json.loads((tmp_path / str(seed) / "metrics.json").read_text()) for seed in (0, 1)
    )
    assert first["frechet"] != second["frechet"]


def interrupt_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C, pressed in a certain step."""
    train = module.train

    def press(event: Any, run: Any) -> None:
        if isinstance(event, Stepped) and event.step == step:
            signal.raise_signal(signal.SIGINT)

    def interrupted(made: Any, out: Path, *, listeners: Any, **how: Any) -> Any:
        return train(made, out, listeners=[*listeners, press], **how)

    monkeypatch.setattr(module, "train", interrupted)


def test_an_interrupted_demo_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    words = ("demo", "--threads", 1, "--out")
    good(*words, tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt_at(7, patch)
        ended = unnoise(*words, tmp_path / "broken")
    assert ended.code == 130
    (line,) = ended.err.splitlines()
    assert "Stopped at step 7 of 20; it is saved." in line
    again = good(*words, tmp_path / "broken")
    assert "resumed at step 7 of 20" in again.out
    for name in ("model.safetensors", "samples.png", "metrics.json"):
        assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_folder_of_somebody_else(tmp_path: Path):
    (tmp_path / "holiday.png").write_bytes(b"mine")
    assert str(tmp_path) in refused("demo", "--out", tmp_path)
    assert files(tmp_path) == {"holiday.png": b"mine"}
