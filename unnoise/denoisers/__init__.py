"""Floor 2: what is believed about the clean data."""

from unnoise.denoisers.base import Denoiser, GaussianDenoiser, ScoreModel, SDEScore
from unnoise.denoisers.exact import Empirical, Mixture
from unnoise.denoisers.guided import ClassifierFree, Guided
from unnoise.denoisers.heads import Flow, Head
from unnoise.denoisers.network import NetworkDenoiser
from unnoise.denoisers.scores import NetworkScore, ScoreFunction
from unnoise.denoisers.variance import FixedLarge, LearnedRange, Point, Variance

__all__ = [
    "ClassifierFree",
    "Denoiser",
    "Empirical",
    "FixedLarge",
    "Flow",
    "GaussianDenoiser",
    "Guided",
    "Head",
    "LearnedRange",
    "Mixture",
    "NetworkDenoiser",
    "NetworkScore",
    "Point",
    "SDEScore",
    "ScoreFunction",
    "ScoreModel",
    "Variance",
]
