"""Floor 4: whole models behind one face."""

from unnoise.models.base import Model, Phase
from unnoise.models.diffusion import Diffusion
from unnoise.models.files import load, save
from unnoise.models.general import ScoreDiffusion
from unnoise.models.sampling import Sampling

__all__ = ["Diffusion", "Model", "Phase", "Sampling", "ScoreDiffusion", "load", "save"]
