"""Contract tests of a data set."""

import math
from abc import ABC
from collections.abc import Callable
from dataclasses import fields

import torch
from torch import Tensor

from unnoise.core.noise import Noise
from unnoise.data import Dataset, info_fields, info_from
from unnoise.testing.compare import draw


class DatasetContract(ABC):
    """Contract tests for every data set that fits into memory.

    Attributes:
        make: returns the data set under test.
    """

    make: Callable[[], Dataset]

    def test_batches_are_rows(self) -> None:
        """A batch holds examples by index, in any order, always the same."""
        data = self.make()
        index = torch.tensor([3, 0, 3, len(data) - 1])
        batch = data.batch(index)
        assert batch.x.shape == (4, *data.info.shape) and batch.x.dtype == torch.float32
        for row, number in enumerate(index.tolist()):
            alone = data[number]
            assert torch.equal(batch.x[row], alone[0])
            if batch.label is not None:
                assert batch.label[row] == alone[1]
        assert torch.equal(data[:4].x[3], batch.x[0]) and torch.equal(data[-1][0], batch.x[3])

    def test_every_order_is_a_permutation(self) -> None:
        """Each example once an epoch, each epoch in another order, and the same one again."""
        data = self.make()
        orders = [data.order(Noise(0, [0]).child(epoch)) for epoch in range(3)]
        for order in orders:
            assert torch.equal(order.sort().values, torch.arange(len(data)))
        assert torch.equal(orders[0], data.order(Noise(0, [0]).child(0)))
        assert len({tuple(order.tolist()) for order in orders}) == 3

    def test_noise_is_an_argument(self) -> None:
        """The same streams give the same batch, whichever rows stand beside."""
        data, noise = self.make(), Noise(1, range(6))
        index = torch.arange(6)
        whole = data.batch(index, noise).x
        assert torch.equal(whole, data.batch(index, noise).x)
        assert torch.equal(whole[2:5], data.batch(index[2:5], noise[2:5]).x)

    def test_noise_stays_within_a_level(self) -> None:
        data = self.make()
        index = torch.arange(len(data))
        plain = data.batch(index).x
        noisy = data.batch(index, Noise(1, range(len(data)))).x
        if data.info.levels is None:
            assert torch.equal(plain, noisy)
            return
        # (Rounded to float32, one value in some 10^5 touches the level above.)
        assert float((plain - noisy).abs().max()) <= data.info.level_width / 2 + 1e-6

    def test_levels_come_back(self) -> None:
        """Stored values survive the way to the model and back, wherever in its level they lie."""
        info = self.make().info
        if info.levels is None:
            return
        stored = torch.arange(info.levels).reshape(-1, *[1] * len(info.shape))
        for u in (0.0, 0.5, 0.999):
            assert torch.equal(info.to_stored(info.to_model(stored, u)), stored)

    def test_moments(self) -> None:
        """Mean, variance and covariance in DataInfo are the data's own, dequantisation included."""
        data = self.make()
        info, count = data.info, len(data)
        flat = data.batch(torch.arange(count)).x.double().flatten(1)
        within = info.level_width**2 / 12
        assert info.count == count
        torch.testing.assert_close(flat.mean(0).reshape(info.shape), info.mean.double())
        wanted = float(flat.var(0, correction=0).mean()) + within
        assert abs(info.variance - wanted) < 1e-6 * wanted
        if info.covariance is not None:
            covariance = torch.cov(flat.T, correction=0) + within * torch.eye(flat.shape[1])
            torch.testing.assert_close(info.covariance.double(), covariance, rtol=1e-5, atol=1e-7)
            assert (torch.linalg.eigvalsh(info.covariance.double()) > -1e-6).all()

    def test_law_is_the_datas(self) -> None:
        """Kolmogorov-Smirnov along three directions, class by class: sqrt(n) D < 2.5, p < 1e-5.

        And the log-density, whose mean is that of the law's own draws: 5 s.e., p = 6e-7.
        """
        data = self.make()
        if data.law is None:
            return
        law, batch = data.law, data.batch(torch.arange(len(data)))
        classes = [None] if law.labels is None else law.labels.unique().tolist()
        for label in classes:
            cloud = slice(None) if label is None else law.labels == label
            rows = slice(None) if label is None else batch.label == label
            x, weights = batch.x[rows].double().flatten(1), law.weights[cloud]
            for angle in (0.0, 0.8, 1.6):
                way = torch.tensor([math.cos(angle), math.sin(angle)]).double()
                place = (x @ way).sort().values
                away = (place[:, None] - (law.means[cloud] @ way)) / law.spread
                share = torch.special.ndtr(away) @ weights / weights.sum()
                gap = (share - (torch.arange(len(place)) + 0.5) / len(place)).abs().max()
                assert float(gap) * len(place) ** 0.5 < 2.5
            u = Noise(1, range(len(x))).uniform(torch.empty(len(x)).double())
            chosen = torch.searchsorted(weights.cumsum(0) / weights.sum(), u)
            means = law.means[cloud]
            drawn = means[chosen.clamp(max=len(means) - 1)] + law.spread * draw(len(x), 2)
            here, there = (_log_density(v, means, weights, law.spread) for v in (x, drawn))
            error = ((here.var() + there.var()) / len(x)).sqrt()
            assert float((here.mean() - there.mean()).abs() / error) < 5

    def test_labels_are_classes(self) -> None:
        data = self.make()
        labels = data.batch(torch.arange(len(data))).label
        if labels is None:
            assert data.info.classes is None
        else:
            assert data.info.classes == len(labels.unique()) == int(labels.max()) + 1
            counts = data.info.class_counts  # None where an index lists examples and no classes
            assert counts is None or counts == tuple(torch.bincount(labels).tolist())

    def test_same_data_same_hash(self) -> None:
        first, second = self.make().info, self.make().info
        assert first.sha256 == second.sha256 and len(first.sha256) == 64
        assert first.licence and first.name

    def test_info_round_trip(self) -> None:
        info = self.make().info
        again = info_from(*info_fields(info))
        for name in (field.name for field in fields(info)):
            value, other = getattr(info, name), getattr(again, name)
            same = torch.equal(value, other) if isinstance(value, torch.Tensor) else value == other
            assert same, name


def _log_density(x: Tensor, means: Tensor, weights: Tensor, spread: float) -> Tensor:
    """Of a mixture of round clouds, up to a constant, shape (B,)."""
    return (weights.log() - torch.cdist(x, means) ** 2 / (2 * spread**2)).logsumexp(1)
