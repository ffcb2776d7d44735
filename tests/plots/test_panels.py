"""Panels: each layer is where it should be, by its pixels."""

import numpy as np
import pytest
import torch
from PIL import Image

from unnoise.core.errors import InputError
from unnoise.plots import Curves, Line, Plane, lattice, panels

VIEW = (-1.0, 1.0, -1.0, 1.0)


def blue(image: Image.Image, box: tuple[int, int, int, int]) -> float:
    """How much bluer than red a part of a picture is."""
    part = np.array(image.crop(box)).astype(float)
    return float((part[..., 2] - part[..., 0]).mean())


def quarters(image: Image.Image) -> dict[str, float]:
    w, h = image.size
    return {
        "left low": blue(image, (0, h // 2, w // 2, h)),
        "left high": blue(image, (0, 0, w // 2, h // 2)),
        "right low": blue(image, (w // 2, h // 2, w, h)),
        "right high": blue(image, (w // 2, 0, w, h // 2)),
    }


def test_heat_has_row_zero_below():
    """A lump at (0.5, -0.5) is right and low; turned over it is not."""
    at = lattice(VIEW, 30, 20)
    heat = (-8 * (at - torch.tensor([0.5, -0.5])).square().sum(1)).exp().reshape(20, 30)
    found = quarters(panels([[Plane(VIEW, heat=heat)]]))
    assert max(found, key=lambda k: found[k]) == "right low"
    found = quarters(panels([[Plane(VIEW, heat=heat.flip(0))]]))
    assert max(found, key=lambda k: found[k]) == "right high"


def test_lattice():
    at = lattice((0, 4, 0, 2), 4, 2)
    assert at[0].tolist() == [0.5, 0.5] and at[1].tolist() == [1.5, 0.5]
    assert at.reshape(2, 4, 2)[1, 0].tolist() == [0.5, 1.5] and len(at) == 8


def test_points_lie_where_they_are():
    plain = quarters(panels([[Plane(VIEW)]]))
    there = torch.full((200, 2), 0.5) * torch.tensor([-1.0, 1.0])
    there = there + 0.1 * torch.linspace(-1, 1, 200)[:, None]
    found = quarters(panels([[Plane(VIEW, points=there)]]))
    gain = {name: found[name] - plain[name] for name in plain}
    assert max(gain, key=lambda k: gain[k]) == "left high" and gain["right low"] < 0.1


def darkness(image: Image.Image) -> np.ndarray:
    return np.argwhere(np.array(image.convert("L")) < 90)


def test_arrows_point_their_way():
    """Ink of one arrow from the middle up and to the right."""
    arrow = torch.zeros(1, 2), torch.tensor([[0.7, 0.7]])
    bare, drawn = panels([[Plane(VIEW)]]), panels([[Plane(VIEW, arrows=arrow)]])
    new = np.argwhere(np.array(bare.convert("L")).astype(int) - np.array(drawn.convert("L")) > 60)
    middle = np.array(bare.size[::-1]) / 2
    assert len(new) and (new[:, 0] < middle[0] + 12).all() and (new[:, 1] > middle[1] - 12).all()


def test_paths_end_in_dots():
    path = torch.stack([torch.linspace(-0.8, 0.8, 9), torch.zeros(9)], 1)[:, None]
    image = np.array(panels([[Plane(VIEW, paths=path)]])).astype(int)
    red = np.argwhere(image[..., 0] - image[..., 2] > 60)
    across = red[:, 1]
    left, right = across.min(), across.max()
    near = [np.ptp(red[abs(across - end) < 8][:, 0]) for end in (left, right)]
    assert right - left > 150 and near[1] > near[0]


def test_rows_and_files(tmp_path):
    lines = Curves([Line("a", [1, 10, 100], [1, 2, 3], [0.1, 0.1, 0.1])], "t", "x", "y", log_x=True)
    image = panels([[lines, Plane(VIEW)], [lines]], tmp_path / "p.png", side=200)
    with Image.open(tmp_path / "p.png") as written:
        assert image.size == written.size == (400, 400)
    corner = np.array(image)[230:, 300:]
    assert (corner == corner[0, 0]).all()  # a shorter row ends in an empty place
    assert len(darkness(image)) > 100
    for bad in ([], [[]]):
        with pytest.raises(InputError, match="no panels"):
            panels(bad)
    with pytest.raises(InputError, match="can be drawn"):
        panels([[Plane(VIEW, points=torch.zeros(3, 3))]])
