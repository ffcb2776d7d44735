"""Data sets: toy data, digits, arrays, image folders and zip files, WebDataset shards."""

from unnoise.data.arrays import npy
from unnoise.data.base import Batch, DataInfo, Dataset, info_fields, info_from, opens_nothing
from unnoise.data.brought import MapDataset, as_dataset
from unnoise.data.clouds import Clouds
from unnoise.data.digits import digits
from unnoise.data.flips import Flipped
from unnoise.data.names import Refusal
from unnoise.data.pictures.decode import Look, RefusedFile, read_picture
from unnoise.data.pictures.images import images
from unnoise.data.pictures.indices import write_index
from unnoise.data.pictures.prepared import PreparedDataset, Report, prepare, prepared
from unnoise.data.pictures.scan import scan
from unnoise.data.pictures.shards import ShardedPictures, webdataset
from unnoise.data.stored import StoredDataset, TensorDataset
from unnoise.data.toy import checkerboard, eight_gaussians, moons, swiss_roll, valleys

__all__ = [
    "Batch",
    "Clouds",
    "DataInfo",
    "Dataset",
    "Flipped",
    "Look",
    "MapDataset",
    "PreparedDataset",
    "Refusal",
    "RefusedFile",
    "Report",
    "ShardedPictures",
    "StoredDataset",
    "TensorDataset",
    "as_dataset",
    "checkerboard",
    "digits",
    "eight_gaussians",
    "images",
    "info_fields",
    "info_from",
    "moons",
    "npy",
    "opens_nothing",
    "prepare",
    "prepared",
    "read_picture",
    "scan",
    "swiss_roll",
    "valleys",
    "webdataset",
    "write_index",
]
