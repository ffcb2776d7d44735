"""The names that users write: none may vanish unnoticed."""

import ast
import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path

import unnoise
from tests.test_house_rules import module_names

ASKED_FOR = [
    "Diffusion",
    "UNet",
    "MLP",
    "VP",
    "VE",
    "SubVP",
    "Cosine",
    "Rectified",
    "EDM",
    "Ancestral",
    "DDIM",
    "EulerMaruyama",
    "Heun",
    "DPMSolverPP",
    "DEIS",
    "UniPC",
    "Elbo",
    "Hybrid",
    "ExplicitScoreMatching",
    "ImplicitScoreMatching",
    "SlicedScoreMatching",
    "LikelihoodImportance",
    "explicit_score_matching",
    "implicit_score_matching",
    "sliced_score_matching",
    "FixedLarge",
    "LearnedRange",
    "elbo",
    "ItoSDE",
    "ScoreFunction",
    "GaussianExponential",
    "RK4",
    "DormandPrince",
    "Euler",
    "ReverseDiffusion",
    "Langevin",
    "LangevinPaper",
    "PredictorCorrector",
    "Churned",
    "annealed_langevin",
    "langevin",
    "Moments",
    "DDPMChain",
    "SMLDChain",
    "SDE",
    "Mixture",
    "Empirical",
    "Guided",
    "Noise",
    "Condition",
    "grid",
    "trajectory",
    "integrate",
    "log_prob",
    "bits_per_dim",
    "Evaluation",
    "fit",
    "train",
    "load",
    "data",
    "register",
]


def test_every_public_name_is_there():
    for name in [*unnoise.__all__, *ASKED_FOR]:
        assert getattr(unnoise, name) is not None
        assert name in dir(unnoise)


def test_the_stub_agrees():
    """One table says where a name lives, one what type checkers read; they must not drift."""
    stub = ast.parse(Path(unnoise.__file__).with_suffix(".pyi").read_text("utf-8"))
    lines = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    told = {alias.asname: f"{line.module}" for line in lines for alias in line.names}
    assert told == {name: f"unnoise.{home}" for name, home in unnoise._HOMES.items()} | {
        "data": "unnoise"
    }


OLD = """
import importlib, json, sys, warnings
found = []
for module, name, home, new in json.loads(sys.argv[1]):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        space = {}
        exec(f"from {module} import {name}", space)
    same = space[name] is getattr(importlib.import_module(home), new)
    found.append([name, new, same, [str(each.message) for each in told]])
print(json.dumps(found))
"""


def renamed() -> list[tuple[str, str, str, str]]:
    """Module, old name, home and new name of every name that was changed."""
    modules = [importlib.import_module(name) for name in module_names()]
    tables = [(module, module.__dict__.get("__getattr__")) for module in [unnoise, *modules]]
    found: list[tuple[str, str, str, str]] = []
    for module, attribute in tables:
        told = getattr(module, "_old_name", attribute)
        names = inspect.getclosurevars(told).nonlocals.get("names", {}) if told else {}
        for old, new in names.items():
            home, _, new = new.rpartition(":")
            found.append((module.__name__, old, home or module.__name__, new))
    return found


def test_old_names_give_the_new_object_and_one_warning():
    names = renamed()
    assert len(names) >= 12
    answer = subprocess.run(
        [sys.executable, "-c", OLD, json.dumps(names)], capture_output=True, text=True, check=True
    )
    for name, new, same, told in json.loads(answer.stdout):
        assert same and len(told) == 1, name
        assert told[0].endswith("the old name goes with 1.0.") and new in told[0], name


def test_papers_names_for_parameters():
    assert unnoise.VP(beta_min=0.1, beta_max=20.0) == unnoise.VP()
    assert unnoise.VE(sigma_min=0.01, sigma_max=50.0) == unnoise.VE()


def test_unknown_name_is_an_attribute_error():
    assert not hasattr(unnoise, "Difusion")
