"""The laws of operators over the registry, what is special to ours, and refusals."""

import pytest
import torch

from tests.kinds import breaks, make
from unnoise.catalogue.registry import names
from unnoise.core.errors import InputError
from unnoise.operators import (
    Blur,
    Downscale,
    Grey,
    LinearOperator,
    Mask,
    Operator,
    Projection,
    RandomRows,
    check_linear,
)
from unnoise.testing import OperatorContract
from unnoise.testing.compare import draw, worst

EVENT = (3, 4, 6)


class TestRegistered(OperatorContract):
    @pytest.fixture(autouse=True, params=names("operator"))
    def kind(self, request: pytest.FixtureRequest) -> None:
        self.name = request.param

    def make(self):
        return make("operator", self.name)

    def event(self):
        return EVENT


class TestMask(OperatorContract):
    def make(self):
        return Mask(draw(4, 6) > 0)

    def event(self):
        return EVENT


class TestMaskOfPoints(OperatorContract):
    def make(self):
        return Mask(torch.tensor([1.0, 0.0]))

    def event(self):
        return (2,)


class TestBlurOfSignals(OperatorContract):
    def make(self):
        return Blur((0.1, 0.2, 0.5, 0.0, -0.1))

    def event(self):
        return (2, 9)


class TestDownscaledSignals(OperatorContract):
    def make(self):
        return Downscale(3, axes=1)

    def event(self):
        return (1, 12)


class TestUsers(OperatorContract):
    def make(self):
        return LinearOperator(lambda x: x.cumsum(-1)[..., ::2], (2, 6))

    def event(self):
        return (2, 6)


def test_known_values_are_kept_to_the_bit():
    mask = draw(8, 8) > 0
    x, known = draw(3, 1, 8, 8).float(), draw(3, 1, 8, 8, name="known").float()
    imposed = Mask(mask).impose(x, Mask(mask)(known))
    assert torch.equal(imposed[..., mask], known[..., mask])
    assert torch.equal(imposed[..., ~mask], x[..., ~mask])


def test_each_measures_what_it_says():
    x = draw(2, *EVENT)
    assert worst(Grey()(x)[:, 0], x.mean(1), 1.0) < 1e-15
    assert worst(Downscale()(x), torch.nn.functional.avg_pool2d(x, 2), 1.0) < 1e-15
    impulse = torch.zeros(1, 1, 5, 5, dtype=torch.float64)
    impulse[0, 0, 2, 1] = 1
    kernel = ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), (7.0, 8.0, 9.0))
    seen = Blur(kernel)(impulse)[0, 0, 1:4, 0:3]
    assert torch.equal(seen, torch.tensor(kernel, dtype=torch.float64))
    rows = RandomRows(EVENT, 0.25).rows
    assert rows.shape == (18, 72)
    assert worst(rows @ rows.T, torch.eye(18, dtype=torch.float64), 1.0) < 1e-12


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: Mask(torch.ones(5, 5))(draw(2, 1, 4, 4)), r"mask has shape \(5, 5\)"),
        (lambda: Grey()(draw(2, 1, 4, 4)), "3 channels; events have 1"),
        (lambda: Downscale(3)(draw(2, 1, 4, 4)), "lengths divide by it"),
        (lambda: Downscale(2)(draw(2, 1, 4)), "2 axes"),
        (lambda: Blur(((1.0, 2.0),)), "odd length"),
        (lambda: Blur((1.0,))(draw(2, 1, 4, 4)), "1 axes blurs"),
        (lambda: RandomRows((2,))(draw(2, 3)), "rows for events"),
        (lambda: LinearOperator(lambda x: x**2, (2,)), "not linear"),
        (lambda: LinearOperator(lambda x: x + 1, (2,)), "not linear"),
        (lambda: LinearOperator(lambda x: 2 * x, (2,), lambda y: 3 * y), "adjoint is not"),
    ],
)
def test_refusals(call, word: str):
    with pytest.raises(InputError, match=word):
        call()


class _Broken(Projection):
    keeps_range = True

    def __init__(self, how: str) -> None:
        self.how = how

    def __call__(self, x):
        x = 2 * x if self.how == "range" else x
        x = x.abs() if self.how == "linear" else x
        return x - x.mean(0) if self.how == "rows" else x

    def adjoint(self, y):
        return 2 * y if self.how == "gain" else y


@pytest.mark.parametrize(
    ("how", "law"),
    [
        ("linear", "test_it_is_linear_and_has_its_adjoint"),
        ("rows", "test_each_row_is_measured_by_itself"),
        ("gain", "test_what_is_measured_can_be_imposed"),
        ("range", "test_it_keeps_the_range_that_it_says_it_keeps"),
    ],
)
def test_canaries(how: str, law: str):
    def broken() -> Operator:
        return _Broken(how)

    if how == "linear":
        with pytest.raises(InputError):
            check_linear(broken(), (3,))
        return
    breaks(OperatorContract, law, broken, event=lambda self: (3,))
