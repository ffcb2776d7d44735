"""What a model is measured by, and the run folder that holds it."""

import importlib
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.small import diffusion, trained
from unnoise.core.errors import InputError
from unnoise.data import digits, moons, swiss_roll
from unnoise.evaluation import Evaluation, HeldOutLikelihood, Judge
from unnoise.evaluation.likelihood_figures import bound, likelihood, likelihood_sensitivity
from unnoise.likelihood import ExactTrace, Hutchinson
from unnoise.models import Diffusion, Sampling
from unnoise.tasks import evaluate, train
from unnoise.tasks.own_data import dataset, own_data

QUICK = Evaluation(count=40, likelihood=4, likelihood_steps=16)


@pytest.fixture(scope="module")
def of_points() -> Diffusion:
    model = trained(moons(count=100))
    model.recipe = {"data": {"kind": "moons", "count": 100, "split": "train"}}
    return model


@pytest.fixture(scope="module")
def of_digits() -> Diffusion:
    model = diffusion(digits())
    model.recipe = {"data": {"kind": "digits"}}
    model.sampling = Sampling(steps=3)
    return model


# -- figures --------------------------------------------------------------------------------------

COMMON = {"frechet", "precision", "recall", "memorisation", "count", "protocol", "accuracy"}
LIKELIHOOD = {
    "likelihood_count",
    "likelihood_draws",
    "likelihood_calls",
    "likelihood_sigma",
}
NATS = {"nats", "nats_standard_error", "nats_from_probes"}
BITS = {"bits_per_dim", "bits_per_dim_standard_error"}


def test_figures_of_points(of_points: Diffusion, tmp_path: Path):
    found = evaluate(of_points, QUICK, cache=tmp_path)
    assert found.keys() == {*COMMON, *LIKELIHOOD, *NATS, "sampling"}
    assert found["count"] == 40 and found["likelihood_count"] == 4
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert evaluate(of_points, QUICK, cache=tmp_path) == found
    assert evaluate(of_points, QUICK) == found


def test_figures_of_digits(of_digits: Diffusion, tmp_path: Path):
    found = evaluate(of_digits, QUICK, cache=tmp_path)
    parts = {"bits_per_dim_from_draws", "bits_per_dim_from_probes"}
    assert found.keys() == {*COMMON, *LIKELIHOOD, *BITS, *parts, "sampling"}
    assert found["bits_per_dim_from_draws"] is None  # nobody knows the spread of one draw
    # An untrained model: its samples are no digits, and its code is longer than the raw levels.
    assert found["accuracy"] < 0.5 and found["precision"] < 0.2 and found["bits_per_dim"] > 4.0
    assert 0 < found["likelihood_sigma"] < 0.1


def test_error_bar_of_draws_and_probes(of_digits: Diffusion):
    """Draws differ, and their part is that of the means; probes have theirs."""
    held = digits("test")
    settings = HeldOutLikelihood(count=6, steps=4, draws=3, divergence=Hutchinson(probes=4))
    found, each = likelihood(of_digits, held, settings, 0)
    alone = [
        likelihood(of_digits, held, replace(settings, draws=d), 0)[1]["log_prob"] * d
        for d in (1, 2, 3)
    ]
    draws = torch.stack([alone[0], alone[1] - alone[0], alone[2] - alone[1]])
    assert torch.allclose(draws.mean(0), each["log_prob"]) and bool((draws.std(0) > 0).all())
    unit = 64 * math.log(2) * 6**0.5
    wanted = float((draws.var(0) / 3).mean().sqrt()) / unit
    assert found["bits_per_dim_from_draws"] == pytest.approx(wanted, rel=1e-6)
    assert 0 < found["bits_per_dim_from_probes"] < found["bits_per_dim_standard_error"] * 10


def test_bound_beside_the_likelihood(of_digits: Diffusion):
    """Of the same examples and dequantisation, in the same unit; above it, and by its parts."""
    held = digits("test")
    settings = HeldOutLikelihood(count=20, steps=64, divergence=ExactTrace())
    exact = likelihood(of_digits, held, settings, 0)[0]["bits_per_dim"]
    found = bound(of_digits, held, 20, 0, 50)
    name = "elbo_bits_per_dim"
    parts = [found[f"{name}_{part}"] for part in ("prior", "steps", "decoder")]
    assert sum(parts) == pytest.approx(found[name]) and min(parts) >= 0
    assert found["elbo_length"] == 50 and found[f"{name}_standard_error"] > 0
    assert found[name] > 0.95 * exact  # of an untrained model the bound is far above
    changes = likelihood_sensitivity(of_digits, held, settings, 0, 4)
    assert changes["sensitivity_count"] == 4 and changes["sensitivity_begin"] < 0


def test_figures_of_the_data_itself(of_points: Diffusion, monkeypatch: pytest.MonkeyPatch):
    """Canary of all of them: a model that draws fresh data is as good as can be."""
    before = evaluate(of_points, Evaluation(count=400, likelihood=0))
    fresh = moons(count=400, seed=5)

    def draw(_: Diffusion, n: int, __: Any, *, label: torch.Tensor, **___: Any) -> torch.Tensor:
        rows = [(fresh[:].label == c).nonzero()[:, 0] for c in (0, 1)]  # pyright: ignore
        place = [int((label[:i] == label[i]).sum()) for i in range(n)]
        chosen = [rows[int(c)][k % len(rows[int(c)])] for c, k in zip(label, place, strict=True)]
        return fresh.batch(torch.stack(chosen)).x

    module = importlib.import_module("unnoise.tasks.evaluate")  # not the function of that name
    monkeypatch.setattr(module, "draw", draw)
    held_out = moons(count=400, split="test")
    after = evaluate(of_points, Evaluation(count=400, likelihood=0), held_out=held_out)
    assert after["accuracy"] > 0.97 and after["frechet"] < 0.05 < before["frechet"]
    assert after["precision"] > 0.9 and after["recall"] > 0.9
    assert not {"nats", "likelihood_count"} & after.keys()


def test_what_was_asked_for_is_told(of_points: Diffusion):
    quick = Evaluation(count=8, likelihood=0)
    own = evaluate(of_points, quick)["sampling"]
    assert (own["guidance"], own["steps"], own["seed"]) == (1.0, of_points.sampling.steps, 0)
    other = evaluate(of_points, quick, guidance=0.0, steps=3, solver="heun")["sampling"]
    assert (other["guidance"], other["steps"], other["solver"]) == (0.0, 3, "heun")


def test_its_seed_changes_the_samples(of_points: Diffusion):
    figures = [evaluate(of_points, Evaluation(count=40, likelihood=0, seed=s)) for s in (0, 1)]
    assert figures[0]["frechet"] != figures[1]["frechet"]


def test_a_model_without_labels_has_no_judge(tmp_path: Path):
    model = diffusion(swiss_roll(count=50), classes=None)
    model.recipe = {"data": {"kind": "swiss-roll", "count": 50}}
    found = evaluate(model, QUICK, cache=tmp_path)
    assert "accuracy" not in found and "frechet" in found
    assert list(tmp_path.iterdir()) == []


# -- the judge ------------------------------------------------------------------------------------


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows with every judge that is trained."""
    made: list[int] = []
    learn = Judge.train

    def counted(features: torch.Tensor, labels: torch.Tensor) -> Judge:
        made.append(len(features))
        return learn(features, labels)

    monkeypatch.setattr(Judge, "train", counted)
    return made


def test_the_judge_is_kept(of_points: Diffusion, tmp_path: Path, trainings: list[int]):
    quick = Evaluation(count=8, likelihood=0)
    first = evaluate(of_points, quick, cache=tmp_path)
    content = (tmp_path / "judge.safetensors").read_bytes()
    assert evaluate(of_points, quick, cache=tmp_path) == first
    assert trainings == [100] and (tmp_path / "judge.safetensors").read_bytes() == content


def test_other_data_another_judge(of_points: Diffusion, tmp_path: Path, trainings: list[int]):
    quick = Evaluation(count=8, likelihood=0)
    evaluate(of_points, quick, cache=tmp_path)
    other = moons(count=60, seed=9, split="test")
    found = evaluate(of_points, quick, cache=tmp_path, held_out=other)
    assert trainings == [100, 60]
    assert found == evaluate(of_points, quick, held_out=other)


def test_a_damaged_judge_is_made_anew(of_points: Diffusion, tmp_path: Path, trainings: list[int]):
    quick = Evaluation(count=8, likelihood=0)
    first = evaluate(of_points, quick, cache=tmp_path)
    path = tmp_path / "judge.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-9])
    assert evaluate(of_points, quick, cache=tmp_path) == first
    assert path.read_bytes() == content and len(trainings) == 2


# -- data by name ---------------------------------------------------------------------------------


def test_data_by_name(of_points: Diffusion):
    assert dataset("moons:test").info.sha256 == moons(split="test").info.sha256
    assert len(own_data(of_points, "test")) == 100
    assert own_data(of_points, "test").info.sha256 != own_data(of_points, "train").info.sha256
    with pytest.raises(InputError, match=r"data 'moon': unknown\. Did you mean 'moons'"):
        dataset("moon")
    with pytest.raises(InputError, match=r"data\.split = 'tset'"):
        dataset("moons:tset")
    with pytest.raises(InputError, match="does not say what it was trained on"):
        own_data(Diffusion(of_points.network), "test")


# -- the run folder -------------------------------------------------------------------------------

TINY: dict[str, Any] = {
    "name": "tiny",
    "data": {"kind": "digits"},
    "model": {"kind": "diffusion", "network": {"kind": "mlp", "width": 16, "depth": 1}},
    "sampling": {"steps": 2},
    "training": {"steps": 20, "batch": 16, "save_every": 10, "sample_every": 10, "eval_every": 20},
    "evaluation": {"count": 8, "likelihood": 2, "likelihood_steps": 1},
}


def test_everything_lands_in_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    model = train(TINY, "run", threads=1, device="cpu")
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
    out = tmp_path / "run"
    assert {p.name for p in out.iterdir()} == {
        *("recipe.toml", "model.safetensors", "checkpoints", "metrics.jsonl", "samples"),
        *(".lock", "log.txt", "manifest.json", "loss.png", "judge.safetensors"),
    }
    assert sorted(p.name for p in (out / "samples").iterdir()) == [
        "step-000010.png",
        "step-000020.png",
    ]
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["threads"] == 1 and manifest["data"]["sha256"] == digits().info.sha256
    assert manifest["torch"] == torch.__version__
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    events = [line["event"] for line in lines]
    assert events == ["step", "saved", "step", "saved", "evaluation", "held out"]
    assert "20 steps" in (out / "log.txt").read_text()
    # The folder's own recipe repeats it.
    again = train(out / "recipe.toml", "again", threads=1, device="cpu")
    assert torch.equal(again.sample(5), model.sample(5))
    assert (tmp_path / "again" / "recipe.toml").read_text() == (out / "recipe.toml").read_text()


# -- what is compared with what -------------------------------------------------------------------


def test_figures_that_would_only_praise_are_refused():
    """The training data as "held out", or other data than was trained on as "train"."""
    data = moons(count=50)
    model = diffusion(data)
    with pytest.raises(InputError, match="it has not seen"):
        evaluate(model, QUICK, train=data, held_out=data)
    with pytest.raises(InputError, match="trained on other data"):
        evaluate(model, QUICK, train=moons(count=50, seed=1), held_out=moons(count=50, seed=2))
