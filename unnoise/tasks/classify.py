"""Evaluation of a noise-aware classifier: accuracy by noise level."""

from typing import Any

import torch

from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.data import Dataset
from unnoise.evaluation import Evaluation
from unnoise.system.progress import counting
from unnoise.tasks.own_data import own_data

LEVELS = 9


def classify(model: Any, settings: Evaluation, held_out: Dataset | None = None) -> dict[str, Any]:
    """Accuracy and -log p(y | x_t) of held-out examples at levels spread over the practised ones.

    Arguments:
        model: a trained classifier.
        settings: ``reference`` examples are looked at, at most; ``seed`` draws their noise.
        held_out: data that it has not seen; the model's own when absent.

    Returns:
        Figures for metrics.json: "levels" (sigma / alpha), and for each its "accuracies" and
        "nats"; "accuracy" is that of the lowest level.

    Raises:
        InputError: the data has no labels.
    """
    data = own_data(model, "test") if held_out is None else held_out
    count = min(len(data), settings.reference)
    batch = data.batch(torch.arange(count) * len(data) // count)
    if batch.label is None:
        raise InputError(f"data {data.info.name!r} has no labels to tell apart.")
    process = model.process
    ends = torch.tensor([process.t_min, process.t_max], dtype=torch.float64)
    low, high = process.angle(ends).tan().log().tolist()
    noise = Noise(settings.seed, range(count)).child("classify")
    levels, right, nats = torch.linspace(low, high, LEVELS).exp().tolist(), [], []
    with counting("classifying", LEVELS, "levels") as done:
        for i, level in enumerate(levels):
            t = process.time(torch.tensor(level, dtype=torch.float64).atan())
            x = process.forward(batch.x, t).sample(noise.child(i))
            with torch.no_grad():
                found = torch.cat([model.log_probs(part, t) for part in x.split(256)])
            right.append(float((found.argmax(1) == batch.label).double().mean()))
            nats.append(-float(found.gather(1, batch.label[:, None]).double().mean()))
            done()
    return {
        "protocol": f"classifier, {count} held-out examples of {data.info.name}, each at "
        f"{LEVELS} levels of noise",
        "accuracy": right[0],
        "levels": [round(level, 6) for level in levels],
        "accuracies": right,
        "nats": nats,
    }
