"""What goes into the figures, and that each of them looks at what it should."""

from typing import Any

import pytest
import torch
from torch import Tensor

from unnoise.core.condition import Condition
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.data import TensorDataset, digits, moons
from unnoise.evaluation import features, frechet_distance, memorisation_ratio, precision_recall
from unnoise.evaluation.metric import Featured, Samples
from unnoise.evaluation.report import USUAL, measure


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


def seen(x: Tensor, label: Tensor | None = None) -> Featured:
    """Digits as a data set under evaluation."""
    info = digits("train").info
    return Featured(Samples(info, x, None if label is None else Condition(label)), info)


def material() -> tuple[Tensor, Tensor, Featured, Featured]:
    """300 digits in the place of samples, and their labels; the others; those held out."""
    data, test = digits("train")[:], digits("test")[:]
    assert data.label is not None and test.label is not None
    return data.x[:300], data.label[:300], seen(data.x[300:]), seen(test.x, test.label)


def figures(drawn: Featured, train: Featured, held_out: Featured) -> dict[str, Any]:
    nobody: Any = None  # these metrics look at no model
    return measure(USUAL, drawn, train, held_out, nobody, nobody)


def test_usual_figures():
    x, labels, train, held_out = material()
    wrong = labels.clone()
    wrong[:30] = (wrong[:30] + 1) % 10
    found = figures(seen(x, wrong), train, held_out)
    generated, known, real = seen(x).features, train.features, held_out.features
    assert 0.87 <= found["accuracy"] <= 0.9
    assert found["frechet"] == frechet_distance(generated, real)
    assert (found["precision"], found["recall"]) == precision_recall(real, generated, 3)
    assert found["memorisation"] == memorisation_ratio(generated, known, real)
    assert found["count"] == 300
    # Canaries: held-out and training set confused would be seen in every figure.
    other = figures(seen(x, wrong), held_out, train)
    for name in ("frechet", "precision", "recall", "memorisation"):
        assert other[name] != found[name]
    # Without labels on either side there is no accuracy, and all else is as it was.
    plain = figures(seen(x), train, held_out)
    assert plain == {k: v for k, v in found.items() if k != "accuracy"}
    assert plain == figures(seen(x, labels), train, seen(digits("test")[:].x))


def test_protocol():
    x, _, train, held_out = material()
    found = figures(seen(x), train, held_out)["protocol"]
    for part in ("n 300", "pixels (64)", "k 3", "held-out 597 (", "train 900 ("):
        assert part in found
    assert "\n" not in found
    # The hash is of the values: another for other values.
    assert figures(seen(x), seen(train[:].x), held_out)["protocol"] == found
    assert figures(seen(x), seen(train[:].x.flip(0)), held_out)["protocol"] != found


def test_worse_samples_score_worse():
    x, _, train, held_out = material()
    noisy = x + 0.5 * Noise(0, range(300)).normal(x)
    good, bad = (figures(seen(each), train, held_out) for each in (x, noisy))
    assert bad["frechet"] > good["frechet"] + 1
    assert bad["precision"] < 0.5 < good["precision"]
    assert bad["memorisation"] > good["memorisation"] + 0.5
    copies = figures(seen(train[:300].x), train, held_out)
    assert copies["memorisation"] < 1e-6
    one_class = figures(seen(x[:5].repeat(60, 1, 1, 1)), train, held_out)
    assert one_class["recall"] < 0.1 < good["recall"]
