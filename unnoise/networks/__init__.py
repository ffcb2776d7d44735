"""Floor 1: tensors in, tensors out."""

from unnoise.networks.base import Network
from unnoise.networks.mlp import MLP
from unnoise.networks.unet import UNet

__all__ = ["MLP", "Network", "UNet"]
