"""The Frechet distance against closed forms and against scipy's matrix square root."""

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from unnoise.core.errors import InputError
from unnoise.core.noise import Noise, permutation
from unnoise.data import digits
from unnoise.evaluation import features, frechet_distance


def draw(seed: int, n: int, d: int) -> Tensor:
    return Noise(seed, range(n)).normal(torch.empty(n, d, dtype=torch.float64))


def with_moments(seed: int, n: int, mean: Tensor, root: Tensor) -> Tensor:
    """n points whose mean is ``mean`` and whose unbiased covariance is root root^T, exactly."""
    x = draw(seed, n, len(mean))
    q = torch.linalg.qr(x - x.mean(0)).Q * (n - 1) ** 0.5
    return mean + q @ root.T


def rotation(seed: int, d: int) -> Tensor:
    return torch.linalg.qr(draw(seed, d, d)).Q


def oracle(a: Tensor, b: Tensor, divide_by: int = 1) -> float:
    """The textbook's formula; ``divide_by`` is numpy's ddof."""
    s, t = (np.cov(x.numpy().T, ddof=divide_by) for x in (a, b))
    root = scipy.linalg.sqrtm(s @ t)
    return float((a.mean(0) - b.mean(0)).square().sum()) + float(np.trace(s + t - 2 * root.real))


def test_normals_in_closed_form():
    a, b = torch.tensor([4.0, 1.0, 0.25]).double(), torch.tensor([1.0, 9.0, 0.01]).double()
    shift, turn = torch.tensor([1.0, -2.0, 0.5]).double(), rotation(2, 3)
    x = with_moments(0, 50, torch.zeros(3).double(), turn @ a.sqrt().diag())
    y = with_moments(1, 70, shift, turn @ b.sqrt().diag())
    exact = float(shift.square().sum() + (a.sqrt() - b.sqrt()).square().sum())
    assert frechet_distance(x, y) == pytest.approx(exact, abs=1e-9)


def test_matrix_square_root():
    a, b = draw(0, 200, 6) @ draw(2, 6, 6), 0.5 + draw(1, 150, 6) @ draw(3, 6, 6)
    assert frechet_distance(a, b) == pytest.approx(oracle(a, b), abs=1e-9)
    # Canaries: biased covariances, and a trace of products of roots, would be seen.
    assert abs(frechet_distance(a, b) - oracle(a, b, 0)) > 1e-3
    roots = [scipy.linalg.sqrtm(np.cov(x.numpy().T)).real for x in (a, b)]
    naive = float(((roots[0] - roots[1]) ** 2).sum() + (a.mean(0) - b.mean(0)).square().sum())
    assert abs(frechet_distance(a, b) - naive) > 1e-2


def test_singular_covariances():
    zero = torch.zeros(40).double()
    one = torch.zeros(40, 40).double()
    other = one.clone()
    one[0, 0], other[1, 1] = 2.0, 3.0
    a, b = with_moments(0, 60, zero, one), with_moments(1, 60, zero, other)
    assert frechet_distance(a, b) == pytest.approx(4 + 9, abs=1e-9)  # nothing in common
    assert frechet_distance(a, 3 * a) == pytest.approx(4 * 2 * 2, abs=1e-9)
    assert frechet_distance(a[:1].repeat(5, 1), a[:1].repeat(9, 1)) < 1e-25
    few = draw(2, 5, 40)  # fewer examples than dimensions
    assert 0 <= frechet_distance(few, few) < 1e-10
    assert frechet_distance(few, few + 1) == pytest.approx(40, abs=1e-9)


def test_order_is_nothing():
    a, b = draw(0, 90, 5), 2 * draw(1, 80, 5)
    mixed = a[permutation(Noise(3, [0]), 90)]
    assert frechet_distance(mixed, b) == pytest.approx(frechet_distance(a, b), abs=1e-10)
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b), abs=1e-10)
    assert frechet_distance(a.float(), b.float()) == pytest.approx(frechet_distance(a, b), abs=1e-5)


def test_scale_of_digits():
    train, test = digits("train"), digits("test")
    a, b = features(train.info, train[:].x), features(train.info, test[:].x)
    assert frechet_distance(a, b) == pytest.approx(0.2720, abs=5e-5)
    # 1,000 of them, as samples are counted: the "real against real" of the tables, .293.
    some = [a[permutation(Noise(s, [0]), 1200)[:1000]] for s in range(10)]
    assert np.mean([frechet_distance(x, b) for x in some]) == pytest.approx(0.293, abs=0.006)


@pytest.mark.parametrize(
    ("a", "says"),
    [
        (torch.zeros(5, 2, 2), "Flatten"),
        (torch.zeros(1, 3), "N >= 2"),
        (torch.full((4, 3), torch.nan), "NaN"),
        (torch.zeros(4, 2), "from the same data"),
    ],
)
def test_refused(a: Tensor, says: str):
    with pytest.raises(InputError, match=says):
        frechet_distance(a, torch.zeros(4, 3))
