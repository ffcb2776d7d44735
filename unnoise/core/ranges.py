"""Ranges of constructor arguments, as types; the registry checks them."""

from typing import Annotated

from annotated_types import Ge, Gt, Interval

Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
Fraction = Annotated[float, Interval(ge=0, le=1)]
Share = Annotated[float, Interval(gt=0, le=1)]
# More of anything is a slip of the finger, which would else fill the memory for minutes first.
MOST = 10_000_000
Count = Annotated[int, Interval(ge=1, le=MOST)]
Index = Annotated[int, Interval(ge=0, le=MOST)]
Few = Annotated[int, Interval(ge=0, le=64)]  # threads or processes that help
