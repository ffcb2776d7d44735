"""Neural networks: MLP, U-Net, noise-conditional classifiers."""

from unnoise.networks.base import HasNull, Network, Prepares, null_condition
from unnoise.networks.classifiers import ClassifierNetwork, HalfUNet, MLPClassifier
from unnoise.networks.mlp import MLP
from unnoise.networks.unet import UNet

__all__ = [
    "MLP",
    "ClassifierNetwork",
    "HalfUNet",
    "HasNull",
    "MLPClassifier",
    "Network",
    "Prepares",
    "UNet",
    "null_condition",
]
