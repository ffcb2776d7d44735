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
from unnoise.evaluation.judge import Judge, cached_judge
from unnoise.evaluation.likelihood_figures import HeldOutLikelihood
from unnoise.evaluation.metric import FeatureMetric, Metric, features
from unnoise.evaluation.neighbours import (
    ImprovedPrecisionRecall,
    Memorisation,
    PrecisionRecall,
    memorisation_ratio,
    precision_recall,
)
from unnoise.evaluation.report import Evaluation
from unnoise.evaluation.wasserstein import Frechet, frechet_distance, sliced_wasserstein

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
    "cached_judge",
    "features",
    "frechet_distance",
    "kernel_gaussianity",
    "loss_by_level",
    "memorisation_ratio",
    "precision_recall",
    "prior_mismatch",
    "round_trip",
    "score_error",
    "sliced_wasserstein",
]
