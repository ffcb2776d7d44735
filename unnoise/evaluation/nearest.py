"""Memorisation (overfitting) of training examples, by nearest-neighbour distances."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from unnoise.catalogue.registry import register
from unnoise.core.errors import InputError
from unnoise.evaluation.distances import nearest, pair
from unnoise.evaluation.featured import Featured, FeatureMetric


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
