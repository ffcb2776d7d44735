"""Floor 5: pictures of samples, walks, clouds and losses. They know no model."""

from unnoise.plots.curves import loss_curve
from unnoise.plots.files import image_metadata, png_bytes, save_image
from unnoise.plots.film import film, forward_reverse
from unnoise.plots.points import scatter, scatter_strip, walk_film
from unnoise.plots.sheet import sheet
from unnoise.plots.strip import evenly, strip

__all__ = [
    "evenly",
    "film",
    "forward_reverse",
    "image_metadata",
    "loss_curve",
    "png_bytes",
    "save_image",
    "scatter",
    "scatter_strip",
    "sheet",
    "strip",
    "walk_film",
]
