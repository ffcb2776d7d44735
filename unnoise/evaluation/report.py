"""Evaluation metrics of a set of samples, and a line that states their protocol."""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unnoise.core.errors import InputError, short
from unnoise.core.noise import Noise
from unnoise.evaluation.accuracy import Accuracy
from unnoise.evaluation.featured import Featured
from unnoise.evaluation.frechet import Frechet, frechet_distance
from unnoise.evaluation.judge import Judge
from unnoise.evaluation.metric import Metric
from unnoise.evaluation.nearest import Memorisation, memorisation_ratio
from unnoise.evaluation.precision_recall import ImprovedPrecisionRecall, precision_recall
from unnoise.models import Model
from unnoise.system import parallel

_NEIGHBOUR = 3

USUAL: tuple[Metric, ...] = (Accuracy(), Frechet(), ImprovedPrecisionRecall(), Memorisation())
"""The metrics of samples that are computed where nothing else is asked for."""


@dataclass(frozen=True)
class Scores:
    """The usual metrics of a set of samples, given as features.

    Arguments:
        accuracy, frechet, precision, recall, memorisation: of the metrics in ``USUAL``; accuracy
            is None without classes or judge.
        count: number of samples.
        protocol: one line that says how the figures were made.
    """

    accuracy: float | None
    frechet: float
    precision: float
    recall: float
    memorisation: float
    count: int
    protocol: str


def score(
    generated: Tensor,
    requested_labels: Tensor | None,
    train: Tensor,
    held_out: Tensor,
    judge: Judge | None = None,
) -> Scores:
    """Compute all metrics of a set of samples; references are always the *held-out* examples.

    Arguments:
        generated: features of samples, shape (N, D), N > 3.
        requested_labels: the classes that were asked for, shape (N,), or None.
        train: features of the training examples, shape (M, D).
        held_out: features of examples not trained on, shape (K, D), K > 3.
        judge: says which class a sample shows; trained on the held-out examples, never on what the
            model has seen. None gives no accuracy.

    Returns:
        Scores.

    Raises:
        InputError: counts, widths or labels that do not fit, NaN.
    """
    accuracy = None
    if judge is not None and requested_labels is not None:
        asked = requested_labels.detach().to("cpu")
        if asked.shape != (len(generated),):
            raise InputError(
                f"labels of shape {tuple(asked.shape)} for {len(generated)} samples; give one each."
            )
        accuracy = float((judge.predict(generated) == asked).double().mean())
    near = precision_recall(held_out, generated, _NEIGHBOUR)
    return Scores(
        accuracy=accuracy,
        frechet=frechet_distance(generated, held_out),
        precision=near.precision,
        recall=near.recall,
        memorisation=memorisation_ratio(generated, train, held_out),
        count=len(generated),
        protocol=_protocol(generated, train, held_out),
    )


def _protocol(generated: Tensor, train: Tensor, held_out: Tensor) -> str:
    sets = [
        f"{name} {len(x)} ({_hash(x)})" for name, x in (("held-out", held_out), ("train", train))
    ]
    return (
        f"n {len(generated)}, features pixels ({generated.shape[1]}), frechet and "
        f"precision/recall (k {_NEIGHBOUR}) against {sets[0]}, nearest neighbours in {sets[1]}"
    )


def _hash(x: Tensor) -> str:
    """First 12 digits of the sha256 of features as float32: enough to tell data sets apart."""
    rounded = x.detach().to("cpu", torch.float32).contiguous()
    return hashlib.sha256(rounded.numpy().tobytes()).hexdigest()[:12]


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
            for name, value in metric(drawn, train, held_out, model, noise).items():
                if name in {*found, "count", "protocol", "sampling"}:
                    raise InputError(f"metric {short(metric)}: {short(name)} is there already.")
                found[name] = known(value)

    def alone() -> None:
        compute(single)
        found["count"] = len(drawn)
        if single == USUAL:
            found["protocol"] = _protocol(drawn.features, train.features, held_out.features)
            return
        named = ", ".join(map(repr, single)) or "no metric of samples"
        sets = [f"{len(data)} ({data.info.sha256[:12]})" for data in (held_out, train)]
        found["protocol"] = f"n {len(drawn)}, {named}; held-out {sets[0]}, train {sets[1]}"

    parallel.alone(alone)
    compute(metric for metric in metrics if metric.shared)
    return found


def known(value: float) -> float | None:
    """A figure as JSON has it: whole numbers stay, NaN and infinity are None."""
    number = value if isinstance(value, int) else float(value)
    return number if math.isfinite(number) else None
