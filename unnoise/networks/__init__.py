"""Neural networks: MLP, U-Net, noise-conditional classifiers."""

from unnoise.networks.base import HasNull, Network, Prepares, null_condition
from unnoise.networks.classifiers import ClassifierNetwork, HalfUNet, MLPClassifier
from unnoise.networks.foreign import Foreign, LearnsClasses, adopted
from unnoise.networks.mlp import MLP
from unnoise.networks.unet import UNet

__all__ = [
    "MLP",
    "ClassifierNetwork",
    "Foreign",
    "HalfUNet",
    "HasNull",
    "LearnsClasses",
    "MLPClassifier",
    "Network",
    "Prepares",
    "UNet",
    "adopted",
    "null_condition",
]
