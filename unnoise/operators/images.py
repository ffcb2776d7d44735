"""Forward operators of images and signals: inpainting mask, greyscale, downscaling, blur."""

from typing import Annotated, final

import torch
from torch import Tensor
from torch.nn import functional

from unnoise.catalogue.ranges import Kernel, Several, Table, Width
from unnoise.catalogue.registry import register
from unnoise.core.errors import InputError
from unnoise.operators.base import Operator, Projection


@final
class Mask(Projection):
    """Inpainting mask: the known numbers of an event; the others are measured as 0.

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
    """Greyscale (colourisation): the mean of an image's channels, (B, C, *space) as (B, 1, *space).

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
    """Downscaling (super-resolution): average pooling of (B, C, L) or (B, C, H, W) by ``factor``.

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
    """Blur (deblurring): convolution of each channel with a kernel, zero padding at the border.

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
