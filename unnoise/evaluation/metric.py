"""Base classes of evaluation metrics, and the data sets that they look at, with their features."""

from abc import ABC, abstractmethod
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal, final

import torch
from torch import Tensor

from unnoise.core.condition import Given
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.data import Batch, DataInfo, Dataset
from unnoise.evaluation.distances import matrix
from unnoise.evaluation.judge import Judge, cached_judge
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


def features(info: DataInfo, x: Tensor) -> Tensor:
    """Features for the metrics: an example's own values (pixels), in one row.

    Discrete data: the stored level k of each value, as ``2 k / (levels - 1) - 1`` in [-1, 1] (k / 8
    - 1 for the digits' 17 levels). Continuous data: the modelled values.

    Arguments:
        info: of the data that the model was trained on.
        x: modelled values, shape (N, *info.shape).

    Returns:
        Shape (N, D), float64, on the CPU; D is the product of info.shape.

    Raises:
        InputError: another shape, NaN or infinite values.
    """
    if tuple(x.shape[1:]) != info.shape:
        raise InputError(
            f"examples of shape {tuple(x.shape[1:])} are not like data {info.name!r}, which has "
            f"{info.shape}."
        )
    rows = matrix(x.flatten(1), "generated")
    if info.levels is None:
        return rows
    # Of x as it came: rounded in another type, a value on a border would change its level.
    return info.to_stored(x).flatten(1).cpu().double() * (2 / max(1, info.levels - 1)) - 1


@final
class Samples(Dataset):
    """Samples as a data set, in memory.

    Arguments:
        info: of the data that the model was trained on.
        x: modelled values, shape (N, *info.shape).
        cond: what was asked for, one row a sample.
    """

    def __init__(self, info: DataInfo, x: Tensor, cond: Given = None) -> None:
        self.info = replace(info, name="samples", count=len(x), class_counts=None, sha256="")
        self._x, self._cond = x, cond

    def __len__(self) -> int:
        return len(self._x)

    def batch(self, index: Tensor, noise: Noise | None = None) -> Batch:
        return Batch(self._x[index], None if self._cond is None else self._cond[index])


@final
class Featured(Dataset):
    """A data set whose features, labels and judge are computed when first asked for, and kept.

    Arguments:
        data: any data set.
        info: of the data that the model was trained on; says what the features are.
        most: examples to take features of, spread evenly: a data set may be sorted by class.
        cache: folder to keep the trained judge in.
    """

    def __init__(
        self, data: Dataset, info: DataInfo, most: int = 10_000, cache: Path | None = None
    ) -> None:
        self.info, self.law, self._data = data.info, data.law, data
        self._like, self._most, self._cache = info, most, cache

    def __len__(self) -> int:
        return len(self._data)

    def batch(self, index: Tensor, noise: Noise | None = None) -> Batch:
        return self._data.batch(index, noise)

    @cached_property
    def _seen(self) -> tuple[Tensor, Tensor | None]:
        count = min(len(self), self._most)
        batch = self.batch(torch.arange(count) * len(self) // count)
        return features(self._like, batch.x), batch.label

    @property
    def features(self) -> Tensor:
        """Features of the examples that are looked at, shape (N, D), float64."""
        return self._seen[0]

    @property
    def labels(self) -> Tensor | None:
        """Their classes, shape (N,); None without."""
        return self._seen[1]

    @cached_property
    def judge(self) -> Judge | None:
        """The classifier that was trained on them; None without classes."""
        if self.labels is None:
            return None
        if self._cache is None:
            return Judge.train(self.features, self.labels)
        path = self._cache / "judge.safetensors"
        return cached_judge(path, self.features, self.labels, self.info.sha256)


class FeatureMetric(Metric):
    """Base class of metrics that look at features of samples, training and held-out data."""

    @abstractmethod
    def figures(self, drawn: Featured, train: Featured, held_out: Featured) -> dict[str, float]:
        """Compute the figures from ``features`` and ``labels`` of the three."""

    @final
    def __call__(
        self, drawn: Dataset, train: Dataset, held_out: Dataset, model: Model, noise: Noise
    ) -> dict[str, float]:
        def featured(data: Dataset) -> Featured:
            return data if isinstance(data, Featured) else Featured(data, train.info)

        return self.figures(featured(drawn), featured(train), featured(held_out))
