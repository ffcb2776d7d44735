"""Training: loop, optimiser, EMA of the weights, checkpoints, listeners (callbacks)."""

from unnoise.training.events import (
    Began,
    Ended,
    Event,
    Listener,
    MetricsLog,
    Paused,
    Saved,
    Stepped,
    Warned,
)
from unnoise.training.fit import fit
from unnoise.training.run import Run
from unnoise.training.settings import Training
from unnoise.training.snapshots import read_average

__all__ = [
    "Began",
    "Ended",
    "Event",
    "Listener",
    "MetricsLog",
    "Paused",
    "Run",
    "Saved",
    "Stepped",
    "Training",
    "Warned",
    "fit",
    "read_average",
]
