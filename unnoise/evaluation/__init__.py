"""Evaluation metrics: Frechet distance, precision and recall, memorisation, loss by level."""

from unnoise.evaluation.diagnostics import (
    Levels,
    kernel_gaussianity,
    loss_by_level,
    prior_mismatch,
    round_trip,
    score_error,
)
from unnoise.evaluation.frechet import frechet_distance
from unnoise.evaluation.judge import Judge, cached_judge
from unnoise.evaluation.nearest import memorisation_ratio
from unnoise.evaluation.precision_recall import PrecisionRecall, precision_recall
from unnoise.evaluation.report import Scores, features, score
from unnoise.evaluation.two_sample import sliced_wasserstein

__all__ = [
    "Judge",
    "Levels",
    "PrecisionRecall",
    "Scores",
    "cached_judge",
    "features",
    "frechet_distance",
    "kernel_gaussianity",
    "loss_by_level",
    "memorisation_ratio",
    "precision_recall",
    "prior_mismatch",
    "round_trip",
    "score",
    "score_error",
    "sliced_wasserstein",
]
