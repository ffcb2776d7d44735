"""What a denoiser is taught."""

from unnoise.objectives.base import Loss, Objective
from unnoise.objectives.bound import Elbo, Hybrid
from unnoise.objectives.matching import (
    ExplicitScoreMatching,
    ImplicitScoreMatching,
    ReducedSlicedScoreMatching,
    SlicedScoreMatching,
    explicit_score_matching,
    implicit_score_matching,
    reduced_sliced_score_matching,
    sliced_score_matching,
)
from unnoise.objectives.paths import PathScoreMatching
from unnoise.objectives.regression import Regression
from unnoise.objectives.times import LikelihoodImportance, LogNormal, Times, Uniform
from unnoise.objectives.weights import Weight

__all__ = [
    "Elbo",
    "ExplicitScoreMatching",
    "Hybrid",
    "ImplicitScoreMatching",
    "LikelihoodImportance",
    "LogNormal",
    "Loss",
    "Objective",
    "PathScoreMatching",
    "ReducedSlicedScoreMatching",
    "Regression",
    "SlicedScoreMatching",
    "Times",
    "Uniform",
    "Weight",
    "explicit_score_matching",
    "implicit_score_matching",
    "reduced_sliced_score_matching",
    "sliced_score_matching",
]
