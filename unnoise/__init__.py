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
    from unnoise.core.moments import Moments
    from unnoise.core.noise import Noise
    from unnoise.core.registry import register
    from unnoise.denoisers import (
        ClassifierFree,
        Empirical,
        Guided,
        Mixture,
        NetworkDenoiser,
        ScoreFunction,
    )
    from unnoise.likelihood import bits_per_dim, log_prob
    from unnoise.models import Diffusion, Sampling, load
    from unnoise.networks import MLP, UNet
    from unnoise.objectives import LogNormal, Regression, Uniform
    from unnoise.processes import (
        EDM,
        SDE,
        VE,
        VP,
        Cosine,
        DDPMChain,
        GaussianProcess,
        ItoSDE,
        Rectified,
        SMLDChain,
        SubVP,
    )
    from unnoise.recipes import evaluate, train
    from unnoise.solvers import (
        DDIM,
        RK4,
        Ancestral,
        Auto,
        Churned,
        Corrected,
        DormandPrince,
        DPMSolverPP,
        Euler,
        EulerMaruyama,
        Heun,
        Langevin,
        LangevinPaper,
        ReverseDiffusion,
        annealed_langevin,
        grid,
        integrate,
        langevin,
        trajectory,
    )
    from unnoise.training import Training, fit

# Name -> module: what is not asked for is not imported (`unnoise --help` needs no torch).
_HOMES = {
    "Ancestral": "solvers",
    "Auto": "solvers",
    "Categorical": "core.distributions",
    "Churned": "solvers",
    "ClassifierFree": "denoisers",
    "Condition": "core.condition",
    "Corrected": "solvers",
    "Cosine": "processes",
    "DDIM": "solvers",
    "DDPMChain": "processes",
    "DPMSolverPP": "solvers",
    "Diffusion": "models",
    "DormandPrince": "solvers",
    "EDM": "processes",
    "Empirical": "denoisers",
    "Euler": "solvers",
    "EulerMaruyama": "solvers",
    "GaussianProcess": "processes",
    "Guided": "denoisers",
    "Heun": "solvers",
    "InputError": "core.errors",
    "ItoSDE": "processes",
    "Langevin": "solvers",
    "LangevinPaper": "solvers",
    "LogNormal": "objectives",
    "MLP": "networks",
    "Mixture": "denoisers",
    "Moments": "core.moments",
    "NetworkDenoiser": "denoisers",
    "Noise": "core.noise",
    "Normal": "core.distributions",
    "RK4": "solvers",
    "Rectified": "processes",
    "Regression": "objectives",
    "ReverseDiffusion": "solvers",
    "SDE": "processes",
    "SMLDChain": "processes",
    "Sampling": "models",
    "ScoreFunction": "denoisers",
    "SubVP": "processes",
    "Training": "training",
    "UNet": "networks",
    "Uniform": "objectives",
    "UnnoiseError": "core.errors",
    "VE": "processes",
    "VP": "processes",
    "annealed_langevin": "solvers",
    "bits_per_dim": "likelihood",
    "evaluate": "recipes",
    "fit": "training",
    "grid": "solvers",
    "integrate": "solvers",
    "langevin": "solvers",
    "load": "models",
    "log_prob": "likelihood",
    "register": "core.registry",
    "train": "recipes",
    "trajectory": "solvers",
}

__all__ = [
    "Ancestral",
    "Auto",
    "Categorical",
    "Churned",
    "ClassifierFree",
    "Condition",
    "Corrected",
    "Cosine",
    "DDIM",
    "DDPMChain",
    "DPMSolverPP",
    "Diffusion",
    "DormandPrince",
    "EDM",
    "Empirical",
    "Euler",
    "EulerMaruyama",
    "GaussianProcess",
    "Guided",
    "Heun",
    "InputError",
    "ItoSDE",
    "Langevin",
    "LangevinPaper",
    "LogNormal",
    "MLP",
    "Mixture",
    "Moments",
    "NetworkDenoiser",
    "Noise",
    "Normal",
    "RK4",
    "Rectified",
    "Regression",
    "ReverseDiffusion",
    "SDE",
    "SMLDChain",
    "Sampling",
    "ScoreFunction",
    "SubVP",
    "Training",
    "UNet",
    "Uniform",
    "UnnoiseError",
    "VE",
    "VP",
    "annealed_langevin",
    "bits_per_dim",
    "data",
    "evaluate",
    "fit",
    "grid",
    "integrate",
    "langevin",
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
