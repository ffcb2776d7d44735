"""Evaluation settings: the [evaluation] table of a recipe."""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, final

from annotated_types import Interval

from unnoise.catalogue.ranges import Draws, Examples, Positive, Steps
from unnoise.catalogue.registry import register
from unnoise.core.errors import InputError
from unnoise.core.noise import check_seed
from unnoise.evaluation.likelihood_figures import HeldOutLikelihood
from unnoise.evaluation.metric import Metric
from unnoise.evaluation.report import USUAL
from unnoise.likelihood import Divergence, Hutchinson

_MOST = 64


@register("evaluation", "evaluation")
@final
@dataclass(frozen=True)
class Evaluation:
    """Evaluation settings: what a trained model is measured by, and on how much.

    Arguments:
        count: samples to draw.
        reference: most examples of the training data, and of the held-out, to compare with.
        seed: of the samples and of whatever metrics draw.
        likelihood: held-out examples whose likelihood is computed; 0 computes none, None takes all.
        likelihood_sigma: noise level (sigma / alpha) whose density is asked about; None takes the
            smallest that was trained.
        likelihood_steps: steps of the probability-flow ODE, one network call each.
        likelihood_draws: dequantisations of each example.
        divergence: how its divergence is computed.
        metrics: what is computed, in this order; what several processes share comes last.
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
    metrics: tuple[Metric, ...] = (*USUAL, HeldOutLikelihood())

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if len(self.metrics) > _MOST:
            raise InputError(f"metrics: these are {len(self.metrics):,}; give at most {_MOST}.")

    def of_likelihood(self, metric: HeldOutLikelihood) -> HeldOutLikelihood:
        """The likelihood with the settings of this table where it has none of its own."""
        table = {
            "count": self.likelihood or None,
            "sigma": self.likelihood_sigma,
            "steps": self.likelihood_steps,
            "draws": self.likelihood_draws,
            "divergence": self.divergence,
        }
        return replace(metric, **{k: v for k, v in table.items() if getattr(metric, k) is None})

    def chosen(self) -> tuple[Metric, ...]:
        """The metrics to compute; without likelihoods where ``likelihood`` is 0."""
        return tuple(
            self.of_likelihood(metric) if isinstance(metric, HeldOutLikelihood) else metric
            for metric in self.metrics
            if self.likelihood != 0 or not isinstance(metric, HeldOutLikelihood)
        )
