"""How a model samples when nobody says otherwise: the [sampling] table of a recipe."""

from dataclasses import dataclass
from typing import ClassVar, final

from unnoise.catalogue.ranges import Chunk, Steps, Threads
from unnoise.catalogue.registry import register
from unnoise.denoisers import Guidance
from unnoise.solvers import AutoGrid, GaussianExponential, Grid, Solver


@register("sampling", "sampling")
@final
@dataclass(frozen=True)
class Sampling:
    """Defaults of ``sample``, stored in the model file.

    Arguments:
        solver: how to step.
        steps: number of steps.
        grid: how to space them.
        guidance: how strongly to lean towards a condition; 1 is plain conditional, 0 unconditional.
        chunk: rows computed together, padded. Networks round differently in batches of different
            size but not in chunks of one size, so equal seeds give equal bits for any n.
        threads: CPU threads used for exact sampling, for the same reason.
    """

    family: ClassVar[str] = "sampling"

    solver: Solver = GaussianExponential()
    steps: Steps = 18
    grid: Grid = AutoGrid()
    guidance: Guidance | float = 1.0
    chunk: Chunk = 64
    threads: Threads = 1
