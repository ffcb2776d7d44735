"""The family of metrics: a law for every kind, and how an evaluation is made of them."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from tests.kinds import breaks
from tests.small import diffusion
from unnoise.catalogue.registry import build, names, spec
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.data import Dataset, TensorDataset, digits, moons
from unnoise.evaluation import (
    Evaluation,
    Frechet,
    HeldOutLikelihood,
    ImprovedPrecisionRecall,
    Metric,
)
from unnoise.evaluation import metric as module
from unnoise.likelihood import ExactTrace, Hutchinson
from unnoise.models import Diffusion, Model
from unnoise.tasks import evaluate
from unnoise.testing import MetricContract

# With a spread to tell: of several draws and several probes.
SMALL: dict[str, dict[str, Any]] = {
    "likelihood": {
        "count": 4,
        "steps": 2,
        "draws": 2,
        "divergence": {"kind": "hutchinson", "probes": 2},
    }
}


@pytest.mark.parametrize("kind", names("metric"))
@pytest.mark.parametrize("law", [law for law in dir(MetricContract) if law.startswith("test_")])
def test_law(kind: str, law: str):
    def make() -> Metric:
        return build("metric", {"kind": kind, **SMALL.get(kind, {})})

    contract = type("Kind", (MetricContract,), {"make": staticmethod(make)})()
    getattr(contract, law)()


@dataclass
class Broken(Metric):
    """A metric whose figures a test chooses."""

    better: ClassVar[Any] = "low"
    tell: Callable[[Dataset], dict[Any, Any]] = field(default=lambda drawn: {"x": 1.0})

    def __call__(
        self, drawn: Dataset, train: Dataset, held_out: Dataset, model: Model, noise: Noise
    ) -> dict[str, float]:
        return self.tell(drawn)


COUNTED: list[float] = []


def counted(drawn: Dataset) -> dict[str, float]:
    COUNTED.append(0.0)
    return {"x": float(len(COUNTED))}


@pytest.mark.parametrize(
    ("law", "tell"),
    [
        ("figures_are_finite_and_have_names", lambda drawn: {}),
        ("figures_are_finite_and_have_names", lambda drawn: {"x": math.nan}),
        ("figures_are_finite_and_have_names", lambda drawn: {1: 1.0}),
        ("the_same_figures_again", counted),
        ("no_global_random_numbers", lambda drawn: {"x": float(torch.rand(1))}),
        ("perfect_samples_are_no_worse_than_noise", lambda drawn: {"x": -drawn[:].x.std().item()}),
    ],
)
def test_canary(law: str, tell: Callable[[Dataset], dict[Any, Any]]):
    breaks(MetricContract, f"test_{law}", lambda: Broken(tell))


# -- settings -------------------------------------------------------------------------------------


def test_todays_figures_are_the_default():
    kinds = ["accuracy", "frechet", "precision-recall", "memorisation", "likelihood"]
    table = spec(Evaluation())
    assert [metric["kind"] for metric in table["metrics"]] == kinds == [*dict.fromkeys(kinds)]
    assert table["metrics"][-1] == {"kind": "likelihood"}  # it says nothing of its own
    del table["metrics"]  # as in the files of old
    assert build("evaluation", table) == Evaluation()
    again = {**table, "metrics": ["frechet", {"kind": "precision-recall", "k": 5}]}
    found = build("evaluation", again)
    assert found.metrics == (Frechet(), ImprovedPrecisionRecall(5))
    assert build("evaluation", spec(found)) == found


def test_refused_settings():
    for metrics, said in (
        (["frechte"], r"metrics\[0\].kind = 'frechte': no such metric. Did you mean 'frechet'"),
        ("frechet", "give a list"),
        ([Hutchinson()], "metric"),
        (["frechet"] * 65, "at most 64"),
    ):
        with pytest.raises(InputError, match=said):
            build("evaluation", {"kind": "evaluation", "metrics": metrics})


def test_the_likelihood_takes_the_tables_settings():
    table = {"likelihood": 5, "likelihood_steps": 7, "likelihood_sigma": 0.1}
    settings = Evaluation(**table, metrics=("likelihood", HeldOutLikelihood(steps=3)))  # pyright: ignore
    first, second = settings.chosen()
    assert first == HeldOutLikelihood(5, 0.1, 7, 1, Hutchinson())
    assert second == HeldOutLikelihood(5, 0.1, 3, 1, Hutchinson())
    exact = Evaluation(divergence=ExactTrace()).chosen()[-1]
    assert exact == HeldOutLikelihood(None, None, 64, 1, ExactTrace())
    without = Evaluation(likelihood=0).chosen()
    assert [type(m) for m in without] == [type(m) for m in Evaluation().metrics[:-1]]


# -- an evaluation --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model() -> Diffusion:
    model = diffusion(moons(count=100))
    model.recipe = {"data": {"kind": "moons", "count": 100, "split": "train"}}
    return model


def measured(model: Diffusion, *metrics: Any, **settings: Any) -> dict[str, Any]:
    return evaluate(model, Evaluation(**{"count": 8, **settings}, metrics=metrics))


def test_chosen_metrics_alone(model: Diffusion):
    usual = evaluate(model, Evaluation(count=8, likelihood=3, likelihood_steps=2))
    found = measured(model, "likelihood", "frechet", likelihood=3, likelihood_steps=2)
    assert list(found)[:3] == ["frechet", "count", "protocol"] and list(found)[-1] == "sampling"
    assert all(found[name] == usual[name] for name in found if name != "protocol")
    assert found["nats"] == usual["nats"] and "accuracy" not in found
    assert "Frechet()" in found["protocol"] and model.info is not None
    assert f"train 100 ({model.info.sha256[:12]})" in found["protocol"]
    assert measured(model).keys() == {"count", "protocol", "sampling"}


def test_what_is_no_number_is_none_in_json(model: Diffusion):
    told = {"a": math.nan, "b": math.inf, "c": torch.tensor(0.5), "d": 3}
    found = measured(model, Broken(lambda drawn: told))
    assert [found[k] for k in told] == [None, None, 0.5, 3]
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("name", ["frechet", "count", "protocol", "sampling"])
def test_a_name_of_another_figure_is_refused(model: Diffusion, name: str):
    with pytest.raises(InputError, match=f"'{name}' is there already"):
        measured(model, "frechet", Broken(lambda drawn: {name: 1.0}))


def test_what_a_metric_is_given(model: Diffusion):
    """Modelled values with the labels asked for, all data, and noise for each sample."""
    seen: dict[str, Any] = {}

    class Looks(Metric):
        def __call__(self, drawn, train, held_out, model, noise):
            seen.update(drawn=drawn, train=train, held_out=held_out, model=model, noise=noise)
            return {"looked": len(held_out)}

    assert measured(model, Looks(), reference=10, seed=4)["looked"] == 100
    drawn = seen["drawn"]
    classes = model.labels.shares_of(8).tolist()
    assert drawn[:].label.tolist() == classes and drawn.info.classes == 2
    wanted = model.sample(8, label=classes, seed=4)
    assert torch.equal(drawn[:].x, wanted) and seen["model"] is model
    assert len(seen["train"]) == 100 and len(seen["noise"]) == 8 and seen["noise"].seed == 4


def test_features_are_computed_once(model: Diffusion, monkeypatch: pytest.MonkeyPatch):
    calls: list[int] = []
    real = module.features

    def features(info: Any, x: torch.Tensor) -> torch.Tensor:
        calls.append(len(x))
        return real(info, x)

    monkeypatch.setattr(module, "features", features)
    settings = Evaluation(count=8, likelihood=0, reference=20)
    evaluate(model, settings)
    assert sorted(calls) == [8, 20, 20]


def test_called_from_python(tmp_path: Path):
    """Any data sets do, and give what an evaluation gives."""
    data = digits()
    model = diffusion(data)
    model.recipe = {"data": {"kind": "digits"}}
    found = measured(model, "frechet", "memorisation", "accuracy", likelihood=0)
    x = model.sample(8, label=data.info.labels.shares_of(8))
    drawn = module.Samples(data.info, x, None)
    given = (drawn, data, digits("test"), model, Noise(0, range(8)))
    for kind in ("frechet", "memorisation"):
        assert build("metric", kind)(*given) == {kind: found[kind]}
    assert build("metric", "accuracy")(*given) == {}  # nobody said what was asked for


def test_other_data_is_seen_as_the_models(tmp_path: Path):
    """Features of all three are those of the training data, whatever the others' levels."""
    stored = torch.arange(60 * 4).reshape(60, 4) % 5
    train, other = (
        TensorDataset(str(k), (stored + k).clamp(max=4), levels=5, licence="none") for k in (0, 1)
    )
    same = Frechet()(other, train, other, diffusion(train), Noise(0, range(60)))
    assert same["frechet"] < 1e-9
