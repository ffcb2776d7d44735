"""Linear forward operators ``y = A x`` of inverse problems, with their adjoints."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, final

import torch
from torch import Tensor

from unnoise.core.broadcast import check_batch
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise


class Operator(ABC):
    """Linear forward operator of an inverse problem, with its adjoint."""

    family: ClassVar[str] = "operator"
    keeps_range: ClassVar[bool] = False
    """Whether what it measures lies between the event's least and greatest numbers, or is 0."""

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """``A x``, shape (B, *measurement), of events of shape (B, *event)."""

    @abstractmethod
    def adjoint(self, y: Tensor) -> Tensor:
        """``A^T y``, shape (B, *event), of measurements of shape (B, *measurement)."""


class Projection(Operator):
    """Operator with ``A A^T = gain`` where it measures, so x can be projected onto ``A x = y``.

    Attributes:
        gain: square of the length that a unit measurement has.
    """

    gain: float = 1.0

    @final
    def impose(self, x: Tensor, y: Tensor) -> Tensor:
        """Project ``x`` onto ``A x = y``: ``x - A^T A x / gain + A^T y / gain``."""
        return x - self.adjoint(self(x)) / self.gain + self.adjoint(y) / self.gain


@final
class LinearOperator(Operator):
    """Operator from any linear function; its adjoint comes from automatic differentiation.

    Arguments:
        function: ``function(x)`` of shape (B, *measurement), of each row by itself.
        shape: of the event.
        adjoint: the adjoint where it is known; checked.

    Raises:
        InputError: the function is not linear, or the adjoint is not its adjoint.
    """

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        shape: tuple[int, ...],
        adjoint: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.function, self.shape, self.given = function, tuple(shape), adjoint
        check_linear(self, self.shape)

    def __call__(self, x: Tensor) -> Tensor:
        return self.function(x)

    def adjoint(self, y: Tensor) -> Tensor:
        if self.given is not None:
            return self.given(y)
        with torch.enable_grad():
            # The derivative of a linear function is the same everywhere.
            probe = torch.zeros(len(y), *self.shape, dtype=y.dtype, device=y.device)
            probe.requires_grad_()
            return torch.autograd.grad(self.function(probe), probe, y)[0]


def check_linear(operator: Operator, shape: tuple[int, ...]) -> None:
    """Check that an operator is linear and its adjoint correct, on random events.

    Raises:
        InputError: ``A (x + 2 z) = A x + 2 A z`` or ``<A x, y> = <x, A^T y>`` does not hold.
    """
    x, z = (
        Noise(seed, range(3)).normal(torch.empty(3, *shape, dtype=torch.float64)) for seed in (0, 1)
    )
    y = operator(x)
    check_batch(y, "what the operator measures")
    off = operator(x + 2 * z) - y - 2 * operator(z)
    size = float(y.norm()) + 1e-12
    if float(off.norm()) > 1e-6 * size:
        raise InputError(
            f"this operator is not linear: A(x + 2z) differs from A x + 2 A z by "
            f"{float(off.norm()) / size:.1g} of A x. Inverse problems here need a linear one."
        )
    other = Noise(2, range(3)).normal(torch.empty_like(y))
    left = (y * other).flatten(1).sum(1)
    right = (x * operator.adjoint(other)).flatten(1).sum(1)
    if not torch.allclose(left, right, rtol=1e-6, atol=1e-6 * size):
        raise InputError(
            f"the adjoint is not that of this operator: <A x, y> = {float(left[0]):.4g}, but "
            f"<x, A^T y> = {float(right[0]):.4g}."
        )
