"""Sampling defaults of a model: the [sampling] table of a recipe, one kind for each way to draw."""

from dataclasses import dataclass
from typing import ClassVar, final

from unnoise.catalogue.ranges import Chunk, NotNegative, Steps, Threads
from unnoise.catalogue.registry import register
from unnoise.denoisers import Guidance
from unnoise.solvers import AutoGrid, GaussianExponential, Grid, Solver


@register("sampling", "walk")
@final
@dataclass(frozen=True)
class Sampling:
    """Defaults of ``sample`` of models that walk from noise to data, stored in the model file.

    Arguments:
        solver: how to step.
        steps: number of steps.
        grid: how to space them.
        guidance: how strongly to lean towards a condition; 1 is plain conditional, 0 unconditional.
        chunk: rows computed together, padded. Networks round differently in batches of different
            size but not in chunks of one size, so equal seeds give equal bits for any n. None goes
            by the event's size: 64 at 8x8, 16 at 16x16, 4 at 32x32, 1 from 64x64 on.
        threads: CPU threads used for exact sampling, for the same reason.
    """

    family: ClassVar[str] = "sampling"

    solver: Solver = GaussianExponential()
    steps: Steps = 18
    grid: Grid = AutoGrid()
    guidance: Guidance | float = 1.0
    chunk: Chunk | None = None
    threads: Threads = 1


@register("sampling", "draw")
@final
@dataclass(frozen=True)
class DrawSampling:
    """Defaults of ``sample`` of models that draw at once, without a walk.

    Arguments:
        temperature: factor of the latent noise's standard deviation; 1 is the law that was learned.
        chunk, threads: as in ``Sampling``.
    """

    family: ClassVar[str] = "sampling"

    temperature: NotNegative = 1.0
    chunk: Chunk | None = None
    threads: Threads = 1
