"""Views of trajectories between data and noise: paths, particles, films."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, final

import torch
from annotated_types import Len
from torch import Tensor

from unnoise.catalogue.ranges import Examples, Frames, Several, Steps
from unnoise.catalogue.registry import register
from unnoise.core.noise import Noise
from unnoise.data import Batch, Dataset
from unnoise.denoisers import GaussianDenoiser, Mixture
from unnoise.models import OdeModel
from unnoise.models.conditions import UNIFORM, drawn_classes
from unnoise.networks import null_condition
from unnoise.plots import Plane, animate, evenly, panels
from unnoise.solvers import DDIM, Ancestral, EulerMaruyama, Heun, Solver, trajectory
from unnoise.spaces import InPlane, display_of
from unnoise.system.progress import counting
from unnoise.tasks.output import drawable, drawing_of, info_of, named, size_of, visible
from unnoise.views.base import (
    Drawn,
    Unconditional,
    View,
    View4,
    degrees,
    density,
    first_axis,
    forward_walk,
    law_of,
    needs_plane,
    ratio_times,
    view_of,
)

if TYPE_CHECKING:
    from PIL.Image import Image

ACROSS = "share of noise, degrees"


@register("view", "paths")
@final
@dataclass(frozen=True)
class Paths(View):
    """Sample paths of forward SDE, reverse SDE and probability-flow ODE over the density.

    Above the first coordinate against the share of noise, below the plane. Reverse SDE and ODE
    start from the same noise. States are scaled so that data and noise are of one size.

    Arguments:
        count: paths.
        steps: of each.
        seed: of the paths.
    """

    count: Examples = 8
    steps: Steps = 150
    seed: int = 0

    def draw(self, model: OdeModel, data: Dataset) -> Drawn:
        needs_plane(data, "paths")
        process, size, view = model.process, size_of(data.info), view_of(data)
        times = ratio_times(process, size, self.steps)
        law, belief = law_of(data, process), Unconditional(model)
        noise = Noise(self.seed, range(self.count))
        start = process.prior((self.count, 2)).sample(noise.child("start"))
        some = chosen(data, noise.child("data")).x
        ways = {
            "forward SDE": forward_walk(process, some, times.flip(0), noise.child("out")),
            "reverse SDE": walk_back(EulerMaruyama(), belief, start, times, noise.child("back")),
            "probability-flow ODE": walk_back(Heun(), belief, start, times, noise),
        }
        scales = torch.tensor([drawable(process, size, t) for t in times])[:, None, None]
        turned = torch.tensor(degrees(process, size, times))[:, None]
        over: View4 = (0.0, float(turned.max()), -3 * size, 3 * size)
        heats = over_time(first_axis(law), size, over), density(law, 0.0, view)
        above: list[Plane] = []
        below: list[Plane] = []
        for name, way in ways.items():
            order = 1 if name != "forward SDE" else -1  # the forward one rises in time
            shown = way * (scales if order == 1 else scales.flip(0))
            at = (turned if order == 1 else turned.flip(0)).expand(shown.shape[:2])
            line = torch.stack([at, shown[..., 0]], -1)
            above.append(
                Plane(over, name, heats[0], paths=line, across=ACROSS, up="x", square=False)
            )
            below.append(Plane(view, "in the plane", heats[1], paths=shown))
        return Drawn(panels([above, below], side=340), [])


@register("view", "spread")
@final
@dataclass(frozen=True)
class Spread(View):
    """Particles that spread from one data point into noise, as a film.

    Under the particles the density of all the data at the same level.

    Arguments:
        count: particles.
        frames: of the film.
        seed: of the particles, and of the point they start from.
    """

    suffix = ".gif"

    count: Examples = 400
    frames: Frames = 40
    seed: int = 0

    def draw(self, model: OdeModel, data: Dataset) -> Drawn:
        needs_plane(data, "spread")
        process, size, view = model.process, size_of(data.info), view_of(data, 1.8)
        law, noise = law_of(data, process), Noise(self.seed, range(self.count))
        times = ratio_times(process, size, self.frames).flip(0)
        one = chosen(data, Noise(self.seed, [0]).child("data")).x.expand(self.count, 2)
        pictures = []
        with counting("drawing", len(times), "frames") as count:
            for t, x in zip(times, forward_walk(process, one, times, noise), strict=True):
                scale = drawable(process, size, t)
                heat = density(law, t, view, 1 / scale)
                sigma = math.tan(float(process.angle(t))) if float(t) else 0.0
                panel = Plane(view, f"noise {sigma:.2g}", heat, points=scale * x)
                pictures.append(panels([[panel]], side=400))
                count()
        return Drawn(animate(pictures, None, 100, 1500), [])


@register("view", "chain")
@final
@dataclass(frozen=True)
class Chain(View):
    """Forward and reverse chain: data turned into noise by the SDE, and walked back.

    Arguments:
        count: examples; points in the plane show at least 1,000.
        columns: states shown of either half.
        steps: of either half.
        solver: walks back.
        seed: of the noise.
    """

    count: Examples = 6
    columns: Several = 5
    steps: Steps = 100
    solver: Solver = Ancestral()
    seed: int = 0

    def draw(self, model: OdeModel, data: Dataset) -> Drawn:
        process, size = model.process, size_of(data.info)
        times = ratio_times(process, size, self.steps)
        count = max(self.count, drawing_of(info_of(model)).least)
        noise = Noise(self.seed, range(count))
        batch = chosen(data, noise.child("data"))
        out = forward_walk(process, batch.x, times.flip(0), noise.child("out"))
        believes = model.denoiser if model.network.reads else Unconditional(model)
        walk = noise.child("back")
        back = walk_back(self.solver, believes, out[-1], times, walk, batch.cond)
        # In pieces, out and back, the noise in the middle once.
        half = evenly(len(times), max(2, self.columns))
        states = [(times.flip(0)[i], out[i]) for i in half]
        states += [(times[i], back[i]) for i in half[1:]]
        return Drawn(states_picture(model, size, states, batch.label), [])


@register("view", "ddim")
@final
@dataclass(frozen=True)
class FewSteps(View):
    """DDIM trajectories with few and many steps, a row each, from the same noise.

    Arguments:
        counts: steps of each row.
        columns: states shown of each walk, its end last.
        count: samples; each has a row for every count, and points in the plane are 1,000 at least.
        seed: of the noise.
    """

    counts: Annotated[tuple[Steps, ...], Len(1, 16)] = (3, 5, 10, 50)
    columns: Several = 6
    count: Examples = 2
    seed: int = 0

    def draw(self, model: OdeModel, data: Dataset) -> Drawn:
        process, size, info = model.process, size_of(data.info), info_of(model)
        count = max(self.count, drawing_of(info).least)
        noise = Noise(self.seed, range(count))
        start = process.prior((count, *info.shape)).sample(noise.child("start"))
        cond = null_condition(model.network, count)
        if model.labels is not None and cond is not None:
            cond = type(cond)(label=drawn_classes(model.labels, UNIFORM, range(count), 0))
        rows: list[list[Tensor]] = []
        columns = max(2, self.columns)
        for steps in self.counts:
            times = ratio_times(process, size, steps)
            walk = walk_back(DDIM(0.0), model.denoiser, start, times, noise.child("walk"), cond)
            at = evenly(len(times), columns)
            at = at[:1] * (columns - len(at)) + at  # fewer states: the noise again
            rows.append([drawable(process, size, times[i]) * walk[i] for i in at])
        names = [f"{steps} steps" for steps in self.counts]
        if not isinstance(display_of(info.space), InPlane):
            frames = [
                visible(info, torch.stack([row[i] for row in rows], 1).flatten(0, 1))
                for i in range(columns)
            ]
            return Drawn(drawing_of(info).strip(frames, None, names * count, None), [])
        view, heat = view_of(data), density(law_of(data, process), 0.0, view_of(data))
        grid = [
            [Plane(view, name if i == 0 else "", heat, points=x) for i, x in enumerate(row)]
            for name, row in zip(names, rows, strict=True)
        ]
        return Drawn(panels(grid, side=200), [])


def chosen(data: Dataset, noise: Noise) -> Batch:
    """One example for each stream, by draw: the first rows may be sorted."""
    u = noise.uniform(torch.empty(len(noise), dtype=torch.float64))
    return data.batch((u * len(data)).long())


def walk_back(
    solver: Solver,
    denoiser: GaussianDenoiser,
    start: Tensor,
    times: Tensor,
    noise: Noise,
    cond: object = None,
) -> Tensor:
    """All states of a walk, the start among them, shape (T, B, *event)."""
    found = [start]
    with torch.no_grad(), counting("walking back", len(times) - 1, "steps") as count:
        for step in trajectory(solver, denoiser, start, times, cond, noise):  # pyright: ignore
            found.append(step.x)
            count()
    return torch.stack(found)


def over_time(
    law: Mixture, size: float, view: View4, width: int = 120, height: int = 120
) -> Tensor:
    """Density of scaled states of the first coordinate, a column for each share of noise.

    Every column's largest value is 1. Shape (height, width).
    """
    process = law.process
    left, right, bottom, top = view
    middles = left + (right - left) * (torch.arange(width).double() + 0.5) / width
    x = bottom + (top - bottom) * (torch.arange(height).double() + 0.5) / height
    columns: list[Tensor] = []
    for angle in torch.deg2rad(middles):
        t = process.time(torch.atan(size * angle.tan()))
        values = law.log_prob(x[:, None] / drawable(process, size, t), t)
        columns.append((values - values.max()).exp())
    return torch.stack(columns, 1)


def states_picture(
    model: OdeModel,
    size: float,
    states: Sequence[tuple[Tensor, Tensor]],
    labels: Tensor | None,
) -> "Image":
    """States (t, x) as columns of the strip that the data's own drawing makes."""
    info = info_of(model)
    process = model.process
    shown = [drawable(process, size, t) * x for t, x in states]
    captions = [f"{a:.0f}°" for a in degrees(process, size, torch.stack([t for t, _ in states]))]
    return drawing_of(info).strip(
        [visible(info, x) for x in shown], captions, None, named(labels, model)
    )
