"""Loss curves of a training, against the step and by noise level."""

import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unnoise.core.errors import InputError
from unnoise.plots.figures import ACCENT, FAINT, INK, new_figure, picture, tidy

if TYPE_CHECKING:
    from PIL.Image import Image

_BINS = 24


def loss_curve(records: Sequence[Mapping[str, Any]], path: Path | None = None) -> "Image":
    """Loss curve against the step, and by noise level where that was recorded; 1000 x 450 pixels.

    Arguments:
        records: lines of metrics.jsonl; those with event "step", "step" and a finite "loss" count,
            and their "by_level" as ``[[log-SNR, loss], ...]`` where there.
        path: of the PNG; None writes nothing.

    Returns:
        A Pillow image. The dark line is ``smoothed`` over a sixtieth of the points.

    Raises:
        InputError: not a single step with a loss.
        StorageError: the disk refuses.
    """
    rows = [row for row in records if row.get("event") == "step" and _finite(row.get("loss"))]
    if not rows:
        raise InputError("no step with a loss is among these records; train for a step at least.")
    steps = [int(row["step"]) for row in rows]
    losses = [float(row["loss"]) for row in rows]
    levels = [
        row["by_level"] for row in rows if row.get("by_level") and by_level([row["by_level"]])
    ]

    figure = new_figure(1000, 450)
    left, *rest = figure.subplots(1, 2 if levels else 1, squeeze=False)[0]
    tidy(left)
    left.plot(steps, losses, color=FAINT, linewidth=0.8)
    line, mark = smoothed(losses, len(losses) / 60), "o" if len(steps) == 1 else None
    left.plot(steps, line, color=ACCENT, linewidth=2, marker=mark)
    left.set_ylabel("loss", color=INK)
    _name(left, "Loss while training", "step", min(losses))
    for right in rest:
        tidy(right)
        quarter = math.ceil(len(levels) / 4)
        early, late = by_level(levels[:quarter]), by_level(levels[-quarter:])
        if len(levels) > 1:
            right.plot(*zip(*early, strict=True), color=FAINT, linewidth=1.5, label="first quarter")
        right.plot(*zip(*late, strict=True), color=ACCENT, linewidth=2, label="last quarter")
        across = "log signal-to-noise ratio   (noise ← → data)"
        _name(right, "Loss by noise level", across, min(loss for _, loss in early + late))
        right.legend(frameon=False, labelcolor=INK, fontsize=9)
    return picture(figure, path)


def smoothed(values: Sequence[float], half_life: float) -> list[float]:
    """Two-sided exponential moving average: ``sum_j r^|i-j| v_j / sum_j r^|i-j|``.

    Here r = 2^(-1/half_life). A mean of the past alone would lag behind a falling loss.

    Arguments:
        values: any number of them.
        half_life: in points, > 0; under a hundredth of a point nothing is smoothed.
    """
    keep = 0.5 ** (1 / max(half_life, 0.01))

    def past(line: Sequence[float]) -> list[float]:
        return list(itertools.accumulate(line, lambda total, value: keep * total + value))

    def both(line: Sequence[float]) -> list[float]:
        after = past(line[::-1])[::-1]
        return [a + b - value for a, b, value in zip(past(line), after, line, strict=True)]

    weights = both([1.0] * len(values))
    return [total / weight for total, weight in zip(both(values), weights, strict=True)]


def by_level(records: Sequence[Sequence[Sequence[float]]]) -> list[tuple[float, float]]:
    """Mean loss at each noise level, ordered by log-SNR; many different levels are put in bins.

    Arguments:
        records: lists of (log-SNR, loss); losses that are not finite are left out.
    """
    pairs = [(float(p[0]), float(p[1])) for r in records for p in r if _finite(p[1])]
    if len({level for level, _ in pairs}) > 2 * _BINS:
        low, high = min(pairs)[0], max(pairs)[0]
        width = (high - low) / _BINS
        pairs = [
            (low + width * (0.5 + min(_BINS - 1, int((x - low) / width))), y) for x, y in pairs
        ]
    groups: defaultdict[float, list[float]] = defaultdict(list)
    for level, loss in pairs:
        groups[level].append(loss)
    return sorted((level, math.fsum(group) / len(group)) for level, group in groups.items())


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _name(axes: Any, title: str, across: str, least: float) -> None:
    """A title and the name of an axis; losses above 0 on a logarithmic axis, 0.2 not 2 x 10^-1."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes.set_title(title, color=INK, fontsize=12, loc="left")
    axes.set_xlabel(across, color=INK)
    if least <= 0:
        return
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
