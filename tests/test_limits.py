"""What nobody means (a thousand digits, a billion steps) is answered by a sentence, and soon."""

import math
import time
import typing
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch

import unnoise.views  # noqa: F401  (registers the families above the models)
from tests.answers import HUGE, SECONDS, answer
from tests.kinds import FAMILIES, FILL, NEEDED
from tests.small import diffusion, points
from unnoise.catalogue.construction import constructor_of
from unnoise.catalogue.registry import build, lookup, names
from unnoise.catalogue.schema import parameters_of
from unnoise.core.errors import NumbersError, short
from unnoise.core.noise import Noise
from unnoise.models import Diffusion, Sampling
from unnoise.solvers import grid
from unnoise.system import threads
from unnoise.training import Training, fit


def test_canary_answers():
    def long() -> None:
        raise NumbersError("x" * 201)

    def late() -> None:
        began = time.process_time()
        while time.process_time() - began < SECONDS:
            pass

    with pytest.raises(ZeroDivisionError):
        answer(lambda: 1 / 0)
    for broken in (long, late):
        with pytest.raises(AssertionError):
            answer(broken)


# -- constructors ---------------------------------------------------------------------------------

VALUES: list[Any] = [0, -1, 10**9, 10**30, HUGE, 1e308, math.nan, math.inf, True, [], {}]
NEVER: list[Any] = ["x" * 10_000, [1] * 100_001, [[[]]], math.nan]
OTHERS = ["imputation", "model", "sampling", "schedule", "training", "evaluation", "view"]
GIVEN: dict[tuple[str, str], dict[str, Any]] = {
    ("model", "diffusion"): {"network": "mlp"},
    ("model", "classifier"): {"network": "mlp"},
    ("view", "naive"): {"against": "nothing"},
    **NEEDED,
}
KINDS = [
    (family, name)
    for family in (*FAMILIES, *OTHERS)
    for name in names(family)
    if lookup(family, name).__module__.startswith("unnoise.")
]


def numbers(annotation: Any) -> bool:
    """Whether numbers stand in an annotation."""
    inner = typing.get_args(annotation)
    return annotation in (int, float) or any(numbers(a) for a in inner if not isinstance(a, int))


def settings(family: str, name: str) -> list[str]:
    """Those of a kind that are numbers."""
    found = parameters_of(constructor_of(lookup(family, name)).call)
    return [setting for setting, annotation in found.items() if numbers(annotation)]


@pytest.mark.parametrize(("family", "name"), KINDS)
def test_every_setting_of_every_kind(family: str, name: str):
    table = {"kind": name, **GIVEN.get((family, name), {})}
    for setting in settings(family, name):
        for value in (*VALUES, *NEVER):
            given = {**table, setting: value}
            said = answer(lambda given=given: build(family, given, fill=FILL))
            assert said or not any(value is one for one in NEVER), (setting, short(value))


def test_many_were_tried():
    assert sum(len(settings(*kind)) for kind in KINDS) * len(VALUES) > 1000


@pytest.mark.parametrize(
    ("family", "table", "most"),
    [
        ("sampling", {"kind": "walk", "threads": 1024}, "1024"),
        ("sampling", {"kind": "walk", "chunk": 65_536}, "65536"),
        ("sampling", {"kind": "walk", "steps": 100_000}, "100000"),
        ("training", {"batch": 1_000_000}, "1000000"),
        ("training", {"half_lives": [1.0] * 16}, "16 items"),
        ("evaluation", {"likelihood_draws": 10_000}, "10000"),
        ("divergence", {"kind": "hutchinson", "probes": 10_000}, "10000"),
        ("betas", {"kind": "linear", "steps": 1_000_000}, "1000000"),
        ("solver", {"kind": "dopri5", "most": 100_000}, "100000"),
    ],
)
def test_the_largest_that_is_taken(family: str, table: dict[str, Any], most: str):
    table = {"kind": family, **table}
    *_, key = table
    assert answer(lambda: build(family, table)) == ""
    value = table[key]
    more = [*value, value[0]] if isinstance(value, list) else value + 1
    said = answer(lambda: build(family, {**table, key: more}))
    assert f"{family}.{key}" in said and most in said


def test_a_plain_number_of_layers():
    """The sizes that a model file may name are built in seconds; others are none."""
    layers = {"kind": "mlp", "shape": [2], "width": 4}
    assert answer(lambda: build("network", {**layers, "depth": 200})) == ""
    assert "depth" in answer(lambda: build("network", {**layers, "depth": 100_000}))
    assert "memory" in answer(lambda: build("network", {**layers, "shape": [10**6, 10**6]}))
    assert "shape" in answer(lambda: build("network", {**layers, "shape": [10**8]}))


# -- arguments ------------------------------------------------------------------------------------

WHOLE = [0, -1, 1.5, 10**9, 10**30, HUGE, math.nan, math.inf, "x", "x" * 10_000, True, [], {}]
OBJECTS = [HUGE, "x" * 10_000, [["a"]], {}, object(), np.zeros(3), torch.zeros(2, 2) * math.nan]


@pytest.fixture(scope="module")
def model() -> Diffusion:
    return diffusion(points())


Ask = Callable[[Diffusion, torch.Tensor, Any], object]
X = points()[:3].x
COUNTS: Mapping[str, Ask] = {
    "steps of sample": lambda m, x, v: m.sample(2, steps=v),
    "steps of likelihood": lambda m, x, v: m.log_prob(x, steps=v),
    "steps of sensitivity": lambda m, x, v: m.sensitivity(x, steps=v),
    "steps of elbo": lambda m, x, v: m.elbo(x, steps=v),
    "draws of elbo": lambda m, x, v: m.elbo(x, steps=2, draws=v),
    "steps of encode": lambda m, x, v: m.encode(x, solver="euler", steps=v),
    "count": lambda m, x, v: m.interpolate(x, x, v, solver="euler"),
    "n": lambda m, x, v: m.sample(v),
    "steps of grid": lambda m, x, v: grid(m.process, v),
    "threads": lambda m, x, v: fit(m, points(), Training(steps=1), threads=v or -1),
}
ANYTHING: Mapping[str, Ask] = {
    "first": lambda m, x, v: m.sample(2, first=v),
    "seed": lambda m, x, v: m.sample(2, seed=v),
    "seed of probes": lambda m, x, v: m.log_prob(x, steps=2, seed=v),
    "label": lambda m, x, v: m.sample(2, label=v),
    "grid": lambda m, x, v: m.sample(2, grid=v),
    "solver": lambda m, x, v: m.sample(2, solver=v),
    "given": lambda m, x, v: m.sample(2, given=v),
    "near": lambda m, x, v: m.sample(2, near=v),
    "cond": lambda m, x, v: m.sample(2, v),
    "t": lambda m, x, v: m.log_prob(x, t=v, steps=2),
    "end": lambda m, x, v: m.log_prob(x, end=v, steps=2),
    "strength": lambda m, x, v: m.vary(x, v),
}


@pytest.mark.parametrize("name", COUNTS)
def test_counts(name: str, model: Diffusion):
    for value in WHOLE:
        said = answer(lambda value=value: COUNTS[name](model, X, value))
        assert "give a whole number" in said, short(value)


@pytest.mark.parametrize("name", ANYTHING)
def test_arguments(name: str, model: Diffusion):
    for value in OBJECTS:
        assert answer(lambda value=value: ANYTHING[name](model, X, value)), short(value)


def test_arguments_that_are_good(model: Diffusion):
    assert answer(lambda: model.sample(np.int64(2), seed=10**99, first=10**15, steps=2)) == ""
    assert answer(lambda: model.log_prob(X, steps=2, t=np.float64(0.5))) == ""
    assert torch.equal(model.sample(2, seed=np.int64(3)), model.sample(2, seed=3))
    assert "at most a hundred digits" in answer(lambda: Noise(10**100, range(2)))


DATA: Mapping[str, Callable[[torch.Tensor], Any]] = {
    "long": lambda x: x.long(),
    "byte": lambda x: x.abs().byte(),
    "bool": lambda x: x > 0,
    "complex": lambda x: x + 0j,
    "sparse": lambda x: x.to_sparse(),
    "meta": lambda x: x.to("meta"),
    "list": lambda x: x.tolist(),
    "numpy": lambda x: x.numpy(),
    "nothing": lambda x: None,
    "empty": lambda x: x[:0],
    "number": lambda x: x[0, 0],
    "wide": lambda x: torch.zeros(2, 3),
    "nan": lambda x: x * math.nan,
    "huge": lambda x: x * 1e30,
}
QUESTIONS: Mapping[str, Callable[[Diffusion, Any], object]] = {
    "log_prob": lambda m, x: m.log_prob(x, steps=4),
    "sensitivity": lambda m, x: m.sensitivity(x, steps=4),
    "elbo": lambda m, x: m.elbo(x, steps=4),
    "encode": lambda m, x: m.encode(x),
    "decode": lambda m, x: m.decode(x),
    "interpolate": lambda m, x: m.interpolate(x, x, 3),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_data_that_is_none(question: str, model: Diffusion):
    assert answer(lambda: QUESTIONS[question](model, X)) == ""
    for name, change in DATA.items():
        assert answer(lambda change=change: QUESTIONS[question](model, change(X))), name


def test_a_chunk_that_is_too_much(model: Diffusion):
    wide = diffusion(points())
    wide.sampling = Sampling(chunk=65_536, steps=1)
    assert answer(lambda: wide.sample(1, exact=False)) == ""
    wide.denoiser.network.shape = (4096,)
    said = answer(lambda: wide.sample(1))
    assert "sampling.chunk = 65,536" in said and "at most 16,384" in said


# -- threads --------------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of threads that torch was asked for, none of which it makes."""
    found: list[int] = []
    monkeypatch.setattr(threads, "cores", lambda: 2)
    monkeypatch.setattr(torch, "set_num_threads", found.append)
    return found


def test_threads_are_bounded_by_the_machine(asked: list[int], model: Diffusion):
    other = diffusion(points())
    other.sampling = Sampling(threads=1000, steps=1)
    other.sample(2)
    assert asked[0] == 64
    other.sampling = Sampling(threads=3, steps=1)
    other.sample(2)
    assert 3 in asked and max(asked) == 64
    asked.clear()
    threads.torch.set_num_threads(1000)  # the canary: what nobody bounds
    assert asked == [1000]


def test_threads_of_the_environment(asked: list[int], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "10000000")
    fit(diffusion(points()), points(), Training(steps=1, batch=4))
    assert max(asked) == 64
