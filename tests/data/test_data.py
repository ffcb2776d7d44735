"""The laws of data sets over the registry, the digits against scikit-learn's, the toys' shapes."""

import math
from dataclasses import replace

import pytest
import torch

from tests.kinds import breaks, make
from unnoise.catalogue.registry import names
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.data import (
    Batch,
    TensorDataset,
    checkerboard,
    digits,
    eight_gaussians,
    info_fields,
    info_from,
    moons,
    swiss_roll,
    valleys,
)
from unnoise.testing import DatasetContract

TOYS = {
    "moons": moons,
    "eight-gaussians": eight_gaussians,
    "swiss-roll": swiss_roll,
    "checkerboard": checkerboard,
    "valleys": valleys,
}


class TestRegistered(DatasetContract):
    @pytest.fixture(autouse=True, params=names("dataset"))
    def kind(self, request: pytest.FixtureRequest) -> None:
        self.name = request.param

    def make(self):
        return make("dataset", self.name)


def levels(count: int, **more) -> TensorDataset:
    """Random stored values of so many levels, all of them present."""
    u = Noise(0, range(600)).uniform(torch.empty(600, 2, 3))
    stored = (u * count).long()
    stored[0, 0], stored[0, 1] = 0, count - 1
    return TensorDataset("levels", stored, levels=count, **more)


class TestLevels(DatasetContract):
    @pytest.fixture(
        autouse=True,
        params=[(2, -1.0, 1.0), (10, 0.0, 1.0), (17, -1.0, 1.0), (256, -1.0, 1.0), (256, 0.0, 1.0)],
        ids=str,
    )
    def case(self, request: pytest.FixtureRequest) -> None:
        self.case = request.param

    def make(self):
        count, low, high = self.case
        return levels(count, low=low, high=high)


# -------------------------------------------------------------------------------------- digits


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    parts = train_test_split(x, y, test_size=597, stratify=y, random_state=0)
    for split, images, labels in (("train", *parts[::2]), ("test", *parts[1::2]), ("all", x, y)):
        ours = digits(split)
        # As sets of (image, label): the order inside a split is ours.
        rows = torch.cat([ours.stored.flatten(1).long(), ours.labels[:, None]], 1).tolist()
        theirs = torch.cat([torch.tensor(images), torch.tensor(labels)[:, None]], 1).long().tolist()
        assert sorted(rows) == sorted(theirs)
    assert torch.equal(digits("all").stored.flatten(1).long(), torch.tensor(x).long())


def test_digits_are_described():
    info = digits().info
    assert (info.shape, info.classes, info.levels, info.count) == ((1, 8, 8), 10, 17, 1200)
    assert "CC BY 4.0" in info.licence
    assert torch.allclose(info.to_model(torch.tensor([0, 16]), 0.0), torch.tensor([-1, 15 / 17]))
    with pytest.raises(InputError, match="split"):
        digits("validation")


def test_dequantized_values_fill_their_level():
    """Chi square of 76,800 positions within the level in 20 cells (19 d.o.f.): p(> 70) = 1e-7."""
    data = digits()
    x = data.batch(torch.arange(1200), Noise(0, range(1200))).x
    level = (x - data.info.offset) / data.info.scale
    cells = ((level - level.floor()) * 20).long().clamp(0, 19).flatten().bincount(minlength=20)
    assert float(((cells - 3840) ** 2 / 3840).sum()) < 70
    plain = digits(dequantize=False)
    index = torch.arange(5)
    assert torch.equal(plain.batch(index, Noise(0, range(5))).x, plain.batch(index).x)


def test_bytes_span_the_scale():
    info = digits().info
    shown = info.to_bytes(info.to_model(torch.arange(17)))
    assert shown.tolist()[0] == 0 and shown.tolist()[-1] == 255 and (shown.int().diff() > 0).all()
    full = levels(256).info
    every = torch.arange(256)
    assert torch.equal(full.to_bytes(full.to_model(every)).long(), every)
    assert info.to_bytes(torch.tensor([-9.0, 9.0])).tolist() == [0, 255]
    with pytest.raises(InputError, match="no levels"):
        moons(10).info.to_bytes(torch.zeros(2))


# ---------------------------------------------------------------------------------------- toys


@pytest.mark.parametrize("name", sorted(TOYS))
def test_splits_and_seeds_share_nothing(name: str):
    sets = [TOYS[name](400), TOYS[name](400, split="test"), TOYS[name](400, seed=1)]
    x = [s[:].x for s in sets]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert not torch.isin(x[a], x[b]).any()
        # Correlation of unrelated points: s.e. 1/20; 5.5 s.e. is p = 4e-8.
        pair = torch.stack([x[a][:, 0], x[b][:, 0]])
        assert abs(float(torch.corrcoef(pair)[0, 1])) < 5.5 / 20
    assert torch.equal(TOYS[name](100)[:].x, x[0][:100])  # more points do not move the first


def test_moons_are_half_circles():
    data = moons(4000, spread=0.0)[:]
    centre = torch.tensor([[-0.5, -0.25], [0.5, 0.25]])[data.label]
    assert float(((data.x - centre).norm(dim=1) - 1).abs().max()) < 1e-5
    side = torch.where(data.label == 0, 1, -1)
    assert ((data.x - centre)[:, 1] * side >= -1e-5).all()


def test_gaussians_stand_on_the_circle():
    data = eight_gaussians(8000)[:]
    for k in range(8):
        cloud = data.x[data.label == k]
        centre = torch.tensor([math.cos(k * math.pi / 4), math.sin(k * math.pi / 4)])
        assert float((cloud.mean(0) - centre).abs().max()) < 6 * 0.1 / len(cloud) ** 0.5
        assert (
            abs(float((cloud - centre).square().mean().sqrt()) / 0.1 - 1)
            < 6 / (4 * len(cloud)) ** 0.5
        )


def test_roll_is_a_spiral():
    x = swiss_roll(2000, spread=0.0)[:].x.double()
    radius = x.norm(dim=1)
    turns = radius * 4.5 * math.pi - torch.atan2(x[:, 1], x[:, 0])
    assert float((turns / (2 * math.pi) - (turns / (2 * math.pi)).round()).abs().max()) < 1e-4
    assert float(radius.min()) >= 1 / 3 - 1e-6 and float(radius.max()) <= 1 + 1e-6


def test_board_is_checked():
    """8 dark squares of equal mass (chi square of 7 d.o.f.: p(> 50) = 1e-8), none light."""
    x = checkerboard(8000)[:].x
    assert float(x.abs().max()) <= 1
    cell = ((x + 1) * 2).long().clamp(0, 3)
    assert (cell.sum(1) % 2 == 0).all()
    counts = (4 * cell[:, 0] + cell[:, 1]).bincount(minlength=16)
    assert (
        float(((counts[counts > 0] - 1000) ** 2 / 1000).sum()) < 50 and int((counts > 0).sum()) == 8
    )


# ------------------------------------------------------------------------- what is not accepted


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"stored": torch.zeros(0, 2)}, "empty"),
        ({"stored": torch.tensor([[0.0], [math.nan]])}, "NaN"),
        ({"stored": torch.tensor([[0], [17]]), "levels": 17}, "accepted are 0 to 16"),
        ({"stored": torch.tensor([[-1], [3]]), "levels": 17}, "accepted are 0 to 16"),
        ({"stored": torch.zeros(2, 1), "labels": torch.tensor([0])}, "one label"),
        ({"stored": torch.zeros(2, 1), "labels": torch.tensor([0, -1])}, "one label"),
    ],
)
def test_refuses(arguments: dict, words: str):
    with pytest.raises(InputError, match=words):
        TensorDataset("bad", **arguments)


def test_incomplete_description_is_refused():
    values, tensors = info_fields(digits().info)
    for bad in ({"shape": (2, 2)}, {"variance": math.nan}, {"colour": "red"}):
        with pytest.raises(InputError, match="description"):
            info_from({**values, **bad}, tensors)
    with pytest.raises(InputError, match="description"):
        info_from({k: v for k, v in values.items() if k != "shape"}, tensors)


# ------------------------------------------------------------------------------------ canaries


class Broken:
    """Digits with one promise broken."""

    def __init__(self, how: str) -> None:
        self.inner, self.how = digits(), how
        self.info = self.inner.info
        if how == "moments":
            object.__setattr__(self.info, "variance", self.info.variance - self.info.scale**2 / 12)
        self.asked, self.law = 0, None
        if how == "law":
            self.inner = moons(4000)
            assert self.inner.law is not None
            self.law = replace(self.inner.law, spread=0.08)

    def __len__(self) -> int:
        return len(self.inner)

    def __getitem__(self, rows):
        return self.inner[rows]

    def batch(self, index, noise=None) -> Batch:
        self.asked += 1
        if self.how == "shuffles":
            index = index.sort().values
        batch = self.inner.batch(index, noise)
        if self.how == "stateful" and noise is not None:
            return Batch(batch.x + 1e-3 * self.asked, batch.cond)
        return Batch(batch.x + 0.2, batch.cond) if self.how == "leaves" and noise else batch


@pytest.mark.parametrize(
    ("law", "how"),
    [
        ("test_batches_are_rows", "shuffles"),
        ("test_noise_is_an_argument", "stateful"),
        ("test_noise_stays_within_a_level", "leaves"),
        ("test_moments", "moments"),
        ("test_law_is_the_datas", "law"),
    ],
)
def test_canary_dataset(law: str, how: str):
    breaks(DatasetContract, law, lambda: Broken(how))
