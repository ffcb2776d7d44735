"""The [evaluation] table of a recipe."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, final

from annotated_types import Interval

from unnoise.catalogue.ranges import Draws, Examples, Positive, Steps
from unnoise.catalogue.registry import register
from unnoise.core.noise import check_seed
from unnoise.likelihood import Divergence, Hutchinson


@register("evaluation", "evaluation")
@final
@dataclass(frozen=True)
class Evaluation:
    """How to measure.

    Arguments:
        count: samples to draw.
        reference: most examples of the training data, and of the held-out, to compare with.
        seed: of the samples and of the likelihood's draws.
        likelihood: held-out examples whose likelihood is computed; 0 computes none, None takes all.
        likelihood_sigma: noise level (sigma / alpha) whose density is asked about; None takes the
            smallest that was trained.
        likelihood_steps: steps of the probability-flow ODE, one network call each.
        likelihood_draws: dequantisations of each example.
        divergence: how its divergence is computed.
    """

    family: ClassVar[str] = "evaluation"

    count: Examples = 1000
    reference: Examples = 10_000
    seed: int = 0
    likelihood: Annotated[int, Interval(ge=0, le=1_000_000)] | None = None
    likelihood_sigma: Positive | None = None
    likelihood_steps: Steps = 64
    likelihood_draws: Draws = 1
    divergence: Divergence = Hutchinson()

    def __post_init__(self) -> None:
        check_seed(self.seed)
