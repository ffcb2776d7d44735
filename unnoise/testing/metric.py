"""Contract tests of an evaluation metric."""

import math
from abc import ABC
from collections.abc import Callable
from typing import final

import torch

from unnoise.core.condition import Condition
from unnoise.core.noise import Noise
from unnoise.data import Dataset, digits
from unnoise.evaluation import Metric
from unnoise.evaluation.metric import Samples
from unnoise.models import Diffusion
from unnoise.networks import MLP

_COUNT = 80


class MetricContract(ABC):
    """Contract tests for every evaluation metric, on digits and a model that was never trained.

    Attributes:
        make: returns the metric under test.
    """

    make: Callable[[], Metric]

    @final
    def figures(self, noisy: bool = False, labels: bool = True) -> dict[str, float]:
        """Figures where the samples are the held-out digits themselves, or noise."""
        train, held_out = (_some(digits(split), labels) for split in ("train", "test"))
        x, noise = held_out[:].x, Noise(0, range(_COUNT))
        drawn = Samples(held_out.info, noise.normal(x) if noisy else x, held_out[:].cond)
        model = Diffusion(MLP((1, 8, 8), width=16, depth=1, classes=10 if labels else None))
        return self.make()(drawn, train, held_out, model.eval(), noise.child("metric"))

    def test_figures_are_finite_and_have_names(self) -> None:
        """Of data without labels, too; what cannot be told of it is left out."""
        assert self.figures()
        for figures in (self.figures(), self.figures(labels=False)):
            assert all(isinstance(name, str) for name in figures)
            assert all(math.isfinite(value) for value in figures.values())

    def test_the_same_figures_again(self) -> None:
        assert self.figures() == self.figures()

    def test_no_global_random_numbers(self) -> None:
        before = torch.get_rng_state()
        self.figures()
        assert torch.equal(torch.get_rng_state(), before)

    def test_perfect_samples_are_no_worse_than_noise(self) -> None:
        better, perfect, noise = self.make().better, self.figures(), self.figures(noisy=True)
        sign = {"low": 1, "high": -1, None: 0}[better]
        assert all(sign * perfect[name] <= sign * noise[name] for name in perfect)


def _some(data: Dataset, labels: bool) -> Samples:
    """Digits from all over a data set."""
    batch = data.batch(torch.arange(_COUNT) * len(data) // _COUNT)
    return Samples(data.info, batch.x, Condition(batch.label) if labels else None)
