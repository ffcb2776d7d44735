"""What a stranger writes in one file of at most twenty lines is used from the command line."""

import json
from pathlib import Path

import pytest

from tests.commands import good
from unnoise.models import load

pytestmark = pytest.mark.usefixtures("forgotten")

PLUGINS = {
    "process": '''
from dataclasses import dataclass
import unnoise

@unnoise.register("process", "quadratic-of-mine")
@dataclass(frozen=True)
class Quadratic(unnoise.GaussianProcess):
    """alpha = 1 - t^2, sigma = t."""
    t_max = 0.999
    def alpha(self, t):
        return 1 - t**2
    def sigma(self, t):
        return t.clone()
''',
    "solver": '''
from dataclasses import dataclass
import torch
import unnoise
from unnoise.solvers import OneStep

@unnoise.register("solver", "ddim-of-mine")
@dataclass(frozen=True)
class Mine(OneStep):
    """DDIM without noise."""
    order = 1
    def coefficients(self, process, t, s):
        keep, pull, lower = process.bridge_scales(t, s, 0.0)
        return keep, pull, lower, torch.zeros_like(pull)
''',
    "network": '''
from torch import nn
import unnoise
from unnoise.networks import Network

@unnoise.register("network", "linear-of-mine")
class Linear(Network):
    """One linear layer."""
    def __init__(self, shape: tuple[int, ...], width: int = 8) -> None:
        super().__init__()
        self.shape, self.classes, self.reads = tuple(shape), None, frozenset()
        self.into, self.out = nn.Linear(shape[0] + 1, width), nn.Linear(width, shape[0])
    def compute(self, x, clock, cond):
        x = nn.functional.pad(x, (0, 1), value=1) * (1 + clock[:, None] / 20)
        return self.out(self.into(x))
''',
    "dataset": '''
import torch
import unnoise
from unnoise.data import TensorDataset, opens_nothing

@unnoise.register("dataset", "triples-of-mine")
@opens_nothing
def triples(count: int = 60, split: str = "train") -> TensorDataset:
    """Points in space."""
    x = torch.linspace(-1, 1, 3 * count).reshape(count, 3) + (split == "test") * 0.01
    return TensorDataset("triples", x)
''',
    "objective": '''
from dataclasses import dataclass
import unnoise
from unnoise.objectives import Loss, Objective

@unnoise.register("objective", "absolute-of-mine")
@dataclass(frozen=True)
class Absolute(Objective):
    """|x0_hat - x0| at uniform times."""
    def __call__(self, denoiser, x0, cond, noise):
        t = unnoise.TimeUniform().sample(denoiser.process, noise.child("time"))
        x = denoiser.process.forward(x0, t).sample(noise.child("forward"))
        return Loss((denoiser(x, t, cond).mean - x0).abs().flatten(1).mean(1))
''',
    "metric": '''
from dataclasses import dataclass
import unnoise
from unnoise.evaluation import Metric

@unnoise.register("metric", "spread-of-mine")
@dataclass(frozen=True)
class Spread(Metric):
    """Standard deviation of samples over that of held-out data."""
    def __call__(self, drawn, train, held_out, model, noise):
        return {"spread": float(drawn[:1000].x.std() / held_out[:1000].x.std())}
''',
}
RECIPE = """
[data]
kind = "{data}"
count = 60
[model]
kind = "diffusion"
network = {network}
process = "{process}"
objective = "{objective}"
[sampling]
solver = "{solver}"
steps = 3
[training]
steps = 4
batch = 8
[evaluation]
count = 20
likelihood = 2
metrics = ["frechet", "{metric}"]
"""
PLAIN = {
    "data": "moons",
    "network": '{ kind = "mlp", width = 8, depth = 1 }',
    "process": "vp",
    "objective": "regression",
    "solver": "auto",
    "metric": "likelihood",
}
MINE = {
    "process": {"process": "quadratic-of-mine"},
    "solver": {"solver": "ddim-of-mine"},
    "network": {"network": '"linear-of-mine"'},
    "dataset": {"data": "triples-of-mine"},
    "objective": {"objective": "absolute-of-mine"},
    "metric": {"metric": "spread-of-mine"},
}


@pytest.mark.parametrize("family", PLUGINS)
def test_one_file_of_a_stranger(family: str, tmp_path: Path):
    assert len(PLUGINS[family].strip().splitlines()) <= 20
    plugin, recipe, run = tmp_path / "mine.py", tmp_path / "mine.toml", tmp_path / "run"
    plugin.write_text(PLUGINS[family])
    recipe.write_text(RECIPE.format(**PLAIN | MINE[family]))
    words = ["--plugin", plugin, "--threads", 1]
    ended = good("train", recipe, "--out", run, "--device", "cpu", *words)
    assert ended.err == "" and len(list((run / "samples").iterdir())) == 1
    assert "of-mine" in (run / "recipe.toml").read_text("utf-8")
    good("sample", run, "-n", 4, "-o", tmp_path / "x.png", *words)
    good("evaluate", run, *words)
    found = json.loads((run / "metrics.json").read_text("utf-8"))
    assert found["frechet"] >= 0 and ("spread" in found) == (family == "metric")
    assert load(run, (plugin,)).sample(2).shape[0] == 2


def test_canary_without_the_plugin(tmp_path: Path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text(RECIPE.format(**PLAIN | {"process": "never-of-mine"}))
    with pytest.raises(AssertionError, match="no such process"):
        good("train", recipe, "--out", tmp_path / "run", "--device", "cpu")
