"""The [evaluation] table of a recipe."""

from dataclasses import dataclass
from typing import ClassVar, final

from unnoise.core.ranges import Count, Index, Positive
from unnoise.core.registry import register
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

    count: Count = 1000
    reference: Count = 10_000
    seed: int = 0
    likelihood: Index | None = None
    likelihood_sigma: Positive | None = None
    likelihood_steps: Count = 64
    likelihood_draws: Count = 1
    divergence: Divergence = Hutchinson()
