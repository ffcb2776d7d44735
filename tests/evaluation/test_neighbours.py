"""Precision, recall and memorisation against brute force."""

import pytest
import torch
from torch import Tensor

from unnoise.core.errors import InputError
from unnoise.core.noise import Noise, permutation
from unnoise.data import digits
from unnoise.evaluation import distances, features, memorisation_ratio, precision_recall


def draw(seed: int, n: int, d: int = 3) -> Tensor:
    return Noise(seed, range(n)).normal(torch.empty(n, d, dtype=torch.float64))


def apart(a: Tensor, b: Tensor) -> Tensor:
    return (a[:, None] - b).square().sum(2)


def brute(real: Tensor, generated: Tensor, k: int, skip_self: bool = True) -> tuple[float, float]:
    def covered(centres: Tensor, others: Tensor) -> float:
        radius = apart(centres, centres).sort(1).values[:, k if skip_self else k - 1]
        return float((apart(others, centres) <= radius).any(1).double().mean())

    return covered(real, generated), covered(generated, real)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_brute_force(k: int):
    real, generated = draw(0, 60), 0.9 * draw(1, 45) + 0.8
    found = precision_recall(real, generated, k)
    assert found == brute(real, generated, k)
    assert 0 < found.recall != found.precision < 1
    # Canaries: real and generated swapped, and an example counted as its own neighbour.
    assert found != brute(generated, real, k)
    assert found != brute(real, generated, k, skip_self=False)


def test_borders_are_inside():
    # On a grid of eighths nearly every distance is a border; 5.0 and 0.1 round, 1/8 does not.
    real = (4 * draw(0, 120, 2)).round()
    generated = (4 * draw(1, 100, 2)).round()
    wanted = brute(real, generated, 3)
    for scale in (1 / 8, 0.1, 5.0):
        found = precision_recall(scale * real + 0.3, scale * generated + 0.3)
        assert found == pytest.approx(wanted, abs=1e-12)
    x = draw(0, 1).repeat(9, 1)  # balls of radius 0
    assert precision_recall(x, x + 0.0) == (1, 1)
    assert precision_recall(x, x + 1e-3) == (0, 0)


def test_far_outlier_changes_nothing_else():
    real, generated = draw(0, 50), 0.5 * draw(1, 50) + 1
    before = precision_recall(real, generated)
    after = precision_recall(real, torch.cat([generated, torch.full((1, 3), 1e6).double()]))
    assert after.precision * 51 == pytest.approx(before.precision * 50)


def test_pieces(monkeypatch: pytest.MonkeyPatch):
    real, generated, held_out = draw(0, 60), draw(1, 45), draw(2, 20)
    whole = precision_recall(real, generated), memorisation_ratio(generated, real, held_out)
    monkeypatch.setattr(distances, "_ENTRIES", 200)  # three or four rows at a time
    assert len(list(distances.squared_distances(real, generated))) == 15
    parts = precision_recall(real, generated), memorisation_ratio(generated, real, held_out)
    assert parts[0] == whole[0]
    assert parts[1] == pytest.approx(whole[1], abs=1e-12)


def test_order_is_nothing():
    real, generated, held_out = draw(0, 60), 0.7 * draw(1, 45), draw(2, 20)
    mixed = [x[permutation(Noise(9, [0]), len(x))] for x in (real, generated, held_out)]
    assert precision_recall(*mixed[:2]) == precision_recall(real, generated)
    same = memorisation_ratio(generated, real, held_out)
    assert memorisation_ratio(mixed[1], mixed[0], mixed[2]) == pytest.approx(same, abs=1e-12)


def test_memorisation():
    train, held_out, generated = draw(0, 80), draw(1, 40), 1.5 * draw(2, 50)

    def reach(x: Tensor) -> float:
        return float(apart(x, train).amin(1).sqrt().mean())

    found = memorisation_ratio(generated, train, held_out)
    assert found == pytest.approx(reach(generated) / reach(held_out), abs=1e-12)
    assert memorisation_ratio(held_out, train, held_out) == 1
    assert memorisation_ratio(train[:30], train, held_out) < 1e-6
    # Canary: a ratio of mean squares is another number.
    squares = apart(generated, train).amin(1).mean() / apart(held_out, train).amin(1).mean()
    assert abs(found - float(squares)) > 0.05


def test_scale_of_digits():
    train, test = digits("train"), digits("test")
    a, b = features(train.info, train[:].x), features(train.info, test[:].x)
    assert precision_recall(b, a) == pytest.approx((1123 / 1200, 531 / 597), abs=1e-12)
    some = [a[permutation(Noise(s, [0]), 1200)[:1000]] for s in range(10)]
    mean = torch.tensor([precision_recall(b, x) for x in some]).mean(0)
    assert mean.tolist() == pytest.approx([0.94, 0.895], abs=0.006)


def test_refused():
    x = draw(0, 10)
    with pytest.raises(InputError, match="k = 0"):
        precision_recall(x, x, 0)
    with pytest.raises(InputError, match="N >= 5"):
        precision_recall(x, x[:4], 4)
    with pytest.raises(InputError, match="generated features hold NaN"):
        precision_recall(x, x * torch.nan)
    with pytest.raises(InputError, match="were not trained"):
        memorisation_ratio(x, x, x[:3])
