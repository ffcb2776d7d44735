"""Handwritten digits (UCI data set): 1,797 images of 8x8 pixels, in the package."""

from importlib import resources
from typing import Literal

import numpy as np
import torch

from unnoise.catalogue.registry import register
from unnoise.data.base import opens_nothing
from unnoise.data.stored import TensorDataset

LICENCE = (
    "CC BY 4.0; Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998, "
    "https://doi.org/10.24432/C50P49, as in scikit-learn's load_digits"
)


@register("dataset", "digits")
@opens_nothing
def digits(
    split: Literal["train", "test", "all"] = "train",
    labels: bool = True,
    dequantize: bool = True,
) -> TensorDataset:
    """Handwritten digits, event shape (1, 8, 8), 17 levels, 10 classes.

    Arguments:
        split: "train" (1,200 images), "test" (597 held out) or "all".
        labels: whether the digits come with their class; without, a model of all digits alike.
        dequantize: spread each level over its width in training; without it a likelihood is
            meaningless.

    Returns:
        A data set whose modelled values are (k + u) / 17 * 2 - 1.

    References:
        Alpaydin and Kaynak, UCI Machine Learning Repository, 1998, doi 10.24432/C50P49.
    """
    file = resources.files("unnoise.data").joinpath("digits.npz")
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        images = torch.from_numpy(arrays["images"])
        classes = torch.from_numpy(arrays["labels"])
        held_out = torch.from_numpy(arrays["held_out"])
    wanted = {"train": ~held_out, "test": held_out, "all": torch.ones_like(held_out)}[split]
    return TensorDataset(
        "digits",
        images[wanted],
        classes[wanted] if labels else None,
        levels=17,
        dequantize=dequantize,
        licence=LICENCE,
    )
