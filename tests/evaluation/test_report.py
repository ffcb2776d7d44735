"""What goes into the figures, and that each of them looks at what it should."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.data import TensorDataset, digits, moons
from unnoise.evaluation import (
    Judge,
    features,
    frechet_distance,
    memorisation_ratio,
    precision_recall,
    score,
)


def test_features_of_levels():
    data = digits("train")
    found = features(data.info, data[:].x)
    assert found.dtype == torch.float64
    assert torch.equal(found, data.stored.double().flatten(1) / 8 - 1)
    # Anywhere within a level is that level; beyond the ends is the end.
    low = data.info.to_model(data.stored[:50], 0.01)
    assert torch.equal(features(data.info, low), found[:50])
    ends = features(data.info, torch.tensor([-9.0, 9.0]).expand(32, 2).reshape(1, 1, 8, 8))
    assert ends.unique().tolist() == [-1, 1]
    # Canary: the modelled values themselves are not on the levels.
    assert not torch.equal(data[:].x.double().flatten(1), found)


def test_features_of_other_data():
    points = moons(20)
    assert torch.equal(features(points.info, points[:].x), points.stored.double())
    stored = torch.arange(24).reshape(2, 3, 2, 2) * 10
    bytes_ = TensorDataset("rgb", stored.to(torch.uint8), levels=256)
    wanted = stored.flatten(1).double() / 255 * 2 - 1
    assert torch.allclose(features(bytes_.info, bytes_[:].x), wanted, atol=1e-15)
    with pytest.raises(InputError, match=r"not like data 'rgb'"):
        features(bytes_.info, torch.zeros(2, 1, 2, 2))
    with pytest.raises(InputError, match="NaN"):
        features(bytes_.info, torch.full((2, 3, 2, 2), torch.nan))


def material() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    data, test = digits("train"), digits("test")
    assert data.labels is not None and test.labels is not None
    x = features(data.info, data[:].x)
    return x[:300], data.labels[:300], x[300:], features(data.info, test[:].x)


def test_score():
    generated, labels, train, held_out = material()
    test_labels = digits("test").labels
    assert test_labels is not None
    judge = Judge.train(held_out, test_labels)
    wrong = labels.clone()
    wrong[:30] = (wrong[:30] + 1) % 10
    found = score(generated, wrong, train, held_out, judge)
    assert found.accuracy is not None and 0.87 <= found.accuracy <= 0.9
    assert found.frechet == frechet_distance(generated, held_out)
    assert (found.precision, found.recall) == precision_recall(held_out, generated, 3)
    assert found.memorisation == memorisation_ratio(generated, train, held_out)
    assert found.count == 300
    # Canaries: held-out and training set confused would be seen in every figure.
    other = score(generated, wrong, held_out, train, judge)
    for name in ("frechet", "precision", "recall", "memorisation"):
        assert getattr(other, name) != getattr(found, name)
    plain = score(generated, None, train, held_out, judge)
    assert plain == replace(found, accuracy=None) == score(generated, labels, train, held_out)


def test_protocol():
    generated, _, train, held_out = material()
    found = score(generated, None, train, held_out).protocol
    for part in ("n 300", "pixels (64)", "k 3", "held-out 597 (", "train 900 ("):
        assert part in found
    assert "\n" not in found
    # The hash is of the values: the same whatever their type, another for other values.
    assert score(generated, None, train.float(), held_out).protocol == found
    assert score(generated, None, train.flip(0), held_out).protocol != found


def test_worse_samples_score_worse():
    generated, _, train, held_out = material()
    noisy = generated + 0.5 * Noise(0, range(300)).normal(generated)
    good, bad = (score(x, None, train, held_out) for x in (generated, noisy))
    assert bad.frechet > good.frechet + 1
    assert bad.precision < 0.5 < good.precision
    assert bad.memorisation > good.memorisation + 0.5
    copies = score(train[:300], None, train, held_out)
    assert copies.memorisation < 1e-6
    one_class = score(generated[:5].repeat(60, 1), None, train, held_out)
    assert one_class.recall < 0.1 < good.recall


def test_refused():
    generated, labels, train, held_out = material()
    judge = Judge.train(generated, labels)
    with pytest.raises(InputError, match="give one each"):
        score(generated, labels[:5], train, held_out, judge)
