"""Floor 4: whole models behind one face."""

from unnoise.models.base import Model, Phase
from unnoise.models.diffusion import Diffusion
from unnoise.models.files import load, save
from unnoise.models.general import ScoreDiffusion
from unnoise.models.measurement import Imputation, Measurement
from unnoise.models.sampling import Sampling

__all__ = [
    "Diffusion",
    "Imputation",
    "Measurement",
    "Model",
    "Phase",
    "Sampling",
    "ScoreDiffusion",
    "load",
    "save",
]
