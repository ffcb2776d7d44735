"""Linear measurements of events, for inverse problems."""

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
