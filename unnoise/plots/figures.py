"""Helpers for matplotlib figures without global state, rendered to Pillow images."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from unnoise.plots.files import save_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

PAPER = "#ececec"
INK = "#282828"
ACCENT = "#1f5fa8"
FAINT = "#b4b4b4"


def new_figure(width: int, height: int) -> "Figure":
    """New matplotlib figure of ``width`` by ``height`` pixels, empty, on light grey."""
    from matplotlib.figure import Figure

    return Figure((width / 100, height / 100), dpi=100, layout="constrained", facecolor=PAPER)


def tidy(axes: Any) -> None:
    """Style the axes: two thin spines, small tick labels, a faint grid behind."""
    axes.set_facecolor("white")
    axes.set_axisbelow(True)
    axes.grid(visible=True, color="#e4e4e4", linewidth=0.8)
    axes.tick_params(labelsize=9, color=FAINT, labelcolor=INK)
    for name, spine in axes.spines.items():
        spine.set_visible(name in ("left", "bottom"))
        spine.set_color(FAINT)


def columns(points: Tensor) -> tuple[Any, Any]:
    """The two columns of points (N, 2), for matplotlib."""
    x, y = points.detach().cpu().double().unbind(-1)
    return x.numpy(), y.numpy()


def picture(figure: "Figure", path: Path | None = None) -> "Image":
    """Render a figure to a Pillow image, mode RGB, and write it as a PNG where there is a path."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    size = canvas.get_width_height()
    image = Image.frombytes("RGBA", size, bytes(canvas.buffer_rgba())).convert("RGB")
    if path is not None:
        save_image(image, path)
    return image
