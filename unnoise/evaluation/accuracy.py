"""Class accuracy of samples: whether they show what was asked for."""

from dataclasses import dataclass
from typing import ClassVar, final

from unnoise.catalogue.registry import register
from unnoise.evaluation.metric import Featured, FeatureMetric


@register("metric", "accuracy")
@final
@dataclass(frozen=True)
class Accuracy(FeatureMetric):
    """Class accuracy: share of samples in which a judge sees the class that was asked for.

    The judge is trained on the held-out examples, never on what the model has seen.
    """

    better: ClassVar = "high"

    def figures(self, drawn: Featured, train: Featured, held_out: Featured) -> dict[str, float]:
        asked = drawn.labels
        judge = None if asked is None else held_out.judge
        if asked is None or judge is None:
            return {}
        right = judge.predict(drawn.features) == asked.cpu()
        return {"accuracy": float(right.double().mean())}
