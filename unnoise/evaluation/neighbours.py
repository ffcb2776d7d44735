"""Metrics by nearest neighbours: memorisation (overfitting), improved precision and recall."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, final

import torch
from torch import Tensor

from unnoise.catalogue.ranges import Several
from unnoise.catalogue.registry import register
from unnoise.core.errors import InputError
from unnoise.evaluation.distances import nearest, neighbour, pair, squared_distances
from unnoise.evaluation.metric import Featured, FeatureMetric


@register("metric", "memorisation")
@final
@dataclass(frozen=True)
class Memorisation(FeatureMetric):
    """Memorisation ratio of samples, 1 for fresh real data; see ``memorisation_ratio``."""

    def figures(self, drawn: Featured, train: Featured, held_out: Featured) -> dict[str, float]:
        three = (drawn.features, train.features, held_out.features)
        return {"memorisation": memorisation_ratio(*three)}


def memorisation_ratio(generated: Tensor, train: Tensor, held_out: Tensor) -> float:
    """Memorisation ratio: distance of samples to the training set over that of held-out data.

    ``mean_i min_j |g_i - t_j| / mean_i min_j |h_i - t_j|``. 1 is what fresh real data gives, much
    less is memorising, more is samples off the data.

    Arguments:
        generated: features of samples, shape (N, D).
        train: features of the training examples, shape (M, D).
        held_out: features of real examples that were not trained on, shape (K, D).

    Returns:
        The ratio, >= 0.

    Raises:
        InputError: widths that differ, NaN, or held-out examples that are all training examples.
    """
    generated, train = pair(generated, train, ("generated", "training"))
    held_out, train = pair(held_out, train, ("held-out", "training"))
    usual = float(nearest(held_out, train).mean())
    # Rounding of |a|^2 + |b|^2 - 2ab leaves copies at about 1e-8 of the data's size.
    if usual <= 1e-6 * float((train - train.mean(0)).square().sum(1).max().sqrt()):
        raise InputError(
            "the held-out examples are all among the training ones; give examples that were not "
            "trained on."
        )
    return float(nearest(generated, train).mean()) / usual


@register("metric", "precision-recall")
@final
@dataclass(frozen=True)
class ImprovedPrecisionRecall(FeatureMetric):
    """Improved precision and recall of samples and held-out data; see ``precision_recall``.

    Arguments:
        k: which neighbour a ball reaches to.
    """

    better: ClassVar = "high"
    k: Several = 3

    def figures(self, drawn: Featured, train: Featured, held_out: Featured) -> dict[str, float]:
        return precision_recall(held_out.features, drawn.features, self.k)._asdict()


class PrecisionRecall(NamedTuple):
    """Precision and recall, each in [0, 1].

    Arguments:
        precision: of generated examples that lie among real ones.
        recall: of real examples that lie among generated ones.
    """

    precision: float
    recall: float


def precision_recall(real: Tensor, generated: Tensor, k: int = 3) -> PrecisionRecall:
    """Improved precision and recall: shares of one set inside the k-NN balls of the other.

    A ball around each example reaches to its k-th nearest *other* example of the same set; an
    example of the other set is inside if it lies in any ball, its border included.

    The convention of this project: ``real`` is the held-out set (597 digits), ``generated`` the
    samples (1,000). The scale for reading the figures is real data in the place of samples: the
    1,200 training digits against the 597 held-out give precision .936, recall .889; 1,000 of them
    .936, .894 (standard deviations over the choice .003), which is "real .94 / .90".

    Arguments:
        real: features, shape (N, D), N > k.
        generated: features, shape (M, D), M > k. Recall grows with M: compare equal counts.
        k: which neighbour a ball reaches to, >= 1.

    Returns:
        PrecisionRecall(precision, recall).

    Raises:
        InputError: k < 1, too few examples for k, widths that differ, NaN.

    References:
        Kynkaanniemi et al., Improved precision and recall metric for assessing generative models,
        NeurIPS 2019, eq. 1-2.
    """
    if k < 1:
        raise InputError(f"k = {k}; accepted are whole numbers from 1 (3 is usual).")
    real, generated = pair(real, generated, ("real", "generated"), least=k + 1)
    around_real, around_generated = neighbour(real, k), neighbour(generated, k)
    inside = torch.zeros(len(generated), dtype=torch.bool)
    reached: list[Tensor] = []
    done = 0
    for d in squared_distances(real, generated):
        inside |= (d <= around_real[done : done + len(d), None]).any(0)
        reached.append((d <= around_generated).any(1))
        done += len(d)
    return PrecisionRecall(float(inside.double().mean()), float(torch.cat(reached).double().mean()))
