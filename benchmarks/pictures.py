"""The figures of a benchmark as a picture beside its JSON file.

python benchmarks/pictures.py benchmarks/results/solver-error-2026-11-21.json
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unnoise.plots import Curves, Line, panels


def solver_error(result: dict[str, Any]) -> list[Curves]:
    found: list[Curves] = []
    for name, cells in {**result["known"], **dict(list(result["fresh"].items())[:2])}.items():
        calls = [int(n) for n in cells]
        lines = [
            Line("auto", calls, [cell["ours"] for cell in cells.values()]),
            Line("the best peer at each", calls, [cell["peer"] for cell in cells.values()]),
        ]
        found.append(Curves(lines, f"{name}: median error", "network calls", "", True, True))
    return found


def likelihood(result: dict[str, Any]) -> list[Curves]:
    cells, names = result["error"], ("ours", "ours_without_moments", "score_sde")
    titles = ("ours", "ours, without the data's moments", "score SDE's way")
    lines = [
        Line(title, [int(n) for n in cells], [cell[name] for cell in cells.values()])
        for name, title in zip(names, titles, strict=True)
    ]
    return [Curves(lines, "error of log p in 64 dimensions, nats", "network calls", "", True, True)]


def step_overhead(result: dict[str, Any]) -> list[Curves]:
    cells = result["batch 1"], result["batch 64"]
    chosen = ("floor", "unnoise ddim", "unnoise dpmpp-2m", "unnoise auto", "k-diffusion dpmpp_2m")
    chosen += ("azula DDIM", "diffusers DPM-Solver++ 2")
    lines = [Line(n, [1, 64], [cell[n] for cell in cells]) for n in chosen if n in cells[0]]
    return [Curves(lines, "beside the network: microseconds a call", "batch", "", True, True)]


# By what only such a result holds.
KINDS: dict[str, Callable[[dict[str, Any]], list[Curves]]] = {
    "known": solver_error,
    "forwards": likelihood,
    "batch 64": step_overhead,
}


def draw(path: Path) -> Path:
    """Write the picture of a results file beside it; its path."""
    result = json.loads(path.read_text("utf-8"))
    row = next(make(result) for key, make in KINDS.items() if key in result)
    picture = path.with_suffix(".png")
    panels([row], picture, side=380)
    return picture


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print("wrote", draw(Path(name)))
