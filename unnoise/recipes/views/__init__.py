"""Pictures of trained models: ``unnoise show RUN VIEW``."""

from unnoise.recipes.views.base import Drawn, Unconditional, View
from unnoise.recipes.views.fields import Naive, ScoreErrors, ScoreField
from unnoise.recipes.views.health import Diagnostics
from unnoise.recipes.views.walks import Chain, FewSteps, Paths, Spread

__all__ = [
    "Chain",
    "Diagnostics",
    "Drawn",
    "FewSteps",
    "Naive",
    "Paths",
    "ScoreErrors",
    "ScoreField",
    "Spread",
    "Unconditional",
    "View",
]
