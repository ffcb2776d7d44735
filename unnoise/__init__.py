"""unnoise: generative modelling by turning data into noise and walking back.

A process turns data into noise. A denoiser says what it believes the clean data was. A solver
walks back one step at a time. An objective teaches the denoiser. All else wraps one of these.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unnoise import data
    from unnoise.core.condition import Condition
    from unnoise.core.distributions import Categorical, Normal
    from unnoise.core.errors import InputError, UnnoiseError
    from unnoise.core.noise import Noise
    from unnoise.core.registry import register
    from unnoise.denoisers import ClassifierFree, Empirical, Guided, Mixture, NetworkDenoiser
    from unnoise.likelihood import bits_per_dim, log_prob
    from unnoise.models import Diffusion, Sampling, load
    from unnoise.networks import MLP, UNet
    from unnoise.objectives import LogNormal, Regression, Uniform
    from unnoise.processes import EDM, VE, VP, Cosine, GaussianProcess, Rectified, SubVP
    from unnoise.recipes import evaluate, train
    from unnoise.solvers import (
        DDIM,
        Ancestral,
        DPMSolverPP,
        EulerMaruyama,
        Heun,
        grid,
        integrate,
        trajectory,
    )
    from unnoise.training import Training, fit

# Name -> module: what is not asked for is not imported (`unnoise --help` needs no torch).
_HOMES = {
    "Ancestral": "solvers",
    "Categorical": "core.distributions",
    "ClassifierFree": "denoisers",
    "Condition": "core.condition",
    "Cosine": "processes",
    "DDIM": "solvers",
    "DPMSolverPP": "solvers",
    "Diffusion": "models",
    "EDM": "processes",
    "Empirical": "denoisers",
    "EulerMaruyama": "solvers",
    "GaussianProcess": "processes",
    "Guided": "denoisers",
    "Heun": "solvers",
    "InputError": "core.errors",
    "LogNormal": "objectives",
    "MLP": "networks",
    "Mixture": "denoisers",
    "NetworkDenoiser": "denoisers",
    "Noise": "core.noise",
    "Normal": "core.distributions",
    "Rectified": "processes",
    "Regression": "objectives",
    "Sampling": "models",
    "SubVP": "processes",
    "Training": "training",
    "UNet": "networks",
    "Uniform": "objectives",
    "UnnoiseError": "core.errors",
    "VE": "processes",
    "VP": "processes",
    "bits_per_dim": "likelihood",
    "evaluate": "recipes",
    "fit": "training",
    "grid": "solvers",
    "integrate": "solvers",
    "load": "models",
    "log_prob": "likelihood",
    "register": "core.registry",
    "train": "recipes",
    "trajectory": "solvers",
}

__all__ = [
    "MLP",
    "DDIM",
    "EDM",
    "VE",
    "VP",
    "Ancestral",
    "Categorical",
    "ClassifierFree",
    "Condition",
    "Cosine",
    "DPMSolverPP",
    "Diffusion",
    "Empirical",
    "EulerMaruyama",
    "GaussianProcess",
    "Guided",
    "Heun",
    "InputError",
    "LogNormal",
    "Mixture",
    "NetworkDenoiser",
    "Noise",
    "Normal",
    "Rectified",
    "Regression",
    "Sampling",
    "SubVP",
    "Training",
    "UNet",
    "Uniform",
    "UnnoiseError",
    "bits_per_dim",
    "data",
    "evaluate",
    "fit",
    "grid",
    "integrate",
    "load",
    "log_prob",
    "register",
    "train",
    "trajectory",
]


def __getattr__(name: str) -> Any:
    if name == "data":
        return import_module("unnoise.data")
    if name not in _HOMES:
        raise AttributeError(f"module 'unnoise' has no attribute {name!r}")
    value = getattr(import_module(f"unnoise.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
