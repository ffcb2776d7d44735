"""Linear forward operators of inverse problems: mask, greyscale, downscaling, blur, random rows."""

from unnoise.operators.base import LinearOperator, Operator, Projection, check_linear
from unnoise.operators.images import Blur, Downscale, Grey, Mask
from unnoise.operators.random_rows import RandomRows

__all__ = [
    "Blur",
    "Downscale",
    "Grey",
    "LinearOperator",
    "Mask",
    "Operator",
    "Projection",
    "RandomRows",
    "check_linear",
]
