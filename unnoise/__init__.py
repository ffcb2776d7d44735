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
        FixedLarge,
        Guided,
        LearnedRange,
        Mixture,
        NetworkDenoiser,
        ScoreFunction,
    )
    from unnoise.likelihood import bits_per_dim, elbo, log_prob
    from unnoise.models import Diffusion, Sampling, ScoreDiffusion, load
    from unnoise.networks import MLP, UNet
    from unnoise.objectives import (
        Elbo,
        ExplicitScoreMatching,
        Hybrid,
        ImplicitScoreMatching,
        LikelihoodImportance,
        LogNormal,
        PathScoreMatching,
        Regression,
        SlicedScoreMatching,
        Uniform,
        explicit_score_matching,
        implicit_score_matching,
        sliced_score_matching,
    )
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
        DEIS,
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
        UniPC,
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
    "DEIS": "solvers",
    "DPMSolverPP": "solvers",
    "Diffusion": "models",
    "DormandPrince": "solvers",
    "EDM": "processes",
    "Elbo": "objectives",
    "Empirical": "denoisers",
    "Euler": "solvers",
    "EulerMaruyama": "solvers",
    "ExplicitScoreMatching": "objectives",
    "FixedLarge": "denoisers",
    "GaussianProcess": "processes",
    "Guided": "denoisers",
    "Heun": "solvers",
    "Hybrid": "objectives",
    "ImplicitScoreMatching": "objectives",
    "InputError": "core.errors",
    "ItoSDE": "processes",
    "Langevin": "solvers",
    "LangevinPaper": "solvers",
    "LearnedRange": "denoisers",
    "LikelihoodImportance": "objectives",
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
    "PathScoreMatching": "objectives",
    "Sampling": "models",
    "ScoreDiffusion": "models",
    "ScoreFunction": "denoisers",
    "SlicedScoreMatching": "objectives",
    "SubVP": "processes",
    "Training": "training",
    "UNet": "networks",
    "UniPC": "solvers",
    "Uniform": "objectives",
    "UnnoiseError": "core.errors",
    "VE": "processes",
    "VP": "processes",
    "annealed_langevin": "solvers",
    "bits_per_dim": "likelihood",
    "elbo": "likelihood",
    "evaluate": "recipes",
    "explicit_score_matching": "objectives",
    "fit": "training",
    "grid": "solvers",
    "implicit_score_matching": "objectives",
    "integrate": "solvers",
    "langevin": "solvers",
    "load": "models",
    "log_prob": "likelihood",
    "register": "core.registry",
    "sliced_score_matching": "objectives",
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
    "DEIS",
    "DPMSolverPP",
    "Diffusion",
    "DormandPrince",
    "EDM",
    "Elbo",
    "Empirical",
    "Euler",
    "EulerMaruyama",
    "ExplicitScoreMatching",
    "FixedLarge",
    "GaussianProcess",
    "Guided",
    "Heun",
    "Hybrid",
    "ImplicitScoreMatching",
    "InputError",
    "ItoSDE",
    "Langevin",
    "LangevinPaper",
    "LearnedRange",
    "LikelihoodImportance",
    "LogNormal",
    "MLP",
    "Mixture",
    "Moments",
    "NetworkDenoiser",
    "Noise",
    "Normal",
    "PathScoreMatching",
    "RK4",
    "Rectified",
    "Regression",
    "ReverseDiffusion",
    "SDE",
    "SMLDChain",
    "Sampling",
    "ScoreDiffusion",
    "ScoreFunction",
    "SlicedScoreMatching",
    "SubVP",
    "Training",
    "UNet",
    "UniPC",
    "Uniform",
    "UnnoiseError",
    "VE",
    "VP",
    "annealed_langevin",
    "bits_per_dim",
    "data",
    "elbo",
    "evaluate",
    "explicit_score_matching",
    "fit",
    "grid",
    "implicit_score_matching",
    "integrate",
    "langevin",
    "load",
    "log_prob",
    "register",
    "sliced_score_matching",
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
