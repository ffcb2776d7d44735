"""``unnoise.show``: every event shows itself, in a notebook and as a file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import unnoise
from tests.plots.test_displays import SHAPES, events
from tests.small import diffusion, pictures
from unnoise.core.errors import InputError
from unnoise.data import TensorDataset
from unnoise.models import Diffusion
from unnoise.networks import MLP, UNet
from unnoise.plots import image_metadata
from unnoise.tasks.sheet import Sheet


def png(sheet: Sheet) -> bytes:
    """What a notebook shows."""
    return getattr(sheet, "_repr_png_")()  # noqa: B009  (IPython's own name for it)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_event_shows_itself(shape: tuple[int, ...], tmp_path: Path):
    data = TensorDataset("mine", events(shape), torch.arange(6) % 2, class_names=("cat", "dog"))
    x = data[:6].x
    sheet = unnoise.show(x, data, data[:6].label)
    (tmp_path / "notebook.png").write_bytes(png(sheet))
    sheet.save(tmp_path / "saved.png")
    sheet.save(str(tmp_path / "saved.png"))  # one of ours is replaced
    contents = [(tmp_path / name).read_bytes() for name in ("notebook.png", "saved.png")]
    assert contents[0] == contents[1] and contents[0][:4] == b"\x89PNG"
    assert image_metadata(tmp_path / "saved.png") == {"what": "samples", "n": 6, "data": "mine"}
    with Image.open(tmp_path / "saved.png") as image:
        assert np.array_equal(np.array(image), np.array(sheet.image))
    # Other samples, and the same without names, are other pictures; of a model they are the same.
    assert png(unnoise.show(x.flip(0) * 0.5, data, data[:6].label)) != contents[0]
    assert png(unnoise.show(x, data)) != contents[0]
    assert png(unnoise.show(x, diffusion(data), ["cat", "dog"] * 3)) == contents[0]
    one = unnoise.show(x[0], data)
    assert np.array_equal(np.array(one.image), np.array(unnoise.show(x[:1], data).image))
    assert repr(one) == (
        f"<sheet of 1 samples, {one.image.width} x {one.image.height}: .save('samples.png')>"
    )


def test_untrained_models_show_what_they_draw():
    model = Diffusion(UNet(shape=(1, 8, 8), width=8), "vp")
    assert unnoise.show(torch.zeros(4, 1, 8, 8), model).image.mode == "L"


def test_label_is_one_or_many():
    data = pictures()
    x = data[:6].x
    ones = (1, torch.tensor(1), [1] * 6, np.ones(6, dtype=np.int64), np.int64(1), "1")
    same = {png(unnoise.show(x, data, label)) for label in ones}
    assert len(same) == 1 and next(iter(same)) != png(unnoise.show(x, data, 2))
    wide = unnoise.show(x, data, columns=6).image
    assert wide.width > 5 * wide.height


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"x": [1.0]}, "x is a list"),
        ({"x": torch.zeros(2, 1, 4, 4, dtype=torch.uint8)}, r"x is torch.uint8.*to_model"),
        ({"x": torch.zeros(2, 1, 4, 5)}, r"shape \(2, 1, 4, 5\).*\(1, 4, 4\)"),
        ({"x": torch.zeros(0, 1, 4, 4)}, "N >= 1"),
        ({"model": 3}, "model = 3: give a model or a data set"),
        ({"label": 3}, "label 3: the classes here are 0 to 2"),
        ({"label": -1}, "label -1"),
        ({"label": 10**30}, "the classes here are 0 to 2"),
        ({"label": [0]}, r"label of shape \(1,\)"),
        ({"label": [0.5, 1]}, "label 0.5"),
        ({"label": torch.zeros(2)}, "torch.float32"),
        ({"label": 0.5}, "label 0.5: give class numbers, or names"),
        ({"label": "cat"}, "label 'cat': give a number, 0 to 2"),
        ({"label": "cat", "model": Diffusion(MLP(shape=(1, 4, 4)))}, "have no names"),
    ],
)
def test_refused(wrong: dict[str, Any], said: str):
    given: dict[str, Any] = {
        "x": torch.zeros(2, 1, 4, 4),
        "model": pictures(),
        "label": None,
        **wrong,
    }
    with pytest.raises(InputError, match=said) as error:
        unnoise.show(**given)
    assert len(str(error.value)) <= 200 and "\n" not in str(error.value)


def test_save_overwrites_nothing_of_others(tmp_path: Path):
    sheet = unnoise.show(pictures()[:2].x, pictures())
    (tmp_path / "mine.png").write_bytes(b"a picture of mine")
    wrong = {"mine.png": "was not made by", "a.jpg": r"\.png", "no/a.png": "does not exist"}
    for name, said in wrong.items():
        with pytest.raises(InputError, match=said):
            sheet.save(tmp_path / name)
    assert (tmp_path / "mine.png").read_bytes() == b"a picture of mine"
    assert [path.name for path in tmp_path.iterdir()] == ["mine.png"]
