"""Recipes: what ships builds, what is printed builds the same, what is wrong is said in a line."""

import contextlib
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from tests.small import same, weights
from unnoise.core.errors import InputError
from unnoise.models import Classifier, Diffusion
from unnoise.recipes import load_recipe, parse_changes, shipped
from unnoise.tasks import assemble
from unnoise.tasks.train import toml

TINY: dict[str, Any] = {
    "data": {"kind": "moons", "count": 50},
    "model": {"kind": "diffusion", "network": {"kind": "mlp", "width": 8, "depth": 1}},
}


def refusal(source: Any, **more: Any) -> str:
    with pytest.raises(InputError) as caught:
        assemble(source, device="cpu", **more)
    return str(caught.value)


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "mine.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


# -- what ships -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", shipped())
def test_shipped_recipes_build_and_print_themselves(name: str, tmp_path: Path):
    made = assemble(name, device="cpu")
    assert made.model.shape == made.data.info.shape
    again = assemble(written(tmp_path, toml(made.tables)), device="cpu")
    assert again.tables == made.tables
    assert again.recipe.training == made.recipe.training
    assert again.recipe.sampling == made.model.sampling
    assert again.recipe.evaluation == made.recipe.evaluation
    assert again.recipe.name == made.recipe.name == name
    assert same(weights(again.model), weights(made.model))
    assert again.data.info.sha256 == made.data.info.sha256


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_recipe_can_sample(name: str):
    """Or, being a classifier, guide one that does."""
    model = assemble(name, device="cpu").model
    assert isinstance(model, Diffusion | Classifier)
    guide = model if isinstance(model, Classifier) else None
    drawing = assemble("digits", device="cpu").model if guide else model
    assert isinstance(drawing, Diffusion)
    x = drawing.sample(3, steps=2, guide=guide)
    assert bool(torch.isfinite(x).all()) and float(x.std()) > 0


def test_what_is_printed_spells_every_default_out():
    made = assemble(TINY, device="cpu")
    assert made.tables["training"]["schedule"] == {"kind": "cosine", "final": 0.02}
    assert made.tables["model"]["network"]["classes"] == 2
    assert made.tables["model"]["network"]["shape"] == [2]
    assert made.tables["data"]["split"] == "train"
    # Canary: another default would be seen.
    other = assemble(TINY, {"training.schedule.final": 0.03, "training.schedule.kind": "cosine"})
    assert other.tables != made.tables


def test_the_seed_of_the_training_seeds_the_weights():
    first, second = (assemble(TINY, {"training.seed": s}, device="cpu").model for s in (0, 1))
    assert not same(weights(first), weights(second))
    assert same(weights(first), weights(assemble(TINY, device="cpu").model))
    fixed = [assemble(TINY, {"training.seed": s, "model.network.seed": 5}).model for s in (0, 1)]
    assert same(weights(fixed[0]), weights(fixed[1]))


# -- changes --------------------------------------------------------------------------------------


def test_changes_are_toml():
    given = [
        *("training.lr=1e-3", "training.steps = 5", "model.head=edm", "a.b=true", "c=[1, 2]"),
        *('d="x = y"', 'e={kind = "vp", beta_max = 12}', "f=a=b", "sampling.solver=dpmpp-2m"),
        *("g=2026-11-20x", "h="),
    ]
    assert parse_changes(given) == {
        "training.lr": 1e-3,
        "training.steps": 5,
        "model.head": "edm",
        "a.b": True,
        "c": [1, 2],
        "d": "x = y",
        "e": {"kind": "vp", "beta_max": 12},
        "f": "a=b",
        "sampling.solver": "dpmpp-2m",
        "g": "2026-11-20x",
        "h": "",
    }
    assert parse_changes(["a=1", "a=2"]) == {"a": 2}


@pytest.mark.parametrize("item", ["training.lr", "=3", "training..lr=3", ".lr=3", "a b=3", ""])
def test_changes_that_are_none(item: str):
    with pytest.raises(InputError, match=r"write it as table\.setting=value"):
        parse_changes([item])


def test_a_change_is_one_value():
    """TOML text that would smuggle in a second one is text."""
    assert parse_changes(["a=1\nb = 2"]) == {"a": "1\nb = 2"}


def test_changes_win_and_reach_every_depth():
    changes = {
        "training.lr": 0.5,
        "model.network.width": 12,
        "model.process": {"kind": "vp", "beta_max": 12.0},
        "model.process.beta_min": 0.2,
        "sampling.solver": "heun",
        "evaluation.count": 9,
        "name": "other",
    }
    made = assemble(TINY, changes, device="cpu")
    assert made.recipe.training.lr == 0.5 and made.recipe.name == "other"
    assert made.tables["model"]["network"]["width"] == 12
    assert made.tables["model"]["process"] == {"kind": "vp", "beta_min": 0.2, "beta_max": 12.0}
    assert made.tables["evaluation"]["count"] == 9
    assert "training" not in TINY and TINY["model"]["network"]["width"] == 8  # the source is whole
    string = {**TINY, "model": {**TINY["model"], "process": "vp"}}
    made = assemble(string, {"model.process.beta_max": 9.0}, device="cpu")
    assert made.tables["model"]["process"]["beta_max"] == 9.0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"training.lr.x": 1}, "training.lr"),
        ({"trainig.lr": 1}, "trainig: no such table. Did you mean 'training'?"),
        ({"lr": 1}, "lr: no such table."),
        ({"data": "moons"}, "data"),
        ({"model.network": "mlp", "model.network.widht": 3}, "Did you mean 'width'?"),
        ({"training.steps": "many"}, "training.steps = 'many'"),
        ({"model.network.width": 10**12}, "model.network"),
        ({"model.network.width": 10**30}, "model.network"),
        ({"data.count": 10**9}, "data.count = 1000000000"),
        ({"evaluation.count": 10**12}, "evaluation.count"),
        ({"training.steps": 10**12}, "training.steps"),
        ({"name": "../../etc"}, "name"),
        ({"name": ""}, "name"),
        ({"name": 5}, "name"),
        ({"plugins": "mine.py"}, "plugins = 'mine.py': give a list of Python files."),
        ({"plugins": ["none.py"]}, "plugin none.py: no such Python file."),
    ],
)
def test_changes_that_are_refused(change: dict[str, Any], sentence: str):
    said = refusal(TINY, changes=change)
    assert sentence in said and len(said) < 500 and "\n" not in said


# -- the traps of TOML ----------------------------------------------------------------------------

MODEL = '[data]\nkind = "moons"\ncount = 50\n[model]\nkind = "diffusion"\nnetwork = "mlp"\n'


def test_numbers_are_numbers(tmp_path: Path):
    text = MODEL + "[training]\nlr = 1e-4\nclip = 2\nsteps = 1_000\nema_half_life = 0x10\n"
    training = load_recipe(written(tmp_path, text)).training
    assert (training.lr, training.clip, training.steps) == (1e-4, 2, 1000)
    assert training.ema_half_life == 16 and isinstance(training.lr, float)


@pytest.mark.parametrize(
    "line",
    [
        *("steps = 1e1", "steps = 10.0", "steps = true", 'steps = "10"', "steps = 0", "steps = -1"),
        *("lr = true", "lr = nan", "lr = inf", "lr = -inf", "lr = 0", 'lr = "1e-4"', "lr = []"),
        *("steps = 2026-11-20", "lr = 12:30:00", "seed = 1.5", "seed = 2026-11-20T12:00:00Z"),
        *("betas = [0.9]", "betas = [0.9, 1.0]", "betas = 0.9", "betas = [0.9, nan]"),
        *("precision = 32", 'precision = "fp16"', 'schedule = "linear"', "schedule = 3"),
        *("steps = inf", "schedule = { final = 0.1 }", "label_dropout = 1.01", "lr = {}"),
    ],
)
def test_values_that_are_refused(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)  # of a long path a line shows the ends only
    path = written(Path(), MODEL + f"[training]\n{line}\n")
    said = refusal(path)
    assert line.split(" ")[0] in said
    assert f"(recipe {path}, line {7 if 'below 1' in said else 8})" in said
    assert "\n" not in said and len(said) <= 200


def test_bytes_that_are_read_as_written(tmp_path: Path):
    expected = load_recipe(written(tmp_path, MODEL))
    for content in (b"\xef\xbb\xbf" + MODEL.encode(), MODEL.replace("\n", "\r\n").encode()):
        assert load_recipe(written(tmp_path, content)) == expected


@pytest.mark.parametrize(
    "content",
    [
        MODEL.encode("utf-16"),
        MODEL.encode("utf-16-le"),
        b"\xff\xfe\x00",
        MODEL.encode() + b"# \xe9\n",
        b"",
        b"\x00" * 50,
        b"a = 1\na = 2\n",
        MODEL.encode() + b'[model]\nkind = "diffusion"\n',
        MODEL.encode() + b"[training]\nlr = 1\nlr = 2\n",
        MODEL.encode() + b"[training]\nlr = 1,\n",
        b"x = " + b"[" * 100_000,
        b"x = " + b"{a = " * 5_000,
        b'{"data": {"kind": "moons"}}',
        b"data: {kind: moons}\n",
        b"[data]\nkind = 'moons'\n",
        b"model = 3\n[data]\nkind = 'moons'\n",
        b"[[data]]\nkind = 'moons'\n[model]\nkind = 'diffusion'\n",
        b"[data]\n[model]\n",
    ],
)
def test_files_that_are_no_recipes(content: bytes, tmp_path: Path):
    path = written(tmp_path, content)
    said = refusal(path)
    assert len(said) < 700 and len(said.splitlines()) <= 2
    assert "Traceback" not in said


def test_no_file_or_another_suffix(tmp_path: Path):
    assert "no such recipe" in refusal(tmp_path / "none.toml")
    assert "no such recipe" in refusal(tmp_path)
    (tmp_path / "recipe.yaml").write_text(MODEL)
    assert "no .toml file" in refusal(tmp_path / "recipe.yaml")


# -- anything at all ------------------------------------------------------------------------------

KEYS = [
    "kind",
    "width",
    "depth",
    "steps",
    "lr",
    "network",
    "process",
    "objective",
    "times",
    "x",
    "",
]
VALUES = some.one_of(
    some.none().map(lambda _: []),
    some.booleans(),
    some.integers(-3, 20),
    some.sampled_from([10**30, -(10**30), 0.5, 1e300, float("nan"), float("inf"), -1.5]),
    some.sampled_from(["vp", "mlp", "edm", "v", "diffusion", "moons", "heun", "", "os.system"]),
    some.text(max_size=8),
    some.dates(),
)
TREES = some.recursive(
    VALUES,
    lambda inner: (
        some.lists(inner, max_size=3)
        | some.dictionaries(some.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=6,
)
PATHS = [
    *("data", "data.kind", "data.count", "model", "model.kind", "model.network", "model.process"),
    *("model.network.kind", "model.network.width", "model.network.depth", "model.head", "model.x"),
    *("model.objective", "model.objective.kind", "model.objective.times", "model.variance"),
    *("model.process.kind", "model.process.beta_max", "sampling", "sampling.solver"),
    *("sampling.grid", "sampling.steps", "sampling.guidance", "training", "training.lr"),
    *("training.betas", "training.schedule", "training.steps", "evaluation.divergence", "name"),
    *("plugins", "x", "training.x", "model.head.sigma_data", "evaluation.count"),
]


@given(some.dictionaries(some.sampled_from(PATHS), TREES, min_size=1, max_size=3))
@settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck), database=None)
def test_any_recipe_builds_or_is_refused_in_words(changes: dict[str, Any]):
    try:
        made = assemble(TINY, changes, device="cpu")
    except InputError as error:
        lines = str(error).splitlines()
        assert lines and all(0 < len(line) <= 600 for line in lines)
        assert len(lines) <= 12
    else:
        # What builds can be printed and read again.
        assert assemble(tomllib.loads(toml(made.tables)), device="cpu").tables == made.tables


@given(some.text(max_size=60) | some.binary(max_size=60))
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), database=None)
def test_any_file_is_refused_in_words(tmp_path: Path, content: str | bytes):
    raw = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    path = written(tmp_path, MODEL.encode() + b"[training]\n" + raw)
    with contextlib.suppress(InputError):
        load_recipe(path)
