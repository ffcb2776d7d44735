"""What a model is measured by, the [evaluation] table; and a line that states the protocol."""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, final

import torch
from annotated_types import Interval
from torch import Tensor

from unnoise.catalogue.ranges import Draws, Examples, Positive, Steps
from unnoise.catalogue.registry import register
from unnoise.core.errors import InputError, short
from unnoise.core.noise import Noise, check_seed
from unnoise.evaluation.accuracy import Accuracy
from unnoise.evaluation.likelihood_figures import HeldOutLikelihood
from unnoise.evaluation.metric import Featured, Metric
from unnoise.evaluation.neighbours import ImprovedPrecisionRecall, Memorisation
from unnoise.evaluation.wasserstein import Frechet
from unnoise.likelihood import Divergence, Hutchinson
from unnoise.models import Model
from unnoise.system import parallel
from unnoise.system.progress import counting

_MOST = 64

USUAL: tuple[Metric, ...] = (Accuracy(), Frechet(), ImprovedPrecisionRecall(), Memorisation())
"""The metrics of samples that are computed where nothing else is asked for."""


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


def measure(
    metrics: Sequence[Metric],
    drawn: Featured,
    train: Featured,
    held_out: Featured,
    model: Model,
    noise: Noise,
) -> dict[str, Any]:
    """Compute metrics: first those that process 0 computes alone, then those that all share.

    Arguments:
        metrics: what to compute.
        drawn, train, held_out, model, noise: as ``Metric`` takes them.

    Returns:
        Figures by name, ready for JSON; of several processes only number 0 has all.

    Raises:
        InputError: two figures have one name.
    """
    found: dict[str, Any] = {}
    single = tuple(metric for metric in metrics if not metric.shared)

    def compute(chosen: Iterable[Metric]) -> None:
        for metric in chosen:
            with counting(type(metric).__name__):
                figures = metric(drawn, train, held_out, model, noise)
            for name, value in figures.items():
                if name in {*found, "count", "protocol", "sampling"}:
                    raise InputError(f"metric {short(metric)}: {short(name)} is there already.")
                found[name] = known(value)

    def alone() -> None:
        compute(single)
        found["count"] = len(drawn)
        found["protocol"] = _protocol(single, drawn, train, held_out)

    parallel.alone(alone)
    compute(metric for metric in metrics if metric.shared)
    return found


def known(value: float) -> float | None:
    """A figure as JSON has it: whole numbers stay, NaN and infinity are None."""
    number = value if isinstance(value, int) else float(value)
    return number if math.isfinite(number) else None


def _protocol(
    metrics: tuple[Metric, ...], drawn: Featured, train: Featured, held_out: Featured
) -> str:
    """How the figures of samples were made."""
    if metrics != USUAL:
        named = ", ".join(map(repr, metrics)) or "no metric of samples"
        sets = [f"{len(data)} ({data.info.sha256[:12]})" for data in (held_out, train)]
        return f"n {len(drawn)}, {named}; held-out {sets[0]}, train {sets[1]}"
    count, width = drawn.features.shape
    sets = [f"{len(data.features)} ({_hash(data.features)})" for data in (held_out, train)]
    return (
        f"n {count}, features pixels ({width}), frechet and precision/recall (k 3) against "
        f"held-out {sets[0]}, nearest neighbours in train {sets[1]}"
    )


def _hash(x: Tensor) -> str:
    """First 12 digits of the sha256 of features as float32: enough to tell data sets apart."""
    rounded = x.detach().to("cpu", torch.float32).contiguous()
    return hashlib.sha256(rounded.numpy().tobytes()).hexdigest()[:12]
