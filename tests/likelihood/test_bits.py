"""Bits a dimension: densities whose bits are known."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.likelihood import bits_per_dim


@settings(deadline=None, max_examples=40)
@given(
    levels=st.integers(2, 2**16),
    low=st.floats(-3, 3),
    width=st.floats(0.1, 10),
    size=st.integers(1, 99),
)
def test_uniform_density_costs_log2_of_the_levels(levels: int, low: float, width: float, size: int):
    """-D log(high - low) is the uniform density's, wherever the box lies."""
    log_prob = torch.full((3,), -size * math.log((low + width) - low), dtype=torch.float64)
    bits = bits_per_dim(log_prob, (size,), levels, low, low + width)
    assert bits.value == pytest.approx(math.log2(levels), abs=1e-9)
    assert bits.standard_error == pytest.approx(0, abs=1e-9)


def test_probabilities_of_the_levels_sum_to_one():
    """256 levels under a density that is constant within each: 2^-bits is their probability."""
    share = Noise(0, range(1)).uniform(torch.empty(1, 256).double())[0]
    share = share / share.sum()
    width = 2 / 256
    bits = bits_per_dim((share / width).log(), (1,), 256)
    assert float((2**-bits.each).sum()) == pytest.approx(1, abs=1e-9)
    assert torch.allclose(2**-bits.each, share)


@settings(deadline=None, max_examples=40)
@given(scale=st.floats(0.01, 100), shift=st.floats(-100, 100))
def test_units_do_not_matter(scale: float, shift: float):
    """x -> shift + scale x moves log p by -D log scale and the range with it."""
    log_prob = Noise(0, range(5)).normal(torch.empty(5, 1).double())[:, 0]
    plain = bits_per_dim(log_prob, (3, 2), 17, -1, 1)
    low, high = shift - scale, shift + scale
    moved = bits_per_dim(log_prob - 6 * math.log((high - low) / 2), (3, 2), 17, low, high)
    assert moved.value == pytest.approx(plain.value, abs=1e-9)


def test_denser_costs_less_and_the_error_is_the_means():
    log_prob = torch.tensor([0.0, 1.0, 2.0, 5.0]).double()
    bits = bits_per_dim(log_prob, (2,), 17)
    assert (bits.each.diff() < 0).all() and float(bits) == pytest.approx(float(bits.each.mean()))
    assert bits.standard_error == pytest.approx(float(bits.each.std()) / 2)
    assert "bits/dim (n=4)" in str(bits)
    assert bits_per_dim(log_prob[:1], (2,), 17).standard_error == math.inf


def test_draws_and_probes_have_their_parts():
    """log p = datum + draw + probe, of known deviations 3, 2 and 1; chi-square within 5 s.e."""
    draws, count = 4, 4000
    zero = torch.empty(count, 1).double()
    data = 3 * Noise(0, range(count)).normal(zero)[:, 0]
    rows = [
        data + 2 * n.child("u").normal(zero)[:, 0] + n.child("v").normal(zero)[:, 0]
        for n in (Noise(k + 1, range(count)) for k in range(draws))
    ]
    bits = bits_per_dim(torch.stack(rows), (1,), 17, probe_error=torch.ones(draws, count).double())
    unit = math.sqrt(count) * math.log(2)
    assert bits.standard_error * unit == pytest.approx(math.sqrt(9 + 5 / draws), rel=0.06)
    # What differs between draws of one datum holds the probes' part too.
    assert bits.from_draws * unit == pytest.approx(math.sqrt(5 / draws), rel=0.04)
    assert bits.from_probes * unit == pytest.approx(math.sqrt(1 / draws))
    one = bits_per_dim(rows[0], (1,), 17)
    assert one.from_draws == one.from_probes == math.inf
    assert one.standard_error > 1.1 * bits.standard_error


@pytest.mark.parametrize(
    ("log_prob", "how"),
    [
        (torch.zeros(0), {}),
        (torch.zeros(2, 2, 2), {}),
        (torch.zeros(2), {"levels": 0}),
        (torch.zeros(2), {"low": 1.0, "high": 1.0}),
    ],
)
def test_refuses(log_prob: torch.Tensor, how: dict):
    with pytest.raises(InputError):
        bits_per_dim(log_prob, (1,), **how)


def test_canary_width():
    """Forgetting that [-1, 1] is two wide costs one bit."""
    log_prob = torch.full((2,), -math.log(2), dtype=torch.float64)
    wrong = bits_per_dim(log_prob, (1,), 17, 0.0, 1.0)
    assert wrong.value != pytest.approx(math.log2(17), abs=1e-9)
