"""A stranger's metric: one short file, used from the command line."""

import json
from pathlib import Path

import pytest

from tests.commands import CLASSIFIER, POINTS, good, process, refused, train
from unnoise.cli.options import figures

pytestmark = pytest.mark.usefixtures("forgotten")

PLUGIN = '''
from dataclasses import dataclass

import unnoise
from unnoise.evaluation import Metric


@unnoise.register("metric", "spread-KIND")
@dataclass(frozen=True)
class Spread(Metric):
    """Standard deviation of samples over that of held-out data."""

    power: float = 1.0

    def __call__(self, drawn, train, held_out, model, noise):
        ratio = drawn[:].x.std() / held_out[:].x.std()
        return {"spread": float(ratio**self.power), "nothing": float("nan")}
'''


def plugin(folder: Path, kind: str) -> Path:
    path = folder / f"spread_{kind}.py"
    path.write_text(PLUGIN.replace("KIND", kind))
    assert len(path.read_text().strip().splitlines()) <= 20
    return path


def told(out: str, name: str) -> str:
    return next(line.split()[-1] for line in out.splitlines() if line.split()[:1] == [name])


def read(run: Path) -> dict:
    return json.loads((run / "metrics.json").read_text("utf-8"))


def test_named_in_the_recipe(tmp_path: Path):
    mine = plugin(tmp_path, "one")
    run = train(tmp_path, POINTS + 'metrics = ["frechet", "spread-one"]', "--plugin", mine)
    ended = good("evaluate", run, "--plugin", mine)
    found = read(run)
    assert list(found) == ["frechet", "spread", "nothing", "count", "protocol", "sampling"]
    assert found["spread"] > 0 and found["nothing"] is None
    assert told(ended.out, "spread") == f"{found['spread']:.4g}"
    assert told(ended.out, "nothing") == "unknown" and "Frechet distance" in ended.out
    # The file holds its settings; without the plug-in nobody knows what it is.
    again = process("evaluate", "run", cwd=tmp_path)
    assert again.code == 2 and "metrics[1].kind = 'spread-one': no such metric" in again.err
    assert again.err.count("\n") == 1
    assert process("sample", "run", "-n", 2, "-o", "x.npz", cwd=tmp_path).code == 0


def test_named_by_set_and_while_training(tmp_path: Path):
    mine = plugin(tmp_path, "two")
    metrics = 'evaluation.metrics=["frechet", {kind = "spread-two", power = 2}]'
    more = ("--plugin", mine, "--set", metrics, "--set", "training.eval_every=10")
    run = train(tmp_path, POINTS, *more)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    last = [line for line in lines if line["event"] == "evaluation"][-1]
    good("evaluate", run, "--plugin", mine)
    assert {k: last[k] for k in read(run)} == read(run) and "accuracy" not in last


def test_named_by_an_option(tmp_path: Path):
    mine = plugin(tmp_path, "three")
    run = train(tmp_path)
    good("evaluate", run)
    usual = read(run)
    good("evaluate", run, "--plugin", mine, "--metrics", "spread-three, likelihood")
    one = read(run)
    assert one["spread"] > 0 and one["nats"] == usual["nats"] and "frechet" not in one
    table = '["frechet", {kind = "spread-three", power = 2}]'
    good("evaluate", run, "--plugin", mine, "--metrics", table)
    two = read(run)
    assert two["spread"] == pytest.approx(one["spread"] ** 2, rel=1e-5)
    assert two["frechet"] == usual["frechet"] and "nats" not in two


def test_refused(tmp_path: Path):
    run = train(tmp_path)
    before = refused("evaluate", run, "--metrics", "frechet,precision")
    assert "--metrics.kind = 'precision': no such metric" in before and "precision-recall" in before
    assert "--metrics" in refused("evaluate", run, "--metrics", "[frechet]")
    assert "'frechet' is there already" in refused("evaluate", run, "--metrics", "frechet,frechet")
    assert not (run / "metrics.json").exists()
    recipe = tmp_path / "wrong.toml"
    recipe.write_text(POINTS + 'metrics = ["frechte"]')
    said = refused("train", recipe, "--out", tmp_path / "other")
    assert "line 19)" in said and "no such metric. Did you mean 'frechet'" in said
    recipe.write_text(CLASSIFIER)
    good("train", recipe, "--out", tmp_path / "judge", "--steps", 5)
    assert good("evaluate", run, "--metrics", "[]").code == 0
    assert "['metrics']" in refused("evaluate", tmp_path / "judge", "--metrics", "frechet")


def test_todays_lines():
    found = {
        "accuracy": 0.5,
        "frechet": 1.0,
        "precision": 0.25,
        "recall": 1 / 3,
        "memorisation": 2.0,
        "mine": 12345.678,
        "other": 3,
        "count": 8,
        "protocol": "n 8",
        "likelihood_count": 4,
        "likelihood_draws": 1,
        "likelihood_calls": 9,
        "likelihood_sigma": 0.01,
        "bits_per_dim": 2.5,
        "bits_per_dim_standard_error": 0.1,
        "bits_per_dim_from_draws": None,
        "bits_per_dim_from_probes": 0.1,
        "nats": -1.0,
        "nats_standard_error": None,
        "nats_from_probes": None,
        "sampling": {"seed": 0},
    }
    assert figures(found) == [
        ("judge accuracy", "0.500  (1 is perfect)"),
        ("Frechet distance", "1.000  (0 is perfect)"),
        ("precision / recall", "0.250 / 0.333"),
        ("memorisation ratio", "2.000  (1: as far from the training data as new data)"),
        ("mine", "1.235e+04"),
        ("other", "3"),
        ("bits/dim, held out", "2.500 ± 0.100  (n=4, 9 calls each)"),
        ("log-likelihood, held out", "-1.000 nats"),
    ]
    assert figures({"frechet": None}) == [("Frechet distance", "unknown  (0 is perfect)")]
    assert figures({"precision": 1.0}) == [("precision / recall", "1.000 / unknown")]
