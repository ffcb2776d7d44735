"""Evaluation metrics of a set of samples, and a line that states their protocol."""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from unnoise.core.errors import InputError
from unnoise.data import DataInfo
from unnoise.evaluation.distances import matrix
from unnoise.evaluation.frechet import frechet_distance
from unnoise.evaluation.judge import Judge
from unnoise.evaluation.nearest import memorisation_ratio
from unnoise.evaluation.precision_recall import precision_recall

_NEIGHBOUR = 3


@dataclass(frozen=True)
class Scores:
    """Evaluation metrics of a set of samples.

    Arguments:
        accuracy: share of samples in which the judge sees the class that was asked for; None
            without classes or judge.
        frechet: Frechet distance to the held-out examples, >= 0.
        precision: share of samples among the held-out examples' neighbourhoods, in [0, 1].
        recall: share of held-out examples among the samples' neighbourhoods, in [0, 1].
        memorisation: distance to the nearest training example over that of held-out ones; 1 is
            what fresh data gives.
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


def features(info: DataInfo, x: Tensor) -> Tensor:
    """Features for the metrics: an example's own values (pixels), in one row.

    Discrete data: the stored level k of each value, as ``2 k / (levels - 1) - 1`` in [-1, 1] (k / 8
    - 1 for the digits' 17 levels). Continuous data: the modelled values.

    Arguments:
        info: of the data that the model was trained on.
        x: modelled values, shape (N, *info.shape).

    Returns:
        Shape (N, D), float64, on the CPU; D is the product of info.shape.

    Raises:
        InputError: another shape, NaN or infinite values.
    """
    if tuple(x.shape[1:]) != info.shape:
        raise InputError(
            f"examples of shape {tuple(x.shape[1:])} are not like data {info.name!r}, which has "
            f"{info.shape}."
        )
    rows = matrix(x.flatten(1), "generated")
    if info.levels is None:
        return rows
    # Of x as it came: rounded in another type, a value on a border would change its level.
    return info.to_stored(x).flatten(1).cpu().double() * (2 / max(1, info.levels - 1)) - 1


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
