"""Figures of panels in rows: 2D densities, points, vector fields and paths, or curves."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from unnoise.core.errors import InputError
from unnoise.plots.figures import ACCENT, INK, columns, new_figure, picture, tidy
from unnoise.plots.points import check_points

if TYPE_CHECKING:
    from PIL.Image import Image

COLOURS = (ACCENT, "#c8553d", "#3a7d44", "#8a5a9e", "#b8860b")


@dataclass(frozen=True)
class Plane:
    """Panel in the plane, in layers: heat map, points, arrows (vector field) and paths.

    Arguments:
        view: its corner and the one opposite, (left, right, bottom, top).
        title: a line above.
        heat: values on an even lattice, shape (H, W), row 0 at the bottom; a colour map.
        scale: of the colours: "density" from white to blue; "error" with a bar beside.
        points: shape (N, 2).
        arrows: where they start and where they point, both of shape (N, 2), in units of the plane.
        paths: ways through the plane, shape (T, N, 2); a dot at the end of each.
        across, up: names of the axes; none draws no numbers.
        square: one scale for both axes.
    """

    view: tuple[float, float, float, float]
    title: str = ""
    heat: Tensor | None = None
    scale: Literal["density", "error"] = "density"
    points: Tensor | None = None
    arrows: tuple[Tensor, Tensor] | None = None
    paths: Tensor | None = None
    across: str = ""
    up: str = ""
    square: bool = True

    def draw(self, axes: Any) -> None:
        tidy(axes)
        left, right, bottom, top = self.view
        if self.heat is not None:
            colours = "Blues" if self.scale == "density" else "magma_r"
            shown = axes.imshow(
                self.heat.detach().cpu().double().numpy(),
                origin="lower",
                extent=self.view,
                aspect="auto",
                cmap=colours,
                interpolation="bilinear",
                vmax=None if self.scale == "error" else 1.4 * float(self.heat.max()),
            )
            if self.scale == "error":
                bar = axes.figure.colorbar(shown, ax=axes, fraction=0.046, pad=0.02)
                bar.ax.tick_params(labelsize=8)
        if self.points is not None:
            check_points(self.points)
            x, y = columns(self.points)
            size = max(1.0, min(10.0, 5000 / len(self.points)))
            axes.scatter(x, y, s=size, c=ACCENT, alpha=0.75, linewidths=0)
        if self.arrows is not None:
            (x, y), (u, v) = (columns(part) for part in self.arrows)
            axes.quiver(
                x, y, u, v, angles="xy", scale_units="xy", scale=1, width=0.004, color=INK, zorder=2
            )
        if self.paths is not None:
            for i in range(self.paths.shape[1]):
                x, y = columns(self.paths[:, i])
                colour = COLOURS[1 + i % (len(COLOURS) - 1)]
                axes.plot(x, y, color=colour, linewidth=0.9, alpha=0.9)
                axes.plot(x[-1:], y[-1:], "o", color=colour, markersize=3.5)
        axes.set(xlim=(left, right), ylim=(bottom, top), xlabel=self.across, ylabel=self.up)
        if self.square:
            axes.set_aspect("equal")
        if not (self.across or self.up):
            axes.tick_params(labelbottom=False, labelleft=False, length=0)
        axes.grid(visible=False)
        axes.set_title(self.title, fontsize=10, color=INK)


@dataclass(frozen=True)
class Line:
    """Curve of a ``Curves`` panel, with a name and error bars.

    Arguments:
        name: in the legend; none for a curve that needs no name.
        x, y: its points.
        error: half the height of an error bar at each.
        dashed: for what is known and not measured.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    error: Sequence[float] | None = None
    dashed: bool = False


@dataclass(frozen=True)
class Curves:
    """Panel of curves (line plot) on one pair of axes.

    Arguments:
        lines: the curves.
        title: a line above.
        across, up: names of the axes.
        log_x, log_y: whether an axis is logarithmic.
    """

    lines: Sequence[Line]
    title: str = ""
    across: str = ""
    up: str = ""
    log_x: bool = False
    log_y: bool = False

    def draw(self, axes: Any) -> None:
        tidy(axes)
        for line, colour in zip(self.lines, COLOURS * len(self.lines), strict=False):
            style: dict[str, Any] = {"color": INK if line.dashed else colour, "label": line.name}
            style |= {"linewidth": 1.6, "linestyle": "--" if line.dashed else "-"}
            if line.error is None:
                mark = None if line.dashed else "o"
                axes.plot(line.x, line.y, marker=mark, markersize=3, **style)
            else:
                axes.errorbar(line.x, line.y, line.error, capsize=2, **style)
        if self.log_x:
            axes.set_xscale("log")
            marks = self.lines[0].x
            axes.set_xticks(marks, labels=[f"{mark:g}" for mark in marks], minor=False)
            axes.minorticks_off()
        axes.set_yscale("log" if self.log_y else "linear")
        axes.set_title(self.title, fontsize=10, color=INK)
        axes.set_xlabel(self.across, fontsize=9, color=INK)
        axes.set_ylabel(self.up, fontsize=9, color=INK)
        if any(line.name for line in self.lines):
            axes.legend(frameon=False, fontsize=8, labelcolor=INK)


def panels(
    rows: Sequence[Sequence[Plane | Curves]], path: Path | None = None, side: int = 300
) -> "Image":
    """Draw panels in rows, all of one size.

    Arguments:
        rows: as many panels in each; shorter rows end in empty places.
        path: of the PNG; None writes nothing.
        side: of a panel in pixels.

    Raises:
        InputError: no panels.
        StorageError: the disk refuses.
    """
    width = max((len(row) for row in rows), default=0)
    if width == 0:
        raise InputError("there are no panels to draw; give at least one.")
    figure = new_figure(side * width, side * len(rows))
    grid = figure.subplots(len(rows), width, squeeze=False)
    for row, places in zip(rows, grid, strict=True):
        for axes, panel in zip(places, [*row, *[None] * (width - len(row))], strict=True):
            axes.set_axis_off() if panel is None else panel.draw(axes)
    return picture(figure, path)


def lattice(view: tuple[float, float, float, float], width: int, height: int) -> Tensor:
    """Cell centres of an even 2D grid over a view, shape (height * width, 2), float64.

    In the order of ``heat``: ``values(lattice).reshape(height, width)``.
    """
    left, right, bottom, top = view
    x = left + (right - left) * (torch.arange(width, dtype=torch.float64) + 0.5) / width
    y = bottom + (top - bottom) * (torch.arange(height, dtype=torch.float64) + 0.5) / height
    up, across = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([across.flatten(), up.flatten()], 1)
