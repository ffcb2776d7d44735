"""Range types of constructor arguments, which the registry checks; range checks of others."""

from numbers import Integral
from typing import Annotated, Any

from annotated_types import Ge, Gt, Interval, Len, MaxLen

from unnoise.core.errors import InputError, short

Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
Fraction = Annotated[float, Interval(ge=0, le=1)]
Share = Annotated[float, Interval(gt=0, le=1)]

# More of anything is a slip of the finger, which would else fill the memory for minutes first.
MOST = 10_000_000
MOST_STEPS = 100_000
MOST_DRAWS = 10_000
MOST_THREADS = 1_024
LAST_SAMPLE = 10**15
Count = Annotated[int, Interval(ge=1, le=MOST)]
Index = Annotated[int, Interval(ge=0, le=MOST)]
Examples = Annotated[int, Interval(ge=1, le=1_000_000)]  # that are drawn or looked at together
ChainSteps = Annotated[int, Interval(ge=1, le=1_000_000)]  # steps of a tabulated one
Steps = Annotated[int, Interval(ge=1, le=MOST_STEPS)]  # of a solver
Draws = Annotated[int, Interval(ge=1, le=MOST_DRAWS)]  # probes, particles, repeats
Width = Annotated[int, Interval(ge=1, le=65_536)]
Chunk = Annotated[int, Interval(ge=1, le=65_536)]
Depth = Annotated[int, Interval(ge=1, le=1_000)]
Threads = Annotated[int, Interval(ge=1, le=MOST_THREADS)]
Several = Annotated[int, Interval(ge=1, le=64)]
Few = Annotated[int, Interval(ge=0, le=64)]  # threads that help, paths in a picture
Frames = Annotated[int, Interval(ge=1, le=1_000)]
Shape = Annotated[tuple[Count, ...], Len(1, 8)]
Multipliers = Annotated[tuple[Several, ...], Len(1, 16)]
Kernel = Annotated[tuple[Annotated[tuple[float, ...], MaxLen(1_001)], ...], MaxLen(1_001)]
Table = MaxLen(100_000)  # numbers that are written out, one for each step
Short = MaxLen(16)  # settings of which each costs time and memory


def whole(value: Any, what: str, least: int, most: int, of: str = "") -> int:
    """Check that a value is a whole number, of Python or numpy, in a range.

    Arguments:
        value: what was given.
        what: how a refusal calls it, such as "steps".
        least, most: the range, ends included.
        of: what is counted, such as " of samples".

    Raises:
        InputError: it is not one, or outside.
    """
    number = int(value) if isinstance(value, Integral) and not isinstance(value, bool) else None
    if number is not None and least <= number <= most:
        return number
    raise InputError(f"{what} = {short(value)}: give a whole number{of}, {least:,} to {most:,}.")


def real(value: Any, what: str) -> float:
    """Check that a value is a finite number, of Python, numpy or torch; gives a float.

    Raises:
        InputError: it is not one.
    """
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        number = float("nan")
    if isinstance(value, str | bytes | bool) or not abs(number) < float("inf"):
        raise InputError(f"{what} = {short(value)}: give a number.")
    return number
