"""Whole models behind one face."""

from unnoise.models.base import Generative, Model, Phase
from unnoise.models.classifier import Classifier
from unnoise.models.diffusion import Diffusion
from unnoise.models.files import load, save
from unnoise.models.flow import Flow
from unnoise.models.general import ScoreDiffusion
from unnoise.models.guides import Guide
from unnoise.models.measurement import Imputation, Measurement
from unnoise.models.sampling import Sampling

__all__ = [
    "Classifier",
    "Diffusion",
    "Flow",
    "Generative",
    "Guide",
    "Imputation",
    "Measurement",
    "Model",
    "Phase",
    "Sampling",
    "ScoreDiffusion",
    "load",
    "save",
]
