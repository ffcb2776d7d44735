"""Floor 1: how data becomes noise."""

from unnoise.processes.base import SDE, Process
from unnoise.processes.gaussian import GaussianProcess
from unnoise.processes.schedules import EDM, VE, VP, Cosine, Rectified, SubVP

__all__ = [
    "EDM",
    "SDE",
    "VE",
    "VP",
    "Cosine",
    "GaussianProcess",
    "Process",
    "Rectified",
    "SubVP",
]
