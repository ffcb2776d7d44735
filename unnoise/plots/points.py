"""Scatter plots of points in the plane, and of their trajectories as strips and GIFs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from unnoise.core.errors import InputError, within
from unnoise.plots.figures import ACCENT, FAINT, INK, columns, new_figure, picture, tidy
from unnoise.plots.film import animate
from unnoise.plots.sheet import check_frames

if TYPE_CHECKING:
    from PIL.Image import Image


def scatter(
    points: Tensor,
    labels: Tensor | None = None,
    reference: Tensor | None = None,
    path: Path | None = None,
    *,
    names: Mapping[int, str] | None = None,
) -> "Image":
    """Scatter plot of points, coloured by label, over faint real ones; 600 x 600 pixels.

    Arguments:
        points: shape (N, 2).
        labels: classes, shape (N,), or None for one colour.
        reference: real points, shape (M, 2), or None.
        path: of the PNG; None writes nothing.
        names: of classes, for a legend of the first ten; None draws none.

    Returns:
        A Pillow image, both axes on one scale.

    Raises:
        InputError: other shapes.
        StorageError: the disk refuses.
    """
    check_points(points)
    figure = new_figure(600, 600)
    axes = figure.subplots()
    view = view_of(points)
    if reference is not None:
        check_points(reference)
        view = max(view, view_of(reference))
        axes.scatter(*columns(reference), s=5, color=FAINT, linewidths=0, label="data")
    _cloud(axes, points, labels, 560, None if names else "samples")
    _frame(axes, view)
    for label, name in list((names or {}).items())[:10]:
        # A leading space: matplotlib leaves out what begins with an underscore.
        told = " " + within(name, 24).replace("$", r"\$")
        axes.scatter([], [], s=12, color=f"C{label % 10}", linewidths=0, label=told)
    if reference is not None or names:
        axes.legend(loc="upper right", frameon=False, fontsize=9, labelcolor=INK, markerscale=2)
    return picture(figure, path)


def scatter_strip(
    frames: Sequence[Tensor],
    captions: Sequence[str] | None = None,
    labels: Tensor | None = None,
    path: Path | None = None,
) -> "Image":
    """Scatter plots of a trajectory side by side, each scaled to hold nearly all of its points.

    Arguments:
        frames: one cloud for each time, all of shape (N, 2); about eight are readable.
        captions: a line above each, such as "sigma 3.1".
        labels, path: as of ``scatter``.

    Raises:
        InputError: no frames, frames of different shapes, captions that do not count up.
        StorageError: the disk refuses.
    """
    _check_walk(frames, captions)
    side = min(240, 1000 // len(frames))
    figure = new_figure(side * len(frames), side + (18 if captions else 0))
    for i, axes in enumerate(figure.subplots(1, len(frames), squeeze=False)[0]):
        _cloud(axes, frames[i], labels, side)
        _frame(axes, view_of(frames[i]), numbers=False)
        if captions is not None:
            axes.set_title(captions[i], fontsize=9, color=INK)
    return picture(figure, path)


def walk_film(
    frames: Sequence[Tensor],
    path: Path | None = None,
    duration_ms: int = 80,
    hold_last_ms: int = 1500,
    *,
    titles: Sequence[str] | None = None,
    labels: Tensor | None = None,
) -> bytes:
    """Animated GIF of a trajectory in the plane; the view closes in as the points contract.

    Arguments:
        frames: one cloud for each time, all of shape (N, 2).
        path, duration_ms, hold_last_ms, titles: as of ``film``.
        labels: as of ``scatter``.

    Returns:
        The GIF's bytes.

    Raises:
        InputError: no frames, frames of different shapes, titles that do not count up.
        StorageError: the disk refuses.
    """
    _check_walk(frames, titles)
    pictures: list[Image] = []
    for i, frame in enumerate(frames):
        figure = new_figure(400, 400)
        axes = figure.subplots()
        _cloud(axes, frame, labels, 380)
        _frame(axes, view_of(frame))
        if titles is not None:
            axes.set_title(titles[i], fontsize=11, color=INK, loc="left")
        pictures.append(picture(figure))
    return animate(pictures, path, duration_ms, hold_last_ms)


def view_of(points: Tensor) -> float:
    """Axis limit: half the side of a square with 99.5 % of the points, and a margin."""
    reach = points.detach().abs().amax(1).double().cpu()
    return 1.15 * max(1e-6, float(reach.quantile(0.995)))


def check_points(points: Tensor) -> None:
    """Check that points are finite, of shape (N, 2).

    Raises:
        InputError: another shape, or NaN.
    """
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 1:
        raise InputError(
            f"points have shape {tuple(points.shape)}; only (N, 2) can be drawn. Choose two "
            "columns: points[:, :2]."
        )
    if not bool(points.isfinite().all()):
        raise InputError("the points hold NaN or infinite values; leave those out.")


def _check_walk(frames: Sequence[Tensor], lines: Sequence[str] | None) -> None:
    check_frames(frames, lines)
    for frame in frames:
        check_points(frame)


def _cloud(
    axes: Any, points: Tensor, labels: Tensor | None, side: int, name: str | None = None
) -> None:
    """The points, each of a size that suits their number and a square of ``side`` pixels."""
    if labels is not None and labels.shape != (len(points),):
        raise InputError(
            f"labels of shape {tuple(labels.shape)} for {len(points)} points; give one each."
        )
    x, y = columns(points)
    size = max(1.0, min(12.0, 12000 / len(points)) * (side / 560) ** 1.5)
    colours: dict[str, Any] = {"color": ACCENT}
    if labels is not None:
        classes = labels.detach().cpu().numpy() % 10
        colours = {"c": classes, "cmap": "tab10", "vmin": 0, "vmax": 9}
    axes.scatter(x, y, s=size, alpha=0.7, linewidths=0, label=name, **colours)


def _frame(axes: Any, view: float, numbers: bool = True) -> None:
    tidy(axes)
    axes.set(xlim=(-view, view), ylim=(-view, view), aspect="equal")
    axes.locator_params(nbins=5)
    if not numbers:
        axes.tick_params(labelbottom=False, labelleft=False, length=0)
