"""Floor 5: numbers. Pure functions of features; they know no model."""

from unnoise.evaluation.frechet import frechet_distance
from unnoise.evaluation.judge import Judge, cached_judge
from unnoise.evaluation.nearest import memorisation_ratio
from unnoise.evaluation.precision_recall import PrecisionRecall, precision_recall
from unnoise.evaluation.report import Scores, features, score
from unnoise.evaluation.two_sample import sliced_wasserstein

__all__ = [
    "Judge",
    "PrecisionRecall",
    "Scores",
    "cached_judge",
    "features",
    "frechet_distance",
    "memorisation_ratio",
    "precision_recall",
    "score",
    "sliced_wasserstein",
]
