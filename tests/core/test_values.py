"""Condition, match and the two distributions."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unnoise.core.broadcast import double, match
from unnoise.core.condition import Condition
from unnoise.core.distributions import Categorical, Normal
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.testing.compare import draw, worst

# --------------------------------------------------------------------------------------- match


@settings(deadline=None, max_examples=30)
@given(event=st.lists(st.integers(1, 4), max_size=4), rows=st.integers(1, 5))
def test_match_scales_each_row(event: list[int], rows: int):
    x, t = draw(rows, *event), draw(rows, name="t")
    product = match(t, x) * x
    for i in range(rows):
        assert torch.equal(product[i], t[i] * x[i])
    assert torch.equal(match(t[0], x) * x, t[0] * x)


@pytest.mark.parametrize("t", [torch.ones(3), torch.ones(2, 1), torch.ones(1)])
def test_match_refuses(t: torch.Tensor):
    with pytest.raises(InputError, match=r"accepted are \(\) or \(2,\)"):
        match(t, torch.ones(2, 3))


def test_times_are_float64():
    assert double(0.1).item() == 0.1 and double(torch.tensor(0.5)).dtype == torch.float64


# ----------------------------------------------------------------------------------- condition


def label(*numbers: int) -> Condition:
    return Condition(label=torch.tensor(numbers))


def test_hidden_stays_hidden():
    cond = label(1, 2, 3)
    once = cond.drop(torch.tensor([True, False, True]))
    twice = once.drop(torch.tensor([True, True, False]))
    assert cond.kept().tolist() == [True, True, True] and cond.keep is None
    assert twice.kept().tolist() == [True, False, False]
    assert cond.null().kept().tolist() == [False] * 3
    assert torch.equal(twice.label, cond.label) and twice.slots == {"label"}


def test_rows_and_joining_are_inverse():
    cond = Condition(label=torch.arange(5), vector=draw(5, 2), keep=torch.arange(5) > 1)
    again = cond[:2].cat(cond[2:4], cond[torch.tensor([4])])
    for name in ("label", "vector"):
        assert torch.equal(getattr(again, name), getattr(cond, name))
        assert torch.equal(again.kept(name), torch.arange(5) > 1)
    assert len(again) == 5 and label(1).cat(label(2).null()).kept().tolist() == [True, False]


def test_parts_must_agree():
    with pytest.raises(InputError, match="same slots"):
        label(1).cat(Condition(vector=draw(1, 2)))
    with pytest.raises(InputError, match="differ in length"):
        Condition(label=torch.arange(2), vector=draw(3, 2))


def test_each_slot_has_a_mask_of_its_own():
    keep = torch.tensor([True, False])
    cond = Condition(label=torch.arange(2), tokens=torch.ones(2, 3), local=draw(2, 4))
    hidden = cond.drop(keep, ["label"]).drop(~keep, ["tokens"])
    kept = {slot: hidden.kept(slot).tolist() for slot in sorted(hidden.slots)}
    assert kept == {"label": [True, False], "local": [True, True], "tokens": [False, True]}
    # Unless it is said otherwise label and tokens are hidden, and what is local is not.
    assert [cond.null().kept(s).any() for s in ("label", "tokens", "local")] == [False, False, True]
    assert not cond.null(["local"]).kept("local").any()


def test_one_mask_is_that_of_label_tokens_and_vector():
    keep = torch.tensor([True, False])
    cond = Condition(torch.arange(2), torch.ones(2, 3), draw(2, 4), draw(2, 2), keep=keep)
    assert all(torch.equal(cond.kept(slot), keep) for slot in ("label", "tokens", "vector"))
    assert cond.kept("local").all()


def test_tokens_of_two_lengths_are_joined_with_padding():
    short, long = (Condition(tokens=torch.ones(1, n, dtype=torch.int64)) for n in (1, 3))
    assert short.cat(long).tokens.tolist() == [[1, 0, 0], [1, 1, 1]]


def test_image_is_the_old_name_of_local():
    with pytest.warns(DeprecationWarning, match=r"Condition\.local"):
        cond = Condition(image=draw(2, 4))
    with pytest.warns(DeprecationWarning, match=r"Condition\.local"):
        assert cond.image is cond.local


def test_no_condition():
    empty = Condition()
    assert len(empty) == 0 and not empty.slots
    assert empty.null() is empty and empty.drop(torch.tensor([True])) is empty
    assert empty.cat(empty) == Condition()


def test_to_moves_every_slot():
    moved = Condition(label=torch.arange(2), local=draw(2, 1)).null().to("meta")
    assert moved.label.device.type == moved.local.device.type == "meta"
    assert moved.kept().device.type == "meta"


# ------------------------------------------------------------------------------- distributions


def reference(normal: Normal) -> torch.distributions.Distribution:
    law = torch.distributions.Normal(normal.mean, normal.variance.sqrt())
    return torch.distributions.Independent(law, normal.mean.ndim - 1)


def test_normal_against_torch():
    p = Normal(draw(4, 2, 3, name="p"), draw(4, 2, 3, name="v").exp())
    for q in (
        Normal(draw(4, 2, 3, name="q"), 0.7),
        Normal(draw(4, 2, 3), torch.tensor(1.3).double()),
    ):
        x = draw(4, 2, 3, name="x")
        assert worst(q.log_prob(x), reference(q).log_prob(x)) < 1e-12
        kl = torch.distributions.kl_divergence(reference(p), reference(q))
        assert worst(p.kl(q), kl) < 1e-12
        assert worst(p.kl(p), torch.zeros(4).double(), scale=1.0) < 1e-12


def test_normal_samples_have_its_moments():
    """100,000 draws of two numbers; 5.5 s.e. is p = 4e-8 for each of four figures."""
    n = 100_000
    for var in (0.25, torch.tensor([0.25, 4.0]).double(), torch.tensor(0.25).double()):
        law = Normal(torch.tensor([1.0, -2.0]).double().expand(n, 2), var)
        x, wanted = law.sample(Noise(0, range(n))), law.variance[0]
        assert worst(x.mean(0), law.mean[0], scale=(wanted / n).sqrt()) < 5.5
        assert worst(x.var(0), wanted, scale=wanted * (2 / n) ** 0.5) < 5.5


def test_a_point_draws_nothing():
    x = draw(3, 2)
    assert Normal(x).sample(Noise(0, range(3))) is x
    assert torch.equal(Normal(x, torch.zeros(())).sample(Noise(0, range(3))), x)


def test_reverse_variance():
    assert Normal(draw(2, 2), 0.5).reverse_var(0.1, 2.0) == pytest.approx(0.1 + 4 * 0.5)


def test_categorical_against_torch():
    p, q = (Categorical(2 * draw(5, 3, 4, name=name)) for name in "pq")
    laws = [
        torch.distributions.Independent(torch.distributions.Categorical(logits=c.logits), 1)
        for c in (p, q)
    ]
    x = torch.tensor([[0, 1, 2], [3, 3, 3], [0, 0, 1], [2, 1, 0], [1, 2, 3]])
    assert worst(p.log_prob(x), laws[0].log_prob(x)) < 1e-12
    assert worst(p.kl(q), torch.distributions.kl_divergence(*laws)) < 1e-12
    shares = p.logits.softmax(-1)
    assert worst(p.mean, (shares * torch.arange(4)).sum(-1)) < 1e-12


def test_categorical_impossible_classes():
    """A class of probability 0 costs nothing in KL and is never drawn."""
    p = Categorical(torch.tensor([[[0.0, -math.inf, 0.0]]]).expand(2000, 1, 3))
    q = Categorical(torch.zeros(2000, 1, 3))
    assert torch.allclose(p.kl(q), torch.tensor(math.log(1.5)))
    assert set(p.sample(Noise(0, range(2000))).flatten().tolist()) == {0, 2}
    one = Categorical(torch.zeros(4, 2, 1))
    assert one.sample(Noise(0, range(4))).tolist() == [[0, 0]] * 4


def test_categorical_samples_have_its_shares():
    """60,000 draws of four classes: chi square of 3 d.o.f., p(> 38) = 3e-8."""
    shares = torch.tensor([0.1, 0.2, 0.3, 0.4]).double()
    drawn = Categorical(shares.log().expand(60_000, 1, 4)).sample(Noise(0, range(60_000)))
    counts, expected = drawn.flatten().bincount(minlength=4), 60_000 * shares
    assert float(((counts - expected) ** 2 / expected).sum()) < 38


def test_canary_distributions():
    """A standard deviation taken for a variance is found."""
    x, law = draw(4, 2), Normal(draw(4, 2, name="m"), 0.49)
    assert worst(Normal(law.mean, 0.7).log_prob(x), reference(law).log_prob(x)) > 1e-3
