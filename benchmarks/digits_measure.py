"""The figures of a set of digits, the same for everyone's samples."""

import math
from typing import Any

import torch
from torch import Tensor

import unnoise
from unnoise.evaluation import Judge, frechet_distance, memorisation_ratio, precision_recall

COUNT = 1000
SIGMA = 0.02


def stored(split: str) -> tuple[Tensor, Tensor]:
    """Levels 0 ... 16, shape (N, 64), and labels, of "train" (1,200) or "test" (597)."""
    data = unnoise.data.digits(split)  # pyright: ignore[reportArgumentType]
    batch = data[:]
    assert batch.label is not None
    return data.info.to_stored(batch.x).flatten(1), batch.label


def requested() -> Tensor:
    """The classes asked for: 100 of each, in turn."""
    return torch.arange(COUNT) % 10


def figures(levels: Tensor) -> dict[str, float]:
    """What ``unnoise evaluate`` measures, with scikit-learn's SVC as a second opinion.

    Arguments:
        levels: samples rounded to the levels 0 ... 16, shape (1000, 64), of ``requested()``.
    """
    from sklearn.svm import SVC

    (known, _), (unseen, labels) = stored("train"), stored("test")
    asked = requested()
    referee = SVC(C=10, gamma=0.001)  # pyright: ignore[reportArgumentType]
    referee.fit(unseen.numpy(), labels.numpy())
    answers = torch.from_numpy(referee.predict(levels.numpy()))
    made, train, real = (x.double() / 8 - 1 for x in (levels, known, unseen))
    near = precision_recall(real, made)
    return {
        "accuracy_svc": float((answers == asked).double().mean()),
        "accuracy_judge": float((Judge.train(real, labels).predict(made) == asked).double().mean()),
        "frechet": frechet_distance(made, real),
        "precision": near.precision,
        "recall": near.recall,
        "memorisation": memorisation_ratio(made, train, real),
    }


def bits(model: unnoise.Diffusion, steps: int, count: int | None = None) -> dict[str, float]:
    """Bits a dimension of held-out digits given their labels, exact trace, at sigma 0.02.

    Arguments:
        model: with its data's description.
        steps: of the walk, one network call each.
        count: of the held-out images; None takes all 597.
    """
    data = unnoise.data.digits("test")
    index = torch.arange(len(data) if count is None else count)
    # (k + u) / 17 * 2 - 1, the same u as in `unnoise likelihood --seed 0`.
    batch = data.batch(index, unnoise.Noise(0, index.tolist()).child("likelihood"))
    t = float(model.process.time(math.atan(SIGMA)))
    found = model.log_prob(batch.x, batch.cond, t=t, steps=steps, divergence="exact")
    result = unnoise.bits_per_dim(found, data.info.shape, 17)
    return {"bits_per_dim": result.value, "bits_per_dim_standard_error": result.standard_error}


def convergence(model: unnoise.Diffusion, count: int = 100) -> list[dict[str, Any]]:
    """Bits a dimension of the first images as the steps are doubled."""
    return [
        {"steps": steps, "count": count, **bits(model, steps, count)}
        for steps in (4, 8, 16, 32, 64)
    ]
