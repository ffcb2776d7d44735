"""The law of every registered kind of every family, own and plugged in: built from its table, used
once, saved and loaded, pickled, copied, and shown in one line."""

import copy
import inspect
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import unnoise.cli.app
import unnoise.views  # noqa: F401  (registers the families above the models)
from tests.kinds import FILL, every, make
from unnoise.catalogue import registry
from unnoise.catalogue.construction import note_of
from unnoise.catalogue.registry import build, families, spec
from unnoise.core.condition import Condition
from unnoise.core.noise import Noise
from unnoise.data import DataInfo, digits
from unnoise.models import Classifier, Diffusion, Model, Sampling, files, load
from unnoise.networks import MLP, MLPClassifier
from unnoise.objectives import Regression
from unnoise.processes import VP, DDPMChain, GaussianProcess
from unnoise.solvers import DDIM, PredictorCorrector
from unnoise.spaces import Display

KINDS = [k for k in every(*families()) if k != ("tracker", "wandb")]  # its library is not here
DATA = digits()
INFO, X = DATA.info, DATA[:2].x


def small(outputs: int = 1, **parts: Any) -> Diffusion:
    """A model of digits with some parts of its own."""
    network = MLP(shape=(1, 8, 8), width=16, depth=1, context=8, classes=10, outputs=outputs)
    return Diffusion(**{"network": network, **parts})


def with_recipe(**tables: Any) -> Model:
    model = small()
    model.recipe = tables
    return model


def with_sampling(model: Diffusion | None = None, **settings: Any) -> Model:
    model = small() if model is None else model
    model.sampling = Sampling(**{"steps": 3, **settings})
    return model


def shown_as(display: Display) -> Model:
    """In the description of the data, where that suits; see tests/plots/test_displays.py."""
    if not display.takes(INFO.shape):
        return with_recipe(data={"kind": "npy", "path": "x.npy", "display": spec(display)})
    model = small()
    model.info = replace(INFO, display=display)
    return model


# A model whose file holds an object of the family.
HOLDERS: dict[str, Callable[[Any], Model]] = {
    "betas": lambda x: small(process=DDPMChain(x)),
    "classifier": lambda x: Classifier(x),
    "corrector": lambda x: with_sampling(solver=PredictorCorrector(DDIM(), x)),
    "dataset": lambda x: with_recipe(data=spec(x)),
    "display": lambda x: shown_as(x),
    "divergence": lambda x: with_recipe(evaluation={"divergence": spec(x)}),
    "drawing": lambda x: with_recipe(drawing=spec(x)),
    "evaluation": lambda x: with_recipe(evaluation=spec(x)),
    "grid": lambda x: with_sampling(small(process=DDPMChain()), grid=x),
    "guidance": lambda x: with_sampling(guidance=x),
    "head": lambda x: small(head=x),
    "imputation": lambda x: with_recipe(imputation=spec(x)),
    "metric": lambda x: with_recipe(evaluation={"metrics": [spec(x)]}),
    "model": lambda x: x,
    "network": lambda x: Diffusion(x),
    "objective": lambda x: small(
        outputs=2 if "hybrid" in spec(x)["kind"] else 1,
        objective=x,
        variance="learned-range" if "hybrid" in spec(x)["kind"] else "point",
    ),
    "optimiser": lambda x: with_recipe(training={"optimiser": spec(x)}),
    "operator": lambda x: with_recipe(operator=spec(x)),
    "process": lambda x: small(process=x),
    "sampling": lambda x: with_sampling(),
    "schedule": lambda x: with_recipe(training={"schedule": spec(x)}),
    "solver": lambda x: with_sampling(solver=x),
    "times": lambda x: small(objective=Regression(times=x)),
    "tracker": lambda x: with_recipe(tracker=spec(x)),
    "training": lambda x: with_recipe(training=spec(x)),
    "variance": lambda x: small(outputs=1 + x.outputs, variance=x),
    "view": lambda x: with_recipe(view=spec(x)),
    "weight": lambda x: small(objective=Regression(weight=x)),
}


def used(model: Model) -> Tensor:
    """What a model computes: its loss, and a sample where it draws."""
    noise = Noise(0, range(2))
    cond = Condition(label=torch.tensor([1, 2])) if model.classes else None
    loss = model(X, cond, noise).value.detach().flatten()
    if not isinstance(model, Diffusion):
        return loss
    exact = not model.sampling.solver.couples_batch
    return torch.cat([loss, model.sample(2, steps=3, exact=exact).flatten()])


def holder(family: str, obj: Any) -> Model:
    model = HOLDERS[family](obj)
    model.info = model.info or INFO
    return model.eval()


# What kinds above the models are given where they ask for it.
NETWORK = {"kind": "mlp", "width": 16, "depth": 1}
NEEDED = {
    ("model", "diffusion"): {"network": NETWORK},
    ("model", "classifier"): {"network": NETWORK},
    ("view", "naive"): {"against": "moons"},
}


def law(family: str, kind: str, folder: Path) -> None:
    if (family, kind) in NEEDED:
        made = build(family, {"kind": kind, **NEEDED[family, kind]}, fill=FILL)
    else:
        made = make(family, kind)
    table = spec(made)
    obj = build(family, json.loads(json.dumps(table)))
    assert spec(obj) == table

    model = holder(family, obj)
    model_table = spec(model)
    before = used(model)
    assert torch.isfinite(before).all()
    path = folder / "model.safetensors"
    files.save(model, path)
    again = load(path)
    assert torch.equal(used(again), before) and spec(again) == model_table
    assert again.sampling == model.sampling and again.recipe == model.recipe
    assert again.info.display == getattr(model.info, "display", None)

    for other in (pickle.loads(pickle.dumps(obj)), copy.copy(obj), copy.deepcopy(obj)):
        assert type(other) is type(obj) and spec(other) == table
    for other in (pickle.loads(pickle.dumps(model)), copy.copy(model), copy.deepcopy(model)):
        assert torch.equal(used(other), before) and other.training == model.training
        assert isinstance(other.info, DataInfo) and other.info.sha256 == INFO.sha256
        assert model.info is not None and other.info.display == model.info.display

    for each in (obj, model):
        shown = repr(each)
        assert "\n" not in shown and " at 0x" not in shown and len(shown) < 2000


@pytest.mark.parametrize(("family", "kind"), KINDS, ids=lambda v: v)
def test_every_kind(family: str, kind: str, tmp_path: Path):
    law(family, kind, tmp_path)


@pytest.mark.parametrize(("family", "kind"), KINDS, ids=lambda v: v)
def test_a_class_keeps_its_constructor(family: str, kind: str):
    maker = registry.lookup(family, kind)
    if isinstance(maker, type):
        assert not hasattr(maker.__init__, "__wrapped__")
        own = list(inspect.signature(maker.__init__).parameters)[1:]
        assert own == list(inspect.signature(maker).parameters) or maker.__init__ is object.__init__


def test_checked_exactly_once(monkeypatch: pytest.MonkeyPatch):
    """From Python, from a table, and as a member of another."""
    from unnoise.catalogue.schema import Schema

    real, seen = Schema.read, list[str]()

    def count(self: Schema, arguments: Any, where: str) -> Any:
        seen.append(where)
        return real(self, arguments, where)

    monkeypatch.setattr(Schema, "read", count)
    VP(beta_max=12.0)
    assert seen == ["VP"]
    seen.clear()
    build("objective", {"kind": "regression", "times": "lognormal", "weight": {"kind": "edm"}})
    assert sorted(seen) == ["objective", "objective.times", "objective.weight"]
    seen.clear()
    replace(VP(beta_max=12.0), beta_max=13.0)
    assert seen == ["VP", "VP"]


def test_validated_values_are_used():
    """A whole number where a number is wanted becomes one, also beyond 64 bits."""
    made = build("times", {"kind": "lognormal", "std": 10**30})
    assert isinstance(made.std, float) and made.std == 1e30
    note = note_of(VP(beta_max=12))
    assert note is not None and isinstance(note[1]["beta_max"], float)


# -- plugged in ------------------------------------------------------------------------------------


def plug_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that makes tensors without a word about a device, and decides with them."""
    tables = {family: dict(table) for family, table in registry._CATALOGUE.items()}
    monkeypatch.setattr(registry, "_CATALOGUE", tables)

    @registry.register("process", "planted")
    @dataclass(frozen=True)
    class Planted(GaussianProcess):
        power: float = 2.0

        def __post_init__(self) -> None:
            assert bool((torch.linspace(0, 1, 5) >= 0).all())

        def alpha(self, t: Tensor) -> Tensor:
            first, _ = torch.tensor([0.99, 1.0]).tolist()
            return 1 - first * t**self.power

        def sigma(self, t: Tensor) -> Tensor:
            return t.clone()

    assert pickle.loads(pickle.dumps(VP())) == VP() and Planted() == Planted()


def test_planted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    plug_in(monkeypatch)
    law("process", "planted", tmp_path)


def test_canary_built_without_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Where files are compared with a model on the meta device, the planted process breaks."""
    plug_in(monkeypatch)
    real = files._built

    def on_meta(table: Any) -> Model:
        with torch.device("meta"):
            build("model", table, "model")
        return real(table)

    monkeypatch.setattr(files, "_built", on_meta)
    law("process", "vp", tmp_path)
    with pytest.raises(ValueError, match="meta"):
        law("process", "planted", tmp_path)


def test_a_new_family_is_not_forgotten():
    assert set(families()) == set(HOLDERS), "say in HOLDERS which model's file holds one"
    assert FILL


def test_modules_keep_what_was_done_to_them():
    """Frozen weights, the type, the mode: a pickle and a copy have them."""
    model = small().double().train()
    model.network.out.weight.requires_grad_(False)  # pyright: ignore
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert not other.network.out.weight.requires_grad and other.training
        assert next(other.parameters()).dtype == torch.float64


def test_data_of_ones_own_is_pickled_by_its_rows():
    from unnoise.data import TensorDataset

    data = TensorDataset("mine", torch.arange(12.0).reshape(6, 2))
    again = pickle.loads(pickle.dumps(data))
    assert torch.equal(again[:].x, data[:].x) and again.info.sha256 == data.info.sha256
    named = pickle.dumps(digits())
    assert len(named) < 1000 and torch.equal(pickle.loads(named)[:5].x, digits()[:5].x)


def test_networks_are_small_here():
    assert sum(p.numel() for p in MLPClassifier((1, 8, 8), 10, width=16).parameters()) < 1e5
