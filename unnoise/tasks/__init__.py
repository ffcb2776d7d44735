"""Tasks: what the commands do, one file a verb, for the command line and from Python alike."""

from unnoise.tasks.evaluate import evaluate
from unnoise.tasks.trackers import TensorBoard, Tracker, WandB
from unnoise.tasks.train import assemble, train
from unnoise.tasks.verify import Verified, verify

__all__ = [
    "TensorBoard",
    "Tracker",
    "Verified",
    "WandB",
    "assemble",
    "evaluate",
    "train",
    "verify",
]
