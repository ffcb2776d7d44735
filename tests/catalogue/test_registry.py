"""The catalogue: every registered kind through it and back, and what is answered to mistakes."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from tests.kinds import FAMILIES, FILL, NEEDED, every, make
from unnoise.catalogue import registry
from unnoise.catalogue.ranges import Positive
from unnoise.catalogue.registry import build, lookup, names, register, schema, spec
from unnoise.core.errors import InputError
from unnoise.denoisers.heads import Head
from unnoise.objectives import LogNormal, Regression
from unnoise.objectives.weights import EDMWeight
from unnoise.processes import VP, Process


@pytest.fixture(autouse=True)
def _own_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    copy = {family: dict(table) for family, table in registry._CATALOGUE.items()}
    monkeypatch.setattr(registry, "_CATALOGUE", copy)


KINDS = every()


def test_every_family_has_kinds():
    assert all(names(family) for family in FAMILIES) and len(KINDS) > 30


# -------------------------------------------------------------------------------- round trips


@pytest.mark.parametrize(("family", "kind"), KINDS, ids=lambda v: v)
def test_round_trip(family: str, kind: str):
    """spec(build(spec)) == spec, through JSON, with every default spelled out."""
    table = spec(make(family, kind))
    assert table["kind"] == kind
    assert spec(build(family, json.loads(json.dumps(table)))) == table
    optional = {n for n, p in parameters(family, kind).items() if p.default is None}
    assert set(parameters(family, kind)) - optional <= set(table)


def test_a_class_without_a_constructor():
    """object's own signature says (*args, **kwargs); its kind has no settings."""

    @register("objective", "bare")
    class Bare:
        pass

    bare = build("objective", "bare")
    assert isinstance(bare, Bare) and spec(bare) == {"kind": "bare"}
    assert schema("objective", "bare").get("properties", {}) == {}
    with pytest.raises(InputError, match="steps"):
        build("objective", {"kind": "bare", "steps": 3})


@pytest.mark.parametrize(("family", "kind"), KINDS, ids=lambda v: v)
def test_schema_is_json(family: str, kind: str):
    found = schema(family, kind)
    json.dumps(found)
    assert set(found.get("properties", {})) == set(parameters(family, kind))


def parameters(family: str, kind: str) -> dict[str, Any]:
    import inspect

    found = inspect.signature(lookup(family, kind)).parameters
    return dict(found)


def test_members_are_built_at_every_depth():
    table = {
        "kind": "regression",
        "times": {"kind": "lognormal", "mean": -0.8},
        "weight": "edm",
    }
    made = build("objective", table)
    assert made == Regression(LogNormal(mean=-0.8), EDMWeight())
    assert spec(made)["times"] == {"kind": "lognormal", "mean": -0.8, "std": 1.2}
    assert (
        build("objective", {"kind": "regression", "weight": EDMWeight(0.7)}).weight.sigma_data
        == 0.7
    )


def test_schema_names_families():
    assert schema("objective", "regression")["properties"]["weight"] == {
        "family": "weight",
        "enum": names("weight"),
    }


def test_absent_arguments_are_filled_from_the_data():
    made = build("network", {"kind": "mlp", "classes": 3}, fill=FILL)
    assert made.shape == (1, 8, 8) and spec(made)["classes"] == 3


def register_box() -> type:
    @register("objective", "box")
    @dataclass(frozen=True)
    class Box:
        process: Process | None = None
        heads: tuple[Head, ...] = ()
        size: Positive = 1.0
        mode: Literal["a", "b"] = "a"
        table: dict[str, float] | None = None
        call: Callable[[float], float] | None = None
        values: Tensor | None = None

    return Box


def test_optional_and_list_members():
    register_box()
    made = build("objective", {"kind": "box", "process": "vp", "heads": ["v", {"kind": "edm"}]})
    table = spec(made)
    assert [h["kind"] for h in table["heads"]] == ["v", "edm"] and table["process"]["kind"] == "vp"
    assert spec(build("objective", table)) == table
    assert "process" not in spec(build("objective", "box"))
    with pytest.raises(InputError, match=r"heads = 'v': give a list"):
        build("objective", {"kind": "box", "heads": "v"})
    with pytest.raises(InputError, match=r"heads\[1\].kind = 'w'"):
        build("objective", {"kind": "box", "heads": ["v", "w"]})


def test_functions_and_tensors_have_no_spec():
    box = register_box()
    assert spec(box())["size"] == 1.0
    for held in ({"call": abs}, {"values": torch.ones(2)}):
        with pytest.raises(InputError, match="cannot be written to a file"):
            spec(box(**held))
    with pytest.raises(InputError, match="cannot be written in a recipe"):
        build("objective", {"kind": "box", "call": 3})
    with pytest.raises(InputError, match="not registered"):
        spec(torch.ones(2))


# ----------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("family", "value", "words"),
    [
        ("process", {"kind": "vp", "beta_max": True}, "process.beta_max = True: .*number"),
        ("process", {"kind": "vp", "beta_max": float("nan")}, "process.beta_max = nan: .*finite"),
        ("process", {"kind": "vp", "beta_max": float("inf")}, "finite"),
        ("process", {"kind": "vp", "beta_max": "12"}, "number"),
        ("process", {"kind": "vp", "beta_max": -1}, "greater than 0"),
        ("process", {"kind": "vp", "beta_max": 0.05}, "process: .*is not above"),
        ("process", {"kind": "rectifed"}, "no such process. Did you mean 'rectified'.*Known: cos"),
        ("process", {"beta_max": 2}, "'kind' is missing. Known: cosine"),
        ("process", 3, "give a name or a table"),
        ("process", {"kind": 3}, "no such process"),
        ("network", {"kind": "mlp", "shape": [2], "width": 2.5}, "integer"),
        ("network", {"kind": "mlp", "shape": [2], "width": 0}, "greater than or equal to 1"),
        ("network", {"kind": "mlp", "shape": [2], "widht": 3}, "widht: .*Did you mean 'width'"),
        ("network", {"kind": "mlp"}, "network.shape: this setting is needed"),
        ("objective", {"kind": "regression", "weight": {"kind": "vp"}}, "weight.kind = 'vp'"),
        ("objective", {"kind": "regression", "weight": VP()}, "weight"),
        ("objective", {"kind": "regression", "times": 3}, "times = 3: give a name"),
        ("dataset", {"kind": "digits", "split": "tests"}, "'train', 'test' or 'all'"),
    ],
)
def test_mistakes_are_answered(family: str, value: Any, words: str):
    with pytest.raises(InputError, match=words):
        build(family, value)


def test_all_mistakes_at_once():
    bad = {"kind": "regression", "times": {"kind": "lognormal", "std": -1}, "wieght": "eps"}
    with pytest.raises(InputError) as caught:
        build("objective", bad)
    lines = str(caught.value).split("\n")
    assert len(lines) == 2 and "objective.times.std = -1" in str(caught.value)
    assert "Did you mean 'weight'?" in str(caught.value)


def test_constructors_refuse_too():
    """In Python as in recipes, before anything is computed."""
    for maker in (lambda: VP(beta_max=-1.0), lambda: lookup("dataset", "digits")("tset")):
        with pytest.raises(InputError):
            maker()


def edits(word: str, draw: random.Random) -> list[str]:
    """One typing mistake each: a letter lost, doubled, changed, swapped, added."""
    i = draw.randrange(len(word))
    letter = draw.choice("abcdefghijklmnopqrstuvwxyz")
    made = [word[:i] + word[i] + word[i:], word[:i] + letter + word[i:]]
    if len(word) > 1:
        made += [word[:i] + word[i + 1 :], word[:i] + letter + word[i + 1 :]]
        j = max(i, 1)
        made.append(word[: j - 1] + word[j] + word[j - 1] + word[j + 1 :])
    return made


def test_typos_get_the_right_suggestion():
    """Of one-edit mistakes in every setting of every kind at least 95 % are answered rightly."""
    right, wrong, draw = 0, list[str](), random.Random(0)
    for family, kind in KINDS:
        known = parameters(family, kind)
        given = {**{k: v for k, v in FILL.items() if k in known}, **NEEDED.get((family, kind), {})}
        for name in known:
            for typo in edits(name, draw):
                if typo in known:
                    continue
                with pytest.raises(InputError) as caught:
                    build(family, {"kind": kind, **given, typo: 1})
                if f"Did you mean {name!r}?" in str(caught.value):
                    right += 1
                else:
                    wrong.append(f"{kind}.{name}: {typo}")
    assert right > 100 and right / (right + len(wrong)) >= 0.95, wrong


def test_names_are_taken_once():
    with pytest.raises(InputError, match=r"process 'vp' is already .*schedules\.VP"):

        @register("process", "vp")
        class Other:
            pass


# ------------------------------------------------------------------------------------ plug-ins

PLUGIN = """
from __future__ import annotations
from dataclasses import dataclass
from unnoise.catalogue.ranges import Positive
from unnoise.catalogue.registry import register
from unnoise.processes import GaussianProcess

@register("process", "mine")
@dataclass(frozen=True)
class Mine(GaussianProcess):
    power: Positive = 2.0
    inner: GaussianProcess | None = None

    def alpha(self, t):
        return 1 - t**self.power

    def sigma(self, t):
        return t
"""


def test_plugin_with_postponed_annotations(tmp_path: Path):
    file = tmp_path / "mine_plugin.py"
    file.write_text(PLUGIN, "utf-8")
    registry.load_plugin(file)
    registry.load_plugin(file)  # twice does no harm
    made = build("process", {"kind": "mine", "power": 3, "inner": "vp"})
    made.check()
    assert spec(made) == {"kind": "mine", "power": 3, "inner": spec(VP())}
    with pytest.raises(InputError, match="greater than 0"):
        build("process", {"kind": "mine", "power": -1})


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "no such Python file"), ("1 / 0", "ZeroDivisionError"), ("def", "SyntaxError")],
)
def test_bad_plugin(tmp_path: Path, text: str | None, words: str):
    file = tmp_path / f"bad_{words.replace(' ', '_')}.py"
    if text is not None:
        file.write_text(text, "utf-8")
    with pytest.raises(InputError, match=words):
        registry.load_plugin(file)


# ------------------------------------------------------------------------------------ canaries


def test_canary_unbuildable_kind():
    """A new kind that needs what nobody gives fails loudly in `make`."""

    @register("process", "needy")
    class Needy:
        def __init__(self, weight: float) -> None:
            self.weight = weight

    assert ("process", "needy") in every()
    with pytest.raises(InputError, match=r"weight: this setting is needed"):
        make("process", "needy")


def test_canary_round_trip():
    """A constructor that hides an argument from its signature loses it in spec: the law sees."""

    @register("process", "hiding")
    class Hiding:
        def __init__(self, **more: float) -> None:
            self.more = more

    with pytest.raises((InputError, AssertionError)):
        test_round_trip("process", "hiding")
