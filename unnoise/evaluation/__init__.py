"""Evaluation metrics: class accuracy, Frechet distance, precision and recall, likelihood ..."""

from unnoise.evaluation.accuracy import Accuracy
from unnoise.evaluation.diagnostics import (
    Levels,
    kernel_gaussianity,
    loss_by_level,
    prior_mismatch,
    round_trip,
    score_error,
)
from unnoise.evaluation.featured import FeatureMetric, features
from unnoise.evaluation.frechet import Frechet, frechet_distance
from unnoise.evaluation.judge import Judge, cached_judge
from unnoise.evaluation.likelihood_figures import HeldOutLikelihood
from unnoise.evaluation.metric import Metric
from unnoise.evaluation.nearest import Memorisation, memorisation_ratio
from unnoise.evaluation.precision_recall import (
    ImprovedPrecisionRecall,
    PrecisionRecall,
    precision_recall,
)
from unnoise.evaluation.report import Scores, score
from unnoise.evaluation.settings import Evaluation
from unnoise.evaluation.two_sample import sliced_wasserstein

__all__ = [
    "Accuracy",
    "Evaluation",
    "FeatureMetric",
    "Frechet",
    "HeldOutLikelihood",
    "ImprovedPrecisionRecall",
    "Judge",
    "Levels",
    "Memorisation",
    "Metric",
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
