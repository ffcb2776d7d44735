"""Denoisers p(x_0 | x_t): exact, by networks, guided; parameterisations and score models."""

from unnoise.catalogue.renamed import old_names
from unnoise.denoisers.base import Denoiser, GaussianDenoiser, ScoreModel, SDEScore, Tilt, Tilted
from unnoise.denoisers.exact import Empirical, Mixture
from unnoise.denoisers.guidance import Constant, Guidance, GuidanceInterval, GuidanceRescale
from unnoise.denoisers.guided import Autoguided, ClassifierFree, Guided, LogProb
from unnoise.denoisers.heads import Flow, Head
from unnoise.denoisers.inverse import MMPS, Method, PiGDM, Posterior
from unnoise.denoisers.network import NetworkDenoiser
from unnoise.denoisers.scores import NetworkScore, ScoreFunction
from unnoise.denoisers.variance import FixedLarge, FixedSmall, LearnedRange, Variance

__all__ = [
    "MMPS",
    "Autoguided",
    "ClassifierFree",
    "Constant",
    "Denoiser",
    "Empirical",
    "FixedLarge",
    "Flow",
    "GaussianDenoiser",
    "Guidance",
    "Guided",
    "Head",
    "GuidanceInterval",
    "LearnedRange",
    "LogProb",
    "Method",
    "Mixture",
    "NetworkDenoiser",
    "NetworkScore",
    "PiGDM",
    "FixedSmall",
    "Posterior",
    "GuidanceRescale",
    "SDEScore",
    "ScoreFunction",
    "ScoreModel",
    "Tilt",
    "Tilted",
    "Variance",
]

__getattr__ = old_names(
    __name__, {"Interval": "GuidanceInterval", "Rescaled": "GuidanceRescale", "Point": "FixedSmall"}
)
