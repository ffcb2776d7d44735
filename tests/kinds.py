"""Everything registered below the recipes, and how the tests make one of each kind."""

import importlib
from typing import Any

import pytest

from tests import pictures
from unnoise.catalogue.registry import build, names

for floor in (
    "spaces",
    "plots",
    "processes",
    "networks",
    "data",
    "denoisers",
    "objectives",
    "solvers",
    "likelihood",
    "models",
    "evaluation",
):
    importlib.import_module(f"unnoise.{floor}")

FAMILIES = [
    "betas",
    "classifier",
    "corrector",
    "dataset",
    "display",
    "divergence",
    "drawing",
    "grid",
    "guidance",
    "head",
    "imputation",
    "metric",
    "network",
    "objective",
    "operator",
    "process",
    "solver",
    "times",
    "variance",
    "weight",
]

# What a family's constructors are given where they ask for it, and what single kinds need beside.
FILL: dict[str, Any] = {"shape": (1, 8, 8), "classes": 10}
NEEDED: dict[tuple[str, str], dict[str, Any]] = {
    ("dataset", "images"): {"path": str(pictures.a_folder())},
    ("dataset", "npy"): {"path": str(pictures.an_array()[0])},
    ("dataset", "prepared"): {"path": str(pictures.a_preparation())},
    ("dataset", "webdataset"): {"path": str(pictures.some_shards()), "size": 6},
    ("classifier", "mlp"): {"width": 64},
    ("classifier", "half-unet"): {"width": 16},
    ("betas", "list"): {"betas": [0.01, 0.02, 0.05, 0.1]},
    ("network", "mlp"): {"width": 64, "depth": 2},
    ("network", "foreign"): {"module": {"kind": "mlp", "classes": None, "width": 64}},
    ("operator", "blur"): {"kernel": [[0.0, 0.1, 0.3], [0.2, 0.5, 0.0], [0.0, 0.4, 0.1]]},
    ("operator", "random-rows"): {"shape": [3, 4, 6]},
    ("network", "unet"): {"width": 16},
}


def make(family: str, name: str) -> Any:
    """One object of a kind; a new kind is made from its defaults, and fails loudly without."""
    return build(family, {"kind": name, **NEEDED.get((family, name), {})}, fill=FILL)


def every(*families: str) -> list[tuple[str, str]]:
    """(family, kind) of everything registered."""
    return [(family, name) for family in families or FAMILIES for name in names(family)]


def breaks(contract: type, law: str, make: Any, **more: Any) -> None:
    """The canary: a contract must fail, at this law, on something that is broken."""
    broken = type("Broken", (contract,), {"make": staticmethod(make), **more})()
    with pytest.raises(AssertionError):
        getattr(broken, law)()
