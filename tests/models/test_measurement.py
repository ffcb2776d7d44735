"""Sampling what was partly seen, and variations: bits, rows, registry, refusals."""

import pytest
import torch

from tests.kinds import make
from tests.small import diffusion, pictures, points, trained
from unnoise.catalogue.registry import names
from unnoise.core.errors import InputError
from unnoise.models import Diffusion, Measurement
from unnoise.networks import MLP
from unnoise.operators import Blur, Grey, Mask
from unnoise.processes import Rectified
from unnoise.testing.compare import draw

MASK = Mask(torch.tensor([1, 1, 0, 0]))
BLUR = Blur(((0.25, 0.5, 0.25),))


@pytest.fixture(scope="module")
def model() -> Diffusion:
    return trained(pictures())


def seen(by: str = "mmps", rows: int = 5, std: float = 0.0) -> Measurement:
    return Measurement(MASK, MASK(pictures()[:rows].x), by, std)


@pytest.mark.parametrize("by", names("imputation"))
def test_every_kind_heeds_it(model: Diffusion, by: str):
    """Known pixels stay to the bit; what cannot be put in its place is agreed with as well."""
    how = {"solver": "ancestral", "steps": 8}
    x = model.sample(5, given=Measurement(MASK, seen().value, make("imputation", by)), **how)
    assert bool(x.isfinite().all()) and torch.equal(MASK(x), seen().value)
    noisy = Measurement(BLUR, BLUR(pictures()[:5].x), make("imputation", by), 0.02)
    if by in ("replacement", "repaint"):
        with pytest.raises(InputError, match="cannot heed"):
            model.sample(5, given=noisy, **how)
        return
    given, free = model.sample(5, given=noisy, **how), model.sample(5, **how)
    off, before = ((BLUR(s) - noisy.value).abs().mean() for s in (given, free))
    assert off < 0.7 * before


@pytest.mark.parametrize("by", names("imputation"))
def test_a_sample_is_the_same_in_any_batch(model: Diffusion, by: str):
    given = seen(by, rows=1)
    whole = model.sample(5, given=given, steps=4)
    assert torch.equal(model.sample(2, given=given, steps=4, first=3), whole[3:])
    assert not torch.equal(whole[0], whole[1])


@pytest.mark.parametrize("event", [(2,), (1, 6), (3, 4, 4)])
def test_events_of_every_shape(event: tuple[int, ...]):
    model = Diffusion(MLP(event, width=16, depth=1))
    known = torch.arange(event[-1]) % 2 == 0
    given = Measurement(Mask(known), Mask(known)(draw(1, *event).float()), "replacement")
    x = model.sample(3, given=given, steps=3)
    assert torch.equal(x[..., known], given.value.expand_as(x)[..., known])


def test_where_alpha_ends_at_zero():
    model = Diffusion(MLP((2,), width=16, depth=1), Rectified(), head="flow")
    given = Measurement(Mask(torch.tensor([1, 0])), torch.tensor([[0.3, 0.0]]))
    assert bool(model.sample(3, given=given, steps=4).isfinite().all())


def test_a_label_still_counts(model: Diffusion):
    """Asked with a label the belief is that of the class; without, of no class in particular."""
    free, one, two = (
        model.sample(4, given=seen(rows=4), label=label, steps=4) for label in (None, 1, 2)
    )
    assert not torch.equal(one, two) and not torch.equal(free, one)


def test_variations(model: Diffusion):
    """The weaker, the nearer; a full one begins anew; each row by itself."""
    x = pictures()[:4].x
    off = [float((model.vary(x, s, steps=6) - x).abs().mean()) for s in (0.02, 0.3, 1.0)]
    assert off[0] < 0.1 and off[0] < off[1] < off[2]
    once = model.vary(x, 0.4, steps=6)
    assert torch.equal(model.vary(x[2:], 0.4, steps=6, first=2), once[2:])
    assert not torch.equal(model.vary(x, 0.4, steps=6, seed=1), once)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda m: m.sample(2, given=Measurement(MASK, torch.zeros(1, 1, 4))), "measured value"),
        (lambda m: m.sample(3, given=seen(rows=2)), "3 samples but 2 measurements"),
        (lambda m: m.sample(2, given=Measurement(Grey(), torch.zeros(1, 1, 4, 4))), "3 channels"),
        (lambda m: m.sample(5, given=seen("replacement", std=0.1)), "noise of std 0.1"),
        (
            lambda m: m.sample(
                2, given=Measurement(Blur(((1.0,),)), torch.zeros(1, 1, 4, 4), "repaint")
            ),
            "cannot heed Blur",
        ),
        (lambda m: m.sample(5, given=seen("repeint")), "Did you mean 'repaint'"),
        (lambda m: m.sample(2, given=Measurement(MASK, seen().value[:2] / 0)), "NaN or infinite"),
        (lambda m: m.sample(5, given=seen(), guidance=2.0), "towards what"),
        (lambda m: m.sample(5, given=seen("tds"), solver="heun"), "leave the solver out"),
        (lambda m: m.vary(torch.zeros(2, 1, 8, 8)), r"this model knows \(1, 4, 4\)"),
        (lambda m: m.vary(torch.full((2, 1, 4, 4), 255.0)), "255; this model's data lies in -1"),
        (
            lambda m: m.sample(2, given=Measurement(MASK, torch.full((1, 1, 4, 4), -9.0))),
            "the measured value runs from -9",
        ),
        (lambda m: m.vary(torch.zeros(2, 1, 4, 4), 0.0), "strength = 0.0"),
        (lambda m: m.vary(torch.zeros(2, 1, 4, 4), 1.5), "strength = 1.5"),
        (lambda m: m.vary(torch.zeros(2, 1, 4, 4).long()), "int64"),
    ],
)
def test_refusals(model: Diffusion, call, word: str):
    with pytest.raises(InputError, match=word):
        call(model)


def test_models_of_points_too():
    model = diffusion(points())
    given = Measurement(Mask(torch.tensor([1, 0])), torch.tensor([[0.5, 0.0]]), "repaint")
    assert torch.equal(model.sample(3, given=given, steps=3)[:, 0], torch.full((3,), 0.5))
