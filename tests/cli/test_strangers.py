"""What a stranger writes in one file of at most twenty lines is used from the command line."""

import functools
import json
import tomllib
from pathlib import Path

import pytest

from tests.commands import good, refused
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
kind = "triples-of-mine"
[model]
kind = "diffusion"
network = "linear-of-mine"
process = "quadratic-of-mine"
objective = "absolute-of-mine"
[sampling]
solver = "ddim-of-mine"
steps = 3
[training]
steps = 4
batch = 8
[evaluation]
count = 20
likelihood = 2
metrics = ["frechet", "spread-of-mine"]
"""
TABLES = {
    "process": "model.process",
    "solver": "sampling.solver",
    "network": "model.network",
    "dataset": "data",
    "objective": "model.objective",
}


def plugins(folder: Path, without: str = "") -> list[object]:
    words: list[object] = []
    for family, text in PLUGINS.items():
        assert len(text.strip().splitlines()) <= 20
        (folder / f"my_{family}.py").write_text(text)
        words += [] if family == without else ["--plugin", folder / f"my_{family}.py"]
    return words


def test_each_file_of_a_stranger(tmp_path: Path):
    recipe, run, words = tmp_path / "mine.toml", tmp_path / "run", plugins(tmp_path)
    recipe.write_text(RECIPE)
    ended = good("train", recipe, "--out", run, "--device", "cpu", "--threads", 1, *words)
    assert ended.err == "" and len(list((run / "samples").iterdir())) == 1
    tables = tomllib.loads((run / "recipe.toml").read_text("utf-8"))
    for family, path in TABLES.items():
        kind = functools.reduce(lambda table, key: table[key], path.split("."), tables)["kind"]
        assert f'"{family}", "{kind}"' in PLUGINS[family]
    good("sample", run, "-n", 4, "-o", tmp_path / "x.png", "--threads", 1, *words)
    good("evaluate", run, "--threads", 1, *words)
    found = json.loads((run / "metrics.json").read_text("utf-8"))
    assert found["frechet"] >= 0 and found["spread"] > 0
    assert load(run, tuple(words[1::2])).sample(2).shape == (2, 3)  # pyright: ignore


@pytest.mark.parametrize("family", PLUGINS)
def test_canary_without_the_file(family: str, tmp_path: Path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text(RECIPE)
    said = refused("train", recipe, "--out", tmp_path / "run", *plugins(tmp_path, family))
    assert "-of-mine" in said and not (tmp_path / "run").exists()
