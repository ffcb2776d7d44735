"""Plots: contact sheets of samples, sampling trajectories, GIFs, scatter plots, loss curves."""

from unnoise.plots.curves import loss_curve
from unnoise.plots.drawings import Drawing
from unnoise.plots.files import image_metadata, png_bytes, save_image
from unnoise.plots.film import animate, film, forward_reverse
from unnoise.plots.labels import SampleLabels
from unnoise.plots.panels import Curves, Line, Plane, lattice, panels
from unnoise.plots.points import scatter, scatter_strip, walk_film
from unnoise.plots.sheet import class_sheet, evenly, sheet, strip

__all__ = [
    "Curves",
    "Drawing",
    "Line",
    "Plane",
    "SampleLabels",
    "animate",
    "class_sheet",
    "evenly",
    "film",
    "forward_reverse",
    "image_metadata",
    "lattice",
    "loss_curve",
    "panels",
    "png_bytes",
    "save_image",
    "scatter",
    "scatter_strip",
    "sheet",
    "strip",
    "walk_film",
]
