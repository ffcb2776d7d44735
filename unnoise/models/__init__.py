"""Generative models: diffusion, classifiers, requests and plans, abilities, files."""

from unnoise.catalogue.renamed import old_names
from unnoise.models.base import Begins, Generative, Model, Phase
from unnoise.models.classifier import Classifier
from unnoise.models.diffusion import Diffusion
from unnoise.models.files import load, save
from unnoise.models.guides import Guide
from unnoise.models.measurement import Imputation, Measurement
from unnoise.models.ode_model import OdeModel
from unnoise.models.plan import Plan
from unnoise.models.protocols import (
    Classifies,
    Draws,
    HasLatents,
    HasLikelihood,
    Walks,
    needs,
)
from unnoise.models.request import SampleRequest
from unnoise.models.sampling import DrawSampling, Sampling
from unnoise.models.sde import ScoreDiffusion

__all__ = [
    "Begins",
    "Classifies",
    "Draws",
    "HasLatents",
    "HasLikelihood",
    "Walks",
    "needs",
    "Classifier",
    "Diffusion",
    "OdeModel",
    "Generative",
    "Guide",
    "Imputation",
    "Measurement",
    "Model",
    "Phase",
    "Plan",
    "SampleRequest",
    "DrawSampling",
    "Sampling",
    "ScoreDiffusion",
    "load",
    "save",
]

__getattr__ = old_names(__name__, {"Flow": "OdeModel"})
