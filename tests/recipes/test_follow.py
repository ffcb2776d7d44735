"""What follows a run: verification, trackers, and the held-out loss."""

import json
import sys
from pathlib import Path

import pytest
import torch

from tests.commands import POINTS, good, train, unnoise
from tests.small import diffusion
from unnoise.core.errors import InputError
from unnoise.data import moons
from unnoise.tasks import verify
from unnoise.tasks.held_out import HeldOut
from unnoise.training import MetricsLog, fit
from unnoise.training.events import read_metrics


def test_verified(tmp_path: Path):
    """The same machine gives the same losses; the run is not touched (C6)."""
    run = train(tmp_path)
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    found = verify(run, 20)
    assert found.steps == 20 and found.differs is None and found.conditions == ()
    assert good("verify", run).last.startswith("identical: 20 steps")
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before


def test_what_differs_is_said(tmp_path: Path):
    run = train(tmp_path)
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps({**manifest, "torch": "1.0", "cpu": "AMIGA"}))
    found = verify(run, 20)
    assert found.differs is None
    assert [c.split(" was ")[0] for c in found.conditions] == ["torch", "cpu"]
    text = (run / "recipe.toml").read_text()
    (run / "recipe.toml").write_text(text.replace("lr = 0.003", "lr = 0.004"))
    ended = unnoise("verify", run)
    assert ended.code == 4 and "differs at step 10" in ended.err and "torch was 1.0" in ended.err
    assert ended.err.count("\n") == 1
    assert unnoise("verify", run, "--json").code == 4


def test_nothing_to_verify(tmp_path: Path):
    with pytest.raises(InputError, match="no run's folder"):
        verify(tmp_path)
    run = train(tmp_path)
    (run / "metrics.jsonl").write_text("")
    with pytest.raises(InputError, match="no loss of the first"):
        verify(run)


def test_tensorboard(tmp_path: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = train(tmp_path, POINTS, "--track", "tensorboard")
    found = EventAccumulator(str(run / "tensorboard")).Reload()
    logged = {each.step: each.value for each in found.Scalars("loss")}
    lines = [e for e in read_metrics(run / "metrics.jsonl") if e["event"] == "step"]
    assert logged == pytest.approx({line["step"]: line["loss"] for line in lines}, rel=1e-6)
    assert set(found.Tags()["scalars"]) == {"loss", "lr", "images_per_second"}


def test_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What is asked of it (the real one brings thirty packages; it was tried offline by hand)."""
    asked: list[tuple] = []

    class Client:
        def init(self, **how: object) -> "Client":
            asked.append(("init", how))
            return self

        def log(self, figures: dict[str, float], step: int) -> None:
            asked.append(("log", step, figures["loss"]))

        def finish(self) -> None:
            asked.append(("finish",))

    monkeypatch.setitem(sys.modules, "wandb", Client())  # pyright: ignore
    run = train(tmp_path, POINTS, "--track", '{kind = "wandb", project = "tests"}')
    lines = [e for e in read_metrics(run / "metrics.jsonl") if e["event"] == "step"]
    first, *logged, last = asked
    assert first[1]["project"] == "tests" and first[1]["dir"] == str(run)
    assert first[1]["config"]["training"]["steps"] == 20
    assert logged == [("log", e["step"], e["loss"]) for e in lines] and last == ("finish",)
    monkeypatch.setitem(sys.modules, "wandb", None)
    recipe = tmp_path / "tiny.toml"
    ended = unnoise("train", recipe, "--out", tmp_path / "none", "--track", "wandb")
    assert ended.code == 2 and 'pip install "unnoise[wandb]"' in ended.err


def test_unknown_tracker(tmp_path: Path):
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(POINTS)
    ended = unnoise("train", recipe, "--out", tmp_path / "run", "--track", "mlflow")
    assert ended.code == 2 and "Known: tensorboard, wandb" in ended.err
    assert not (tmp_path / "run").exists()


def test_held_out_loss_is_followed(tmp_path: Path):
    """A line at each look, always of the same noise; nothing in the training changes."""
    run = train(tmp_path, POINTS + "\n", "--set", "training.eval_every=10")
    (tmp_path / "other").mkdir()
    other = train(tmp_path / "other")
    lines = [e for e in read_metrics(run / "metrics.jsonl") if e["event"] == "held out"]
    assert [line["step"] for line in lines] == [10, 20]
    plain, looked = (
        [e["loss"] for e in read_metrics(r / "metrics.jsonl") if e["event"] == "step"]
        for r in (other, run)
    )
    assert plain == looked


def verdict(best: float, last: float, spread: float = 0.1) -> str:
    listener = HeldOut(MetricsLog(Path()), None, 1, None)  # pyright: ignore
    wave = torch.linspace(-spread, spread, 100).double()
    listener.best = (600, best + wave)
    listener.last = (900, last + wave.flip(0))
    return listener.verdict()


def test_when_to_stop():
    """Only what is worse beyond chance: three standard errors, one in 700 by chance."""
    said = verdict(0.20, 0.25)
    assert "lowest at step 600 (0.2)" in said and "steps=600" in said
    assert verdict(0.20, 0.201) == "" and verdict(0.20, 0.19) == ""
    assert verdict(0.20, 0.25, spread=1.0) == ""


def test_learning_by_heart_is_noticed(tmp_path: Path):
    """Six points, a thousand steps: the best was long before the end."""
    said: list[str] = []
    held_out = HeldOut(
        MetricsLog(tmp_path / "metrics.jsonl"),
        moons(split="test"),
        100,
        lambda event, run: said.append(event.text),
    )
    settings = {"steps": 1000, "batch": 32, "lr": 1e-2, "ema_half_life": 640.0, "threads": 1}
    data = moons(count=6)
    fit(diffusion(data, width=128, depth=2), data, **settings, listeners=[held_out])
    assert len(said) == 1 and "by heart" in said[0]
    step = int(said[0].partition("lowest at step ")[2].split()[0])
    assert step < 800
