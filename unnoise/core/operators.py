"""Linear measurements ``y = A x``: what is seen of an event, and how it is carried back."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Annotated, ClassVar, final

import torch
from torch import Tensor
from torch.nn import functional

from unnoise.core.broadcast import check_batch
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.core.ranges import Kernel, Positive, Several, Shape, Table, Width
from unnoise.core.registry import register


class Operator(ABC):
    """A linear map of events, and its adjoint."""

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
    """An operator with ``A A^T = gain`` where it measures: what it sees can be replaced outright.

    Attributes:
        gain: square of the length that a unit measurement has.
    """

    gain: float = 1.0

    @final
    def impose(self, x: Tensor, y: Tensor) -> Tensor:
        """The event nearest to ``x`` that measures ``y``: ``x - A^T A x / gain + A^T y / gain``."""
        return x - self.adjoint(self(x)) / self.gain + self.adjoint(y) / self.gain


@final
class Mask(Projection):
    """Some of the numbers of an event; the others are measured as 0.

    Arguments:
        known: True (or above a half) where the event is seen; shape (*event,), or one that
            broadcasts against it, such as (1, H, W) for all channels of an image.
    """

    keeps_range = True

    def __init__(self, known: Tensor) -> None:
        self.known = known > 0.5 if known.is_floating_point() else known.bool()

    def __call__(self, x: Tensor) -> Tensor:
        mine, event = self.known.shape, x.shape[1:]
        pairs = zip(reversed(mine), reversed(event), strict=False)
        if len(mine) > len(event) or any(m not in (1, n) for m, n in pairs):
            raise InputError(
                f"the mask has shape {tuple(mine)}; events have {tuple(event)}. "
                "Give a mask of the event's own height and width."
            )
        return torch.where(self.known.to(x.device), x, 0.0)

    def adjoint(self, y: Tensor) -> Tensor:
        return self(y)


@register("operator", "grey")
@final
class Grey(Projection):
    """The mean of an image's channels: (B, C, *space) as (B, 1, *space).

    Arguments:
        channels: C.
    """

    keeps_range = True

    def __init__(self, channels: Width = 3) -> None:
        self.channels, self.gain = channels, 1 / channels

    def __call__(self, x: Tensor) -> Tensor:
        if x.shape[1] != self.channels:
            raise InputError(f"grey is of {self.channels} channels; events have {x.shape[1]}.")
        return x.mean(1, keepdim=True)

    def adjoint(self, y: Tensor) -> Tensor:
        return (y / self.channels).expand(-1, self.channels, *y.shape[2:])


@register("operator", "downscale")
@final
class Downscale(Projection):
    """Means over squares of ``factor`` points, for signals (B, C, L) and images (B, C, H, W).

    Arguments:
        factor: side of a square; lengths divide by it.
        axes: of the event: 1 or 2.
    """

    keeps_range = True

    def __init__(self, factor: Width = 2, axes: Several = 2) -> None:
        self.factor, self.axes, self.gain = factor, axes, factor**-axes

    def __call__(self, x: Tensor) -> Tensor:
        if x.ndim != 2 + self.axes or any(n % self.factor for n in x.shape[2:]):
            raise InputError(
                f"downscaling by {self.factor} takes events of {self.axes} axes whose lengths "
                f"divide by it; given {tuple(x.shape[1:])}."
            )
        for axis in range(2, x.ndim):
            x = x.unflatten(axis, (-1, self.factor)).mean(axis + 1)
        return x

    def adjoint(self, y: Tensor) -> Tensor:
        for axis in range(2, y.ndim):
            y = y.repeat_interleave(self.factor, axis)
        return y * self.gain


@register("operator", "blur")
@final
class Blur(Operator):
    """Convolution of each channel with a kernel; 0 (the middle of the range) beyond the border.

    Arguments:
        kernel: weights, an odd number along each axis: a list of numbers for signals, a list of
            lists for images.
    """

    def __init__(self, kernel: Annotated[tuple[float, ...], Table] | Kernel) -> None:
        self.kernel = torch.tensor(kernel, dtype=torch.float64)
        if self.kernel.ndim not in (1, 2) or any(n % 2 == 0 for n in self.kernel.shape):
            raise InputError(
                f"a blur kernel has shape {tuple(self.kernel.shape)}; give one or two axes of odd "
                "length."
            )

    def __call__(self, x: Tensor) -> Tensor:
        return self._convolved(x, self.kernel)

    def adjoint(self, y: Tensor) -> Tensor:
        return self._convolved(y, self.kernel.flip(*range(self.kernel.ndim)))

    def _convolved(self, x: Tensor, kernel: Tensor) -> Tensor:
        if x.ndim != 2 + kernel.ndim:
            raise InputError(
                f"a kernel of {kernel.ndim} axes blurs events (C, ...) of as many; given "
                f"{tuple(x.shape[1:])}."
            )
        # torch's convolution is a correlation: the kernel is turned round.
        turned = kernel.flip(*range(kernel.ndim)).to(x)[None, None]
        flat = x.flatten(0, 1)[:, None]
        padding = [n // 2 for n in kernel.shape]
        convolve = {1: functional.conv1d, 2: functional.conv2d}[kernel.ndim]
        return convolve(flat, turned, padding=padding).reshape(x.shape)


_MOST_NUMBERS = 2**27  # in all directions together: a gigabyte in float64


@register("operator", "random-rows")
@final
class RandomRows(Projection):
    """Compressed sensing: inner products with random directions at right angles to each other.

    Arguments:
        shape: of the event.
        share: number of measurements as a share of the event's numbers.
        seed: of the directions.

    References:
        Candes, Romberg and Tao, Robust uncertainty principles, IEEE Trans. Inf. Theory 2006.
    """

    def __init__(self, shape: Shape, share: Positive = 0.25, seed: int = 0) -> None:
        self.shape = tuple(shape)
        size = math.prod(self.shape)
        count = min(size, max(1, round(share * size)))
        if count * size > _MOST_NUMBERS:
            raise InputError(
                f"random rows for events of {size:,} numbers: {count:,} of them are too many; "
                "take a smaller share."
            )
        drawn = Noise(seed, range(count)).child("rows").normal(torch.empty(count, size).double())
        self.rows = torch.linalg.qr(drawn.T).Q.T.contiguous()

    def __call__(self, x: Tensor) -> Tensor:
        if x.shape[1:] != self.shape:
            raise InputError(f"rows for events {self.shape}; given {tuple(x.shape[1:])}.")
        return x.flatten(1) @ self.rows.T.to(x)

    def adjoint(self, y: Tensor) -> Tensor:
        return (y @ self.rows.to(y)).reshape(-1, *self.shape)


@final
class LinearOperator(Operator):
    """Any linear function of the user's; its adjoint comes from automatic differentiation.

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
    """Try an operator on random events.

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
