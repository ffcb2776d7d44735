"""Which classes are sampled where none is asked for, and which answers a model never learned."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.small import diffusion, pictures
from unnoise import Classifier, InputError, MLPClassifier
from unnoise.core.noise import Noise
from unnoise.data import TensorDataset
from unnoise.models import Diffusion
from unnoise.models import conditions as module
from unnoise.models.conditions import drawn_classes
from unnoise.spaces import Labels
from unnoise.training import fit

UNEVEN = Labels(4, ("a", "b", "c", "d"), (700, 0, 250, 50))


def uneven(counts: tuple[int, ...] = (70, 0, 25)) -> Diffusion:
    model = diffusion(pictures())
    assert model.info is not None
    model.info = replace(model.info, class_counts=counts, class_names=("cat", "dog", "owl"))
    return model


def test_classes_are_as_frequent_as_in_the_data():
    """Chi-square of 4,000 draws, 2 degrees of freedom: above 23 once in 10^5."""
    found = torch.bincount(drawn_classes(UNEVEN, None, range(4000), 3), minlength=4)
    wanted = 4.0 * torch.tensor([700, 0, 250, 50])
    assert found[1] == 0
    assert float(((found - wanted)[[0, 2, 3]] ** 2 / wanted[[0, 2, 3]]).sum()) < 23
    # Canary: classes in turn are not.
    turn = torch.bincount(drawn_classes(UNEVEN, "uniform", range(4000), 3), minlength=4)
    assert float(((turn - wanted)[[0, 2, 3]] ** 2 / wanted[[0, 2, 3]]).sum()) > 23


@given(st.lists(st.integers(0, 9), min_size=1, max_size=9).filter(any), st.integers(0, 500))
def test_proportions_by_largest_remainder(counts: list[int], n: int):
    """Each class gets its share, rounded down or up, and they are n."""
    found = torch.bincount(Labels(len(counts), None, tuple(counts)).shares_of(n), minlength=1)
    exact = torch.tensor(counts).double() * n / sum(counts)
    found = torch.nn.functional.pad(found, (0, len(counts) - len(found)))
    assert int(found.sum()) == n and bool(((found - exact).abs() < 1).all())


def test_a_class_is_the_samples_own():
    """Row 17 of many is row 17 alone; the stream is Noise(seed, [k]).child("label")."""
    many = drawn_classes(UNEVEN, None, range(40), 5)
    assert int(drawn_classes(UNEVEN, None, [17], 5)) == int(many[17])
    u = float(Noise(5, [17]).child("label").uniform(torch.empty(1, dtype=torch.float64)))
    assert int(many[17]) == (0 if u < 0.7 else 2 if u < 0.95 else 3)
    model = uneven()
    labels = drawn_classes(model.labels, None, range(9), 2)
    assert torch.equal(
        model.sample(9, steps=2, seed=2), model.sample(9, label=labels, steps=2, seed=2)
    )
    assert torch.equal(
        model.sample(3, steps=2, seed=2, first=6), model.sample(9, steps=2, seed=2)[6:]
    )


def test_uniform_takes_the_classes_that_have_examples_in_turn():
    model = uneven()
    wanted = model.sample(5, label=[0, 2, 0, 2, 0], steps=2)
    assert torch.equal(model.sample(5, label="uniform", steps=2), wanted)
    assert torch.equal(model.sample(1, label="owl", steps=2), model.sample(1, label=2, steps=2))
    # Where nobody counted: all of them, which is what an old file gives without a label too.
    model.info = replace(model.info, class_counts=None)
    wanted = model.sample(5, label=[0, 1, 2, 0, 1], steps=2)
    assert torch.equal(model.sample(5, steps=2), wanted)


@pytest.mark.parametrize(
    "ask",
    [
        lambda m: m.sample(2, label=1),
        lambda m: m.sample(2, label="dog"),
        lambda m: m.log_prob(pictures()[:2].x, label=1, steps=2),
        lambda m: m.encode(pictures()[:2].x, label=[0, 1]),
        lambda m: m.elbo(pictures()[:2].x, label=1, steps=2),
    ],
)
def test_a_class_without_an_example_is_refused_by_name(ask: Callable[[Diffusion], Any]):
    with pytest.raises(InputError, match=r"'dog' \(1\): training had no example"):
        ask(uneven())
    ask(uneven((70, 1, 25)))  # the canary


def test_a_network_with_more_classes_than_the_data():
    data = TensorDataset("two", torch.randn(20, 2), torch.arange(20) % 2)
    model = diffusion(data, classes=5)
    model.info = data.info
    assert model.labels is not None and model.labels.counts == (10, 10, 0, 0, 0)
    with pytest.raises(InputError, match="label 4: training had no example"):
        model.sample(1, label=4)
    assert set(drawn_classes(model.labels, None, range(50), 0).tolist()) == {0, 1}


# -- branches that were never trained -------------------------------------------------------------


X = pictures()[:2].x
WITHOUT: dict[str, Callable[[Diffusion], Any]] = {
    "guidance": lambda m: m.sample(2, label=0, guidance=3.0),
    "no guidance": lambda m: m.sample(2, label=0, guidance=0.0),
    "interval": lambda m: m.sample(2, label=0, guidance={"kind": "interval"}),
    "likelihood": lambda m: m.log_prob(X, steps=2),
    "guided likelihood": lambda m: m.log_prob(X, label=0, guidance=2.0, steps=2),
    "bound": lambda m: m.elbo(X, steps=2),
    "latents": lambda m: m.encode(X),
    "variation": lambda m: m.vary(X),
    "classifier": lambda m: m.sample(2, label=0, guide=classifier()),
}
WITH: dict[str, Callable[[Diffusion], Any]] = {
    "sample": lambda m: m.sample(2),
    "likelihood": lambda m: m.log_prob(X, label=0, steps=2),
    "latents": lambda m: m.encode(X, label=0),
}


def classifier() -> Classifier:
    return Classifier(MLPClassifier(shape=(1, 4, 4), classes=3, width=8))


def learned(share: float | None) -> Diffusion:
    model = diffusion(pictures())
    model.hidden = None if share is None else {"label": share}
    return model


@pytest.mark.parametrize("ask", WITHOUT.values(), ids=WITHOUT)
def test_without_its_condition(ask: Callable[[Diffusion], Any]):
    with pytest.raises(InputError, match="never hid the label"):
        ask(learned(0.0))
    for share in (0.1, 1.0, None):  # a share that is not known is not refused
        if share != 1.0 or ask in (WITHOUT["no guidance"], WITHOUT["likelihood"]):
            ask(learned(share))


@pytest.mark.parametrize("ask", WITH.values(), ids=WITH)
def test_with_its_condition(ask: Callable[[Diffusion], Any]):
    with pytest.raises(InputError, match="always hid the label"):
        ask(learned(1.0))
    for share in (0.0, 0.1, None):
        ask(learned(share))


def test_training_says_what_it_hid():
    model = diffusion(pictures())
    fit(model, pictures(), steps=1, batch=4, label_dropout=0.0, threads=1)
    with pytest.raises(InputError, match="never hid"):
        model.sample(1, label=0, guidance=2.0)


def test_canary_shares_that_nobody_asks_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        module, "drawn_classes", lambda _, __, rows, *___: torch.zeros(len(rows)).long()
    )
    with pytest.raises(AssertionError):
        test_a_class_is_the_samples_own()


def test_any_first_few_have_the_wholes_proportions():
    """Canary: sorted by class, the first hundred are of one."""
    known = Labels(3, None, (50, 30, 20))
    asked = known.shares_of(300)
    first = torch.bincount(asked[:100], minlength=3)
    assert (first - torch.tensor([50, 30, 20])).abs().max() <= 2
    assert torch.bincount(asked.sort().values[:100], minlength=3)[2] == 0
