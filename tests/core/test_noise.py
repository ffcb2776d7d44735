"""Streams: pure functions of (seed, sample, path, position), with the right laws.

The draws are fixed, so a test passes always or never. Thresholds are those a fresh seed would break
with the probability stated: about 1e-6 for the whole file.
"""

import contextlib
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unnoise.core.errors import InputError
from unnoise.core.noise import Noise, key, permutation, seeded

LAWS = ("uniform", "normal", "rademacher")
Z = 5.5  # standard errors: two-sided p = 4e-8 for each of about 25 figures


def streams(count: int, seed: int = 0) -> Noise:
    return Noise(seed, range(count))


# ------------------------------------------------------------------------------------- purity


@settings(deadline=None, max_examples=30)
@given(
    law=st.sampled_from(LAWS),
    seed=st.integers(-(2**70), 2**70),
    first=st.integers(0, 2**40),
    cut=st.integers(0, 7),
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=3),
)
def test_any_split_gives_the_same_bits(law, seed, first, cut, shape):
    like = torch.empty(7, *shape)
    noise = Noise(seed, range(first, first + 7)).child("a").child(3)
    whole = getattr(noise, law)(like)
    assert torch.equal(whole, getattr(noise, law)(like))
    parts = [getattr(n, law)(like[: len(n)]) for n in (noise[:cut], noise[cut:])]
    assert torch.equal(torch.cat(parts), whole)
    alone = Noise(seed, [first + 6]).child("a").child(3)
    assert torch.equal(getattr(alone, law)(like[:1])[0], whole[6])


def test_order_of_samples_is_the_callers():
    like = torch.empty(3, 4)
    shuffled = Noise(0, [2, 0, 1]).normal(like)
    assert torch.equal(shuffled, streams(3).normal(like)[torch.tensor([2, 0, 1])])


def test_shape_is_only_an_arrangement():
    flat = streams(3).normal(torch.empty(3, 24))
    assert torch.equal(streams(3).normal(torch.empty(3, 2, 3, 4)).flatten(1), flat)


def test_paths_are_not_strings_joined():
    like = torch.empty(1, 8)
    noise = streams(1)
    paths = [noise, noise.child("ab"), noise.child("a").child("b"), noise.child("a/b")]
    paths += [
        noise.child("b").child("a"),
        noise.child(""),
        noise.child(12),
        noise.child(1).child(2),
    ]
    drawn = torch.cat([n.uniform(like) for n in paths])
    assert len(drawn.flatten().unique()) == drawn.numel()
    assert torch.equal(noise.child(12).uniform(like), noise.child("12").uniform(like))


def test_seeds_share_nothing():
    """300,000 uniforms of seeds 0, 1 and -1, and of samples 0 and 1: no two equal."""
    like = torch.empty(2, 50_000, dtype=torch.float64)
    drawn = torch.cat([streams(2, seed).uniform(like) for seed in (0, 1, -1)])
    assert len(drawn.flatten().unique()) == drawn.numel()


def test_float32_is_float64_rounded():
    for law, tolerance in (("uniform", 2**-24), ("normal", 3e-6), ("rademacher", 0.0)):
        rough = getattr(streams(4), law)(torch.empty(4, 5000))
        exact = getattr(streams(4), law)(torch.empty(4, 5000, dtype=torch.float64))
        assert float((rough.double() - exact).abs().max()) <= tolerance, law


@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_uniforms_never_reach_one(kind: torch.dtype):
    u = streams(2).uniform(torch.empty(2, 200_000, dtype=kind))
    assert u.dtype == kind and float(u.min()) >= 0 and float(u.max()) < 1


def test_streams_must_match_rows():
    for like in (torch.empty(3, 2), torch.empty(())):
        with pytest.raises(InputError, match="one stream for each row"):
            streams(2).normal(like)


def test_empty_events():
    assert streams(2).normal(torch.empty(2, 0)).shape == (2, 0)
    assert Noise(0, []).normal(torch.empty(0, 3)).shape == (0, 3)


# --------------------------------------------------------------------------------------- laws


def uniform_chi_square(u: torch.Tensor, cells: int = 256) -> float:
    """(chi square - d.o.f.) / its standard deviation."""
    counts = (u.flatten() * cells).long().bincount(minlength=cells).double()
    expected = u.numel() / cells
    return float(((counts - expected) ** 2 / expected).sum() - (cells - 1)) / (2 * cells - 2) ** 0.5


def test_uniform_law():
    """Chi square of 255 d.o.f.: 7 standard deviations above has p < 1e-8."""
    u = streams(100).uniform(torch.empty(100, 10_000, dtype=torch.float64))
    assert abs(uniform_chi_square(u)) < 7
    assert abs(uniform_chi_square(u * 2**20 % 1)) < 7  # the low bits too
    assert abs(float(u.mean()) - 0.5) < Z * (1 / 12 / u.numel()) ** 0.5


def normal_scores(z: torch.Tensor) -> dict[str, float]:
    """Figures of a sample in standard errors from those of N(0, 1)."""
    n, z = z.numel(), z.flatten().double()
    cdf = torch.special.ndtr(z)
    far = (z.abs() > 4).double().mean() - math.erfc(4 / 2**0.5)
    return {
        "mean": float(z.mean()) * n**0.5,
        "variance": float((z**2).mean() - 1) * (n / 2) ** 0.5,
        "skewness": float((z**3).mean()) * (n / 15) ** 0.5,
        "kurtosis": float((z**4).mean() - 3) * (n / 96) ** 0.5,
        "tails": float(far) * (n / math.erfc(4 / 2**0.5)) ** 0.5,
        "shape": uniform_chi_square(cdf.clamp(max=1 - 1e-12)) * Z / 7,
    }


@pytest.mark.parametrize("kind", [torch.float64, torch.float32])
def test_normal_law(kind: torch.dtype):
    scores = normal_scores(streams(100).normal(torch.empty(100, 10_000, dtype=kind)))
    assert {name: s for name, s in scores.items() if abs(s) > Z} == {}


def test_canary_normal_law():
    z = streams(100).normal(torch.empty(100, 10_000))
    for bent in (
        z + 0.01,
        z * 1.005,
        z.clamp(-4, 4),
        torch.where(z > 0, z * 1.01, z),
        z.round(decimals=2),
    ):
        assert max(map(abs, normal_scores(bent).values())) > Z


def test_signs_are_fair():
    s = streams(100).rademacher(torch.empty(100, 10_000))
    assert s.abs().eq(1).all() and abs(float(s.mean())) < Z / 1000


def correlations(law: str) -> dict[str, float]:
    """Correlations that must not be, in standard errors, over 500,000 pairs each."""
    like = torch.empty(1000, 500, dtype=torch.float64)
    noise = streams(1000).child("walk")
    x = getattr(noise, law)(like)
    others = {
        "next sample": getattr(Noise(0, range(1, 1001)).child("walk"), law)(like),
        "next child": getattr(noise.child(1), law)(like),
        "parent": getattr(streams(1000), law)(like),
        "next seed": getattr(streams(1000, 1).child("walk"), law)(like),
        "next position": x.roll(1, 1),
        "half way": x.roll(250, 1),  # cosine and sine of one angle are halves of a row apart
    }
    x = (x - x.mean()) / x.std()
    return {
        f"{name}, {what}": float((f(x) * f((y - y.mean()) / y.std())).mean()) * 500_000**0.5 / size
        for name, y in others.items()
        for what, f, size in (
            ("values", lambda v: v, 1.0),
            ("sizes", lambda v: v**2 - (v**2).mean(), max(float((x**2).var()), 1e-3)),
        )
    }


@pytest.mark.parametrize("law", LAWS)
def test_streams_are_independent(law: str):
    """Values and their squares, of neighbours in every direction."""
    assert {name: z for name, z in correlations(law).items() if abs(z) > Z} == {}


def test_canary_correlations():
    x = streams(10).normal(torch.empty(10, 1000))
    assert abs(float((x * (x + x.roll(1, 1)) / 2).mean())) * 100 > Z


# ----------------------------------------------------------------------- what is built on them


def test_permutation():
    for n in (1, 2, 100):
        assert permutation(streams(1), n).sort().values.tolist() == list(range(n))
    assert not torch.equal(permutation(streams(1), 100), permutation(streams(1, 1), 100))
    # 2,400 orders of four: chi square of 23 d.o.f., p(> 85) = 5e-9.
    orders = [tuple(permutation(streams(1, seed), 4).tolist()) for seed in range(2400)]
    counts = torch.tensor([orders.count(o) for o in set(orders)]).double()
    assert len(counts) == 24 and float(((counts - 100) ** 2 / 100).sum()) < 85


def test_keys_are_63_bits_and_differ():
    keys = {
        key(seed, *path) for seed in (0, 1, -1) for path in ((), ("a",), ("a", 1), ("dropout",))
    }
    assert len(keys) == 12 and all(0 <= k < 2**63 for k in keys)


def test_seeded_gives_the_state_back():
    before = torch.random.get_rng_state()
    with seeded(0, "weights"):
        one = torch.randn(4)
    with contextlib.suppress(ZeroDivisionError), seeded(0, "weights"):
        assert torch.equal(torch.randn(4), one)
        raise ZeroDivisionError
    with seeded(0, "dropout"):
        assert not torch.equal(torch.randn(4), one)
    assert torch.equal(torch.random.get_rng_state(), before)
