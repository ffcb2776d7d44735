"""Event spaces: shape, levels, affine map, moments, how events are shown; classes with counts."""

from unnoise.spaces.display import Display, InPlane, Picture, display_of
from unnoise.spaces.moments import Moments
from unnoise.spaces.space import Affine, Labels, Space

__all__ = ["Affine", "Display", "InPlane", "Labels", "Moments", "Picture", "Space", "display_of"]
