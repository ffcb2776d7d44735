"""Floor 3: what a denoiser is taught."""

from unnoise.objectives.base import Loss, Objective
from unnoise.objectives.regression import Regression
from unnoise.objectives.times import LogNormal, Times, Uniform
from unnoise.objectives.weights import Weight

__all__ = ["LogNormal", "Loss", "Objective", "Regression", "Times", "Uniform", "Weight"]
