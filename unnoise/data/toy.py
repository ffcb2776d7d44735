"""Points in the plane whose law can be seen at a glance."""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from unnoise.core.noise import Noise
from unnoise.core.ranges import Count, NotNegative
from unnoise.core.registry import register
from unnoise.data.base import TensorDataset

Split = Literal["train", "test"]
LICENCE = "Apache-2.0; drawn by unnoise"


def _draw(
    name: str,
    count: int,
    seed: int,
    split: str,
    points: Callable[[Tensor, Tensor], tuple[Tensor, Tensor | None]],
) -> TensorDataset:
    """A data set from uniforms (N, 3) and normals (N, 2); the splits share no stream."""
    noise = Noise(seed, range(count)).child(name).child(split)
    u = noise.child("u").uniform(torch.empty(count, 3, dtype=torch.float64))
    z = noise.child("z").normal(torch.empty(count, 2, dtype=torch.float64))
    stored, labels = points(u, z)
    return TensorDataset(name, stored.float(), labels, licence=LICENCE)


@register("dataset", "moons")
def moons(
    count: Count = 4000, spread: NotNegative = 0.06, seed: int = 0, split: Split = "train"
) -> TensorDataset:
    """Two interleaved half circles, labels 0 and 1, event shape (2,).

    Arguments:
        count: number of points.
        spread: standard deviation around the half circles, whose radius is 1.
        seed: of the points.
        split: "test" draws other points of the same law.
    """

    def points(u: Tensor, z: Tensor) -> tuple[Tensor, Tensor | None]:
        label = (u[:, 1] < 0.5).long()
        side = 1 - 2 * label
        angle = math.pi * u[:, 0]
        x = side * (torch.cos(angle) - 0.5)
        y = side * (torch.sin(angle) - 0.25)
        return torch.stack([x, y], 1) + spread * z, label

    return _draw("moons", count, seed, split, points)


@register("dataset", "eight-gaussians")
def eight_gaussians(
    count: Count = 4000, spread: NotNegative = 0.1, seed: int = 0, split: Split = "train"
) -> TensorDataset:
    """Eight normal clouds on a circle of radius 1, labels 0 to 7, event shape (2,).

    Arguments:
        count: number of points.
        spread: standard deviation of a cloud.
        seed: of the points.
        split: "test" draws other points of the same law.
    """

    def points(u: Tensor, z: Tensor) -> tuple[Tensor, Tensor | None]:
        label = (8 * u[:, 0]).long().clamp(max=7)
        angle = label * (math.pi / 4)
        return torch.stack([torch.cos(angle), torch.sin(angle)], 1) + spread * z, label

    return _draw("eight-gaussians", count, seed, split, points)


@register("dataset", "swiss-roll")
def swiss_roll(
    count: Count = 4000, spread: NotNegative = 0.02, seed: int = 0, split: Split = "train"
) -> TensorDataset:
    """A spiral of one and a half turns, event shape (2,), no labels.

    Arguments:
        count: number of points.
        spread: standard deviation around the spiral, whose outer radius is 1.
        seed: of the points.
        split: "test" draws other points of the same law.
    """

    def points(u: Tensor, z: Tensor) -> tuple[Tensor, Tensor | None]:
        angle = 1.5 * math.pi * (1 + 2 * u[:, 0])
        radius = angle / (4.5 * math.pi)
        x = torch.stack([radius * torch.cos(angle), radius * torch.sin(angle)], 1)
        return x + spread * z, None

    return _draw("swiss-roll", count, seed, split, points)


@register("dataset", "checkerboard")
def checkerboard(count: Count = 4000, seed: int = 0, split: Split = "train") -> TensorDataset:
    """The dark squares of a 4x4 board on [-1, 1]^2, event shape (2,), no labels.

    Arguments:
        count: number of points.
        seed: of the points.
        split: "test" draws other points of the same law.
    """

    def points(u: Tensor, z: Tensor) -> tuple[Tensor, Tensor | None]:
        column = (4 * u[:, 0]).floor()
        row = 2 * (2 * u[:, 1]).floor() + column % 2
        x = torch.stack([4 * u[:, 0], row + u[:, 2]], 1)
        return x / 2 - 1, None

    return _draw("checkerboard", count, seed, split, points)
