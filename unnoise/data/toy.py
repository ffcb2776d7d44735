"""Toy data sets in two dimensions: moons, Gaussians, Swiss roll, checkerboard."""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from unnoise.catalogue.ranges import Count, Fraction, NotNegative
from unnoise.catalogue.registry import register
from unnoise.core.noise import Noise
from unnoise.data.base import opens_nothing
from unnoise.data.clouds import Clouds, along
from unnoise.data.stored import TensorDataset

Split = Literal["train", "test"]
LICENCE = "Apache-2.0; drawn by unnoise"


def _draw(
    name: str,
    count: int,
    seed: int,
    split: str,
    points: Callable[[Tensor, Tensor], tuple[Tensor, Tensor | None]],
    law: Clouds | None = None,
) -> TensorDataset:
    """A data set from uniforms (N, 3) and normals (N, 2); the splits share no stream."""
    noise = Noise(seed, range(count)).child(name).child(split)
    u = noise.child("u").uniform(torch.empty(count, 3, dtype=torch.float64))
    z = noise.child("z").normal(torch.empty(count, 2, dtype=torch.float64))
    stored, labels = points(u, z)
    return TensorDataset(name, stored.float(), labels, licence=LICENCE, law=law, standardize=False)


def _clouds(
    means: Tensor, spread: float, labels: Tensor | None = None, weights: Tensor | None = None
) -> Clouds | None:
    """The law of points around ``means``; None where nothing is between them and the curve."""
    if spread == 0:
        return None
    weights = torch.full((len(means),), 1 / len(means)).double() if weights is None else weights
    return Clouds(means, spread, weights, labels)


@register("dataset", "moons")
@opens_nothing
def moons(
    count: Count = 4000, spread: NotNegative = 0.06, seed: int = 0, split: Split = "train"
) -> TensorDataset:
    """Two moons: interleaved half circles, labels 0 and 1, event shape (2,).

    Arguments:
        count: number of points.
        spread: standard deviation around the half circles, whose radius is 1.
        seed: of the points.
        split: "test" draws other points of the same law.
    """

    def arc(u: Tensor, label: Tensor) -> Tensor:
        side, angle = 1 - 2 * label, math.pi * u
        return torch.stack([side * (angle.cos() - 0.5), side * (angle.sin() - 0.25)], 1)

    def points(u: Tensor, z: Tensor) -> tuple[Tensor, Tensor | None]:
        label = (u[:, 1] < 0.5).long()
        return arc(u[:, 0], label) + spread * z, label

    beads = along(math.pi, spread)
    label = torch.arange(2).repeat_interleave(len(beads))
    law = _clouds(arc(beads.repeat(2), label), spread, label)
    return _draw("moons", count, seed, split, points, law)


@register("dataset", "eight-gaussians")
@opens_nothing
def eight_gaussians(
    count: Count = 4000, spread: NotNegative = 0.1, seed: int = 0, split: Split = "train"
) -> TensorDataset:
    """Eight Gaussians on a circle of radius 1, labels 0 to 7, event shape (2,).

    Arguments:
        count: number of points.
        spread: standard deviation of a cloud.
        seed: of the points.
        split: "test" draws other points of the same law.
    """

    def centre(label: Tensor) -> Tensor:
        angle = label.double() * (math.pi / 4)
        return torch.stack([angle.cos(), angle.sin()], 1)

    def points(u: Tensor, z: Tensor) -> tuple[Tensor, Tensor | None]:
        label = (8 * u[:, 0]).long().clamp(max=7)
        return centre(label) + spread * z, label

    every = torch.arange(8)
    law = _clouds(centre(every), spread, every)
    return _draw("eight-gaussians", count, seed, split, points, law)


@register("dataset", "valleys")
@opens_nothing
def valleys(
    count: Count = 4000,
    share: Fraction = 0.8,
    spread: NotNegative = 0.14,
    seed: int = 0,
    split: Split = "train",
) -> TensorDataset:
    """Two Gaussians at (0.7, 0.7) and (-0.7, -0.7), nothing between them, event shape (2,).

    Where there is no data there is nothing to learn a score from: what plain score matching
    stumbles over. No labels.

    Arguments:
        count: number of points.
        share: of the first cloud, in [0, 1].
        spread: standard deviation of a cloud.
        seed: of the points.
        split: "test" draws other points of the same law.

    References:
        Song and Ermon, Generative modeling by estimating gradients of the data distribution,
        NeurIPS 2019, section 3.2, in units of 7 of theirs.
    """
    centres = torch.tensor([[0.7, 0.7], [-0.7, -0.7]], dtype=torch.float64)

    def points(u: Tensor, z: Tensor) -> tuple[Tensor, Tensor | None]:
        return centres[(u[:, 0] >= share).long()] + spread * z, None

    weights = torch.tensor([share, 1 - share], dtype=torch.float64)
    law = _clouds(centres[weights > 0], spread, None, weights[weights > 0])
    return _draw("valleys", count, seed, split, points, law)


@register("dataset", "swiss-roll")
@opens_nothing
def swiss_roll(
    count: Count = 4000, spread: NotNegative = 0.02, seed: int = 0, split: Split = "train"
) -> TensorDataset:
    """Swiss roll: a spiral of one and a half turns, event shape (2,), no labels.

    Arguments:
        count: number of points.
        spread: standard deviation around the spiral, whose outer radius is 1.
        seed: of the points.
        split: "test" draws other points of the same law.
    """

    def spiral(u: Tensor) -> Tensor:
        angle = 1.5 * math.pi * (1 + 2 * u)
        radius = angle / (4.5 * math.pi)
        return torch.stack([radius * angle.cos(), radius * angle.sin()], 1)

    def points(u: Tensor, z: Tensor) -> tuple[Tensor, Tensor | None]:
        return spiral(u[:, 0]) + spread * z, None

    law = _clouds(spiral(along(3 * math.pi, spread)), spread)
    return _draw("swiss-roll", count, seed, split, points, law)


@register("dataset", "checkerboard")
@opens_nothing
def checkerboard(count: Count = 4000, seed: int = 0, split: Split = "train") -> TensorDataset:
    """Checkerboard: the dark squares of a 4x4 board on [-1, 1]^2, event shape (2,), no labels.

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
