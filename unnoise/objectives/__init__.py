"""Training objectives: score matching, ELBO; loss weights and distributions of t."""

from unnoise.catalogue.renamed import old_names
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
from unnoise.objectives.times import LikelihoodImportance, LogNormal, Times, TimeUniform
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
    "TimeUniform",
    "Weight",
    "explicit_score_matching",
    "implicit_score_matching",
    "reduced_sliced_score_matching",
    "sliced_score_matching",
]

__getattr__ = old_names(__name__, {"Uniform": "TimeUniform"})
