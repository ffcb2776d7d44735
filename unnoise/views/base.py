"""Base class of views (visualisations), and what they share."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple, final

import torch
from torch import Tensor

from unnoise.catalogue.registry import spec
from unnoise.core.condition import Given
from unnoise.core.distributions import Normal
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.data import Dataset
from unnoise.denoisers import Constant, GaussianDenoiser, Mixture
from unnoise.models import OdeModel
from unnoise.models.branches import check_branches
from unnoise.networks import null_condition
from unnoise.plots import lattice, save_image
from unnoise.processes import GaussianProcess
from unnoise.system.files import write_atomic

if TYPE_CHECKING:
    from PIL.Image import Image

View4 = tuple[float, float, float, float]


class View(ABC):
    """Base class of views: a visualisation of a trained model.

    Attributes:
        suffix: of the file that ``draw`` writes.
    """

    family: ClassVar[str] = "view"
    suffix: str = ".png"

    @abstractmethod
    def draw(self, model: OdeModel, data: Dataset) -> "Drawn":
        """The picture, and lines that say in numbers what it shows.

        Arguments:
            model: a trained model.
            data: what it was trained on.

        Raises:
            InputError: this data cannot be shown so.
        """

    @final
    def save(self, model: OdeModel, data: Dataset, path: Path) -> list[str]:
        """Draw, and write the picture to ``path``, which ends in ``suffix``; the lines."""
        drawn = self.draw(model, data)
        if isinstance(drawn.picture, bytes):
            write_atomic(path, drawn.picture)
        else:
            save_image(drawn.picture, path, {"view": spec(self), "data": data.info.name})
        return drawn.lines


class Drawn(NamedTuple):
    """Drawn view: a Pillow image or the bytes of a GIF, and what it shows in numbers."""

    picture: "Image | bytes"
    lines: list[str]


@final
class Unconditional(GaussianDenoiser):
    """Unconditional denoiser of a model: its belief under the null condition.

    Arguments:
        model: with or without labels.
    """

    def __init__(self, model: OdeModel) -> None:
        super().__init__()
        check_branches(model, Constant(1.0), hidden=model.network.reads != frozenset())
        self.process, self.model = model.process, model

    def forward(self, x: Tensor, t: Tensor, cond: Given = None) -> Normal:
        return self.model.denoiser(x, t, null_condition(self.model.network, len(x)))


def needs_plane(data: Dataset, kind: str) -> None:
    """Refuse data that is not in the plane.

    Raises:
        InputError: events of another shape.
    """
    if data.info.shape != (2,):
        raise InputError(
            f"view {kind!r} draws points in the plane; data {data.info.name!r} has events of shape "
            f'{data.info.shape}. For other data there are "chain", "ddim" and "diagnostics".'
        )


def law_of(data: Dataset, process: GaussianProcess, exact: bool = False) -> Mixture:
    """The data's law under a process; a smoothed sample of it where nobody can write it down.

    Arguments:
        data: events of shape (D,).
        process: any Gaussian process.
        exact: insist on the law itself.

    Raises:
        InputError: the law is asked for and not known.
    """
    if data.law is not None:
        law = data.law
        return Mixture(process, law.means, law.spread**2, law.weights, law.labels)
    if exact:
        raise InputError(
            f"the law of data {data.info.name!r} is not known, so no score can be compared with "
            "it; eight-gaussians, moons, swiss-roll and valleys have one."
        )
    points = data.batch(torch.arange(min(len(data), 1000))).x.double()
    # A seventh of Scott's rule for a Gaussian: edges and gaps are what these pictures are about.
    width = data.info.variance**0.5 * len(points) ** (-1 / 6) / 7
    return Mixture(process, points, width**2)


def first_axis(law: Mixture) -> Mixture:
    """A law's marginal along its first coordinate, event shape (1,)."""
    covariance = (law.axes * law.variances[:, None]) @ law.axes.mT
    return Mixture(
        law.process, law.means[:, :1], covariance[:, :1, :1], law.log_weights.exp(), law.labels
    )


def view_of(data: Dataset, room: float = 1.35) -> View4:
    """A square around the origin that holds the data, and some room."""
    half = room * float(data.batch(torch.arange(len(data))).x.abs().max())
    return (-half, half, -half, half)


def density(law: Mixture, t: float | Tensor, view: View4, scale: float = 1.0) -> Tensor:
    """p_t of ``x / scale`` over a view, shape (120, 120), the largest value being 1."""
    at = lattice(view, 120, 120)
    values = torch.cat([law.log_prob(scale * part, t) for part in at.split(2000)])
    return (values - values.max()).exp().reshape(120, 120)


def ratio_times(process: GaussianProcess, size: float, count: int) -> Tensor:
    """Times from t_max to 0, even in the share of noise, shape (count + 1,).

    The circle's angle for data of standard deviation ``size`` made one; on it every process
    looks alike.
    """
    ends = process.angle(torch.tensor([process.t_max, process.t_min], dtype=torch.float64))
    first, last = torch.atan(ends.tan() / size).tolist()
    angles = torch.linspace(first, last, count, dtype=torch.float64)
    times = process.time(torch.atan(size * angles.tan()))
    times[0] = process.t_max
    return torch.cat([times, torch.zeros(1, dtype=torch.float64)])


def degrees(process: GaussianProcess, size: float, t: Tensor) -> list[float]:
    """Share of noise at times ``t``: 0 is data, 90 is noise."""
    return torch.rad2deg(torch.atan(process.angle(t).tan() / size)).tolist()


def forward_walk(process: GaussianProcess, x: Tensor, times: Tensor, noise: Noise) -> Tensor:
    """A path of the forward SDE through rising times, exactly, shape (T, B, *event).

    Arguments:
        process: any Gaussian process.
        x: states at the first of the times.
        times: rising, shape (T,).
        noise: one stream for each path.
    """
    found = [x]
    for i in range(len(times) - 1):
        keep, variance = process.transition(times[i], times[i + 1])
        step = float(variance) ** 0.5 * noise.child(i).normal(x)
        found.append(float(keep) * found[-1] + step)
    return torch.stack(found)
