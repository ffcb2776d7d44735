"""Views: visualisations of trained models (``unnoise show RUN VIEW``)."""

from unnoise.views.base import Drawn, Unconditional, View
from unnoise.views.fields import Naive, ScoreErrors, ScoreField
from unnoise.views.health import Diagnostics
from unnoise.views.walks import Chain, FewSteps, Paths, Spread

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
