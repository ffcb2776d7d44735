"""Base class of evaluation metrics."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from unnoise.core.noise import Noise
from unnoise.data import Dataset
from unnoise.models import Model


class Metric(ABC):
    """Base class of evaluation metrics: figures of a model and its samples, by name.

    Attributes:
        better: whether "low" or "high" figures are the good ones; None claims nothing.
        shared: whether several processes compute it together; else process 0 does, alone.
    """

    family: ClassVar[str] = "metric"
    better: ClassVar[Literal["low", "high"] | None] = None
    shared: ClassVar[bool] = False

    @abstractmethod
    def __call__(
        self, drawn: Dataset, train: Dataset, held_out: Dataset, model: Model, noise: Noise
    ) -> dict[str, float]:
        """Compute the figures. Data sets are read by slices, ``data[a:b]``, never as a whole.

        Arguments:
            drawn: samples; their condition has the labels that were asked for, if any were.
            train: what the model was trained on.
            held_out: data that it has not seen.
            model: the trained model.
            noise: streams, one for each sample.

        Returns:
            Figures by name, NaN where a value is unknown; none where this data has nothing to tell.
        """
