"""Contract tests of a linear measurement operator."""

from abc import ABC, abstractmethod
from typing import final

from torch import Tensor

from unnoise.operators import Operator, Projection, check_linear
from unnoise.testing.compare import draw, worst


class OperatorContract(ABC):
    """Contract tests for every linear operator; a subclass names the operator and event shape."""

    @abstractmethod
    def make(self) -> Operator: ...

    @abstractmethod
    def event(self) -> tuple[int, ...]: ...

    @final
    def test_it_is_linear_and_has_its_adjoint(self) -> None:
        check_linear(self.make(), self.event())

    @final
    def test_each_row_is_measured_by_itself(self) -> None:
        operator, x = self.make(), draw(5, *self.event())
        y = operator(x)
        assert y.dtype == x.dtype and worst(operator(x[2:3]), y[2:3], 1.0) < 1e-12
        back = operator.adjoint(y)
        assert back.shape == x.shape and worst(operator.adjoint(y[2:3]), back[2:3], 1.0) < 1e-12

    @final
    def test_it_keeps_the_range_that_it_says_it_keeps(self) -> None:
        operator = self.make()
        if operator.keeps_range:
            y = operator(draw(20, *self.event()).clamp(-1, 1) + 3)
            assert bool(((y == 0) | ((y >= 2 - 1e-12) & (y <= 4 + 1e-12))).all())

    @final
    def test_what_is_measured_can_be_imposed(self) -> None:
        operator = self.make()
        if not isinstance(operator, Projection):
            return
        x, other = draw(4, *self.event()), draw(4, *self.event(), name="other")
        y = operator(x)
        imposed = operator.impose(other, y)
        assert worst(operator(imposed), y, 1.0) < 1e-12
        # Nearest: what changed lies along the measurements.
        assert _apart(operator, imposed - other) < 1e-12
        assert worst(operator.impose(x, y), x, 1.0) < 1e-12


def _apart(operator: Projection, change: Tensor) -> float:
    """How much of a change is not along what is measured."""
    along = operator.adjoint(operator(change)) / operator.gain
    return worst(along, change, 1.0)
