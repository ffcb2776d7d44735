"""Sliced Wasserstein against shifts in closed form and optimal assignment."""

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from unnoise.core.errors import InputError
from unnoise.core.noise import Noise, permutation
from unnoise.data import eight_gaussians, moons
from unnoise.evaluation import sliced_wasserstein


def draw(seed: int, n: int, d: int) -> Tensor:
    return Noise(seed, range(n)).normal(torch.empty(n, d, dtype=torch.float64))


def test_shift_and_scale_in_closed_form():
    x = draw(0, 40, 2)
    move = torch.tensor([3.0, -4.0]).double()
    # The mean of cos^2 over even angles is exactly a half.
    assert sliced_wasserstein(x, x + move) == pytest.approx(5 / 2**0.5, abs=1e-12)
    size = float(x.square().sum(1).mean() / 2) ** 0.5
    assert sliced_wasserstein(x, 3 * x) == pytest.approx(2 * size, abs=1e-12)
    assert sliced_wasserstein(draw(0, 30, 5), draw(0, 30, 5) + 1, 4000) == pytest.approx(
        1, abs=0.05
    )


@pytest.mark.parametrize(("n", "m"), [(7, 7), (6, 4), (5, 8), (1, 3)])
def test_counts_that_differ(n: int, m: int):
    """On a line, where every direction is the same, against optimal assignment of copies."""
    a, b = draw(0, n, 1), 1 + 2 * draw(1, m, 1)
    copies = a.repeat(m, 1), b.repeat(n, 1)
    cost = (copies[0] - copies[1].T).square().numpy()
    exact = float(np.sqrt(cost[linear_sum_assignment(cost)].mean()))
    assert sliced_wasserstein(a, b) == pytest.approx(exact, abs=1e-12)
    # Canary: the first distance, not the second, is another number.
    first = np.sqrt(cost)
    assert n == m == 1 or abs(first[linear_sum_assignment(first)].mean() - exact) > 1e-3


def test_order_and_side_are_nothing():
    a, b = draw(0, 50, 2), 2 * draw(1, 40, 2)
    found = sliced_wasserstein(a, b)
    assert sliced_wasserstein(a[permutation(Noise(2, [0]), 50)], b) == pytest.approx(
        found, abs=1e-12
    )
    assert sliced_wasserstein(b, a) == pytest.approx(found, abs=1e-12)
    assert sliced_wasserstein(a, a.repeat(3, 1)) == pytest.approx(0, abs=1e-12)


def test_toys():
    a, b = moons()[:].x, moons(split="test")[:].x
    floor = sliced_wasserstein(a, b)
    assert floor < 0.04
    assert sliced_wasserstein(a, eight_gaussians()[:].x) > 5 * floor
    assert sliced_wasserstein(a, b + 0.2) > 3 * floor


def test_refused():
    with pytest.raises(InputError, match="directions = 0"):
        sliced_wasserstein(draw(0, 3, 2), draw(0, 3, 2), 0)
    with pytest.raises(InputError, match="from the same data"):
        sliced_wasserstein(draw(0, 3, 2), draw(0, 3, 3))
