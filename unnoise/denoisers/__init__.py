"""What is believed about the clean data."""

from unnoise.denoisers.base import Denoiser, GaussianDenoiser, ScoreModel, SDEScore
from unnoise.denoisers.exact import Empirical, Mixture
from unnoise.denoisers.guidance import Constant, Guidance, Interval, Rescaled
from unnoise.denoisers.guided import Autoguided, ClassifierFree, Guided, LogProb
from unnoise.denoisers.heads import Flow, Head
from unnoise.denoisers.inverse import MMPS, Method, PiGDM, Posterior
from unnoise.denoisers.network import NetworkDenoiser
from unnoise.denoisers.scores import NetworkScore, ScoreFunction
from unnoise.denoisers.tilted import Tilt, Tilted
from unnoise.denoisers.variance import FixedLarge, LearnedRange, Point, Variance

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
    "Interval",
    "LearnedRange",
    "LogProb",
    "Method",
    "Mixture",
    "NetworkDenoiser",
    "NetworkScore",
    "PiGDM",
    "Point",
    "Posterior",
    "Rescaled",
    "SDEScore",
    "ScoreFunction",
    "ScoreModel",
    "Tilt",
    "Tilted",
    "Variance",
]
