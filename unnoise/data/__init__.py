"""Floor 1: where x and its condition come from."""

from unnoise.data.base import Batch, DataInfo, Dataset, TensorDataset, info_fields, info_from
from unnoise.data.clouds import Clouds
from unnoise.data.digits import digits
from unnoise.data.toy import checkerboard, eight_gaussians, moons, swiss_roll, valleys

__all__ = [
    "Batch",
    "Clouds",
    "DataInfo",
    "Dataset",
    "TensorDataset",
    "checkerboard",
    "digits",
    "eight_gaussians",
    "info_fields",
    "info_from",
    "moons",
    "swiss_roll",
    "valleys",
]
