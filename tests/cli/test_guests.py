"""Models that are no Diffusion, drawn, evaluated and shown by the commands: by what they can do."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.commands import good, refused
from unnoise.training.events import read_metrics

RECIPE = """
[data]
kind = "moons"
count = 101
[model]
kind = "toy-{}"
[training]
steps = 6
batch = 16
sample_every = 3
eval_every = 3
[evaluation]
count = 40
likelihood = 5
"""
PLUGIN = "import tests.guests\n"


@pytest.fixture(scope="module", params=["gan", "flow"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "plugin.py").write_text(PLUGIN)
    (folder / "guest.toml").write_text(RECIPE.format(request.param))
    out = folder / request.param
    words = ["--plugin", folder / "plugin.py", "--out", out, "--threads", 1, "--device", "cpu"]
    ended = good("train", folder / "guest.toml", *words)
    assert ended.err == ""
    return out


def plugin(run: Path) -> tuple[Any, ...]:
    return ("--plugin", run.parent / "plugin.py")


def test_training_looks_at_it(run: Path):
    assert len(list((run / "samples").glob("*.png"))) == 2
    events = [line["event"] for line in read_metrics(run / "metrics.jsonl")]
    assert events.count("evaluation") == 2 and "warning" not in events
    recipe = (run / "recipe.toml").read_text("utf-8")
    assert "temperature" in recipe and "solver" not in recipe


def test_it_is_drawn(run: Path, tmp_path: Path):
    good("sample", run, "-n", 9, "-o", tmp_path / "x.png", *plugin(run))
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.size[0] > 50
    good("sample", run, "-n", 9, "-o", tmp_path / "x.npz", "--seed", 3, *plugin(run))
    good("sample", run, "-n", 4, "--first", 5, "-o", tmp_path / "y.npz", "--seed", 3, *plugin(run))
    x, y = (np.load(tmp_path / name)["values"] for name in ("x.npz", "y.npz"))
    assert x.shape == (9, 2) and np.array_equal(x[5:], y)
    good("sample", run, "-n", 4, "-o", tmp_path / "folder", *plugin(run))
    assert len(list((tmp_path / "folder").iterdir())) == 4


def test_a_walks_words_are_refused_by_name(run: Path, tmp_path: Path):
    for words in (["--steps", 3], ["--solver", "heun"], ["--guidance", 2]):
        said = refused("sample", run, "-o", tmp_path / "x.png", *words, *plugin(run))
        assert f"{words[0][2:]}: a Toy" in said and "without a walk" in said
    said = refused("sample", run, "-o", tmp_path / "x.gif", *plugin(run))
    assert "without a walk" in said and not (tmp_path / "x.gif").exists()
    assert "without labels" in refused("sample", run, "--label", 1, *plugin(run))


def test_it_is_evaluated(run: Path, tmp_path: Path):
    good("evaluate", run, "-o", tmp_path / "metrics.json", *plugin(run))
    found = json.loads((tmp_path / "metrics.json").read_text("utf-8"))
    assert found["count"] == 40 and found["frechet"] > 0
    assert found["sampling"] == {"seed": 0, "temperature": 1.0}
    assert ("nats" in found) == (run.name == "flow")
    assert "likelihood_sigma" not in found


def test_it_is_shown(run: Path):
    told = good("show", run, *plugin(run)).out
    assert "weights" in told and f'kind = "toy-{run.name}"' in told and "temperature" in told


def test_likelihoods_are_asked_of_those_that_have_them(run: Path):
    if run.name == "flow":
        good("likelihood", run, "-n", 5, *plugin(run))
        found = json.loads((run / "likelihood.json").read_text("utf-8"))
        assert found["likelihood_count"] == 5
    else:
        assert "knows no likelihood" in refused("likelihood", run, *plugin(run))


def test_what_needs_a_walk_says_so(run: Path, tmp_path: Path):
    assert "without a walk" in refused("show", run, "chain", *plugin(run))
    picture = tmp_path / "x.png"
    Image.new("RGB", (4, 4)).save(picture)
    assert "without a walk" in refused("edit", run, picture, "--vary", 0.5, *plugin(run))
