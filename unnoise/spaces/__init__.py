"""Event spaces: shape, levels, affine map to modelled values, moments; and classes with counts."""

from unnoise.spaces.labels import Labels
from unnoise.spaces.moments import Moments
from unnoise.spaces.space import Space

__all__ = ["Labels", "Moments", "Space"]
