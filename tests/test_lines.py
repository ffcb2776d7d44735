"""What models, data sets and classes are in a line, for a notebook and a log."""

import pytest
import torch
from torch import Tensor

import unnoise
from tests.small import diffusion, points
from unnoise.data import TensorDataset, digits
from unnoise.models import Diffusion
from unnoise.networks import MLP, UNet
from unnoise.spaces import Labels
from unnoise.tasks.listeners import progress_line
from unnoise.training import Stepped
from unnoise.training.phases import Outcome


def events(shape: tuple[int, ...]) -> Tensor:
    return torch.arange(12.0).reshape(6, *shape)


def test_models_are_a_line():
    model = Diffusion(UNet(shape=(1, 8, 8), width=8, classes=10), unnoise.VP(), head="v")
    assert repr(model) == "Diffusion(UNet, VP, head v; 1 x 8 x 8, 10 classes; not trained)"
    model.info = digits().info
    assert repr(model) == (
        "Diffusion(UNet, VP, head v; 1 x 8 x 8, 10 classes; trained on digits, 1,200 examples)"
    )
    other = Diffusion(MLP(shape=(2,)), "edm", head="edm", objective="elbo")
    assert repr(other) == "Diffusion(MLP, EDM, head edm, objective elbo; 2; not trained)"
    half = Diffusion.__new__(Diffusion)  # as a debugger sees it inside of __init__
    assert repr(half).startswith("Diffusion(")
    long = diffusion(TensorDataset("x" * 999 + "\n", events((2,))))
    assert len(repr(long)) <= 200 and "\n" not in repr(long)


def test_data_is_a_line():
    assert repr(digits()).startswith(
        "<data digits: 1,200 of shape (1, 8, 8), 17 levels, 10 classes"
    )
    assert repr(points()) == "<data moons: 100 of shape (2,), 2 classes of 50>"
    names = tuple(f"사진 {i}\n" for i in range(1000))
    data = TensorDataset("own\n", events((2,)), torch.tensor([0, 1, 1, 1, 2, 5]), class_names=names)
    assert repr(data) == (
        "<data own\\n: 6 of shape (2,), 1,000 classes: 사진 0\\n 1, 사진 1\\n 3, 사진 2\\n 1, "
        "사진 3\\n 0, 사진 4\\n 0, 사진 5\\n 1, 사진 6\\n 0, 사진 7\\n 0, 992 more>"
    )


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (Labels(2, ("cat", "dog"), (70, 36)), "2 classes: cat 70, dog 36"),
        (Labels(2, ("cat", "dog")), "2 classes: cat, dog"),
        (Labels(10), "10 classes"),
        (Labels(1, None, (1200,)), "1 class of 1,200"),
        (Labels(2, ("0", "1"), (3, 1200)), "2 classes of 3 to 1,200"),
        (Labels(2, ("x" * 999, "\x1b[m")), f"2 classes: {'x' * 13}...{'x' * 8}, \\x1b[m"),
        (Labels(10**6, ("no",) * 10**6), f"1,000,000 classes: {'no, ' * 20}999,980 more"),
    ],
)
def test_classes_in_words(labels: Labels, said: str):
    assert labels.told() == said


def test_progress_has_one_style_of_numbers():
    line = progress_line(Stepped(1200, 3000, Outcome({"diffusion": 0.2141}), 1e-3, 6248.0, 64.0))
    assert line == "step 1,200/3,000  loss 0.2141  6,248 img/s  1m 04s left"
