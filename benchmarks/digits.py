"""The main job, ours beside two peers: class-conditional 8x8 digits.

    python benchmarks/digits.py [--seeds 5] [--peer-seeds 1] [--only ours|guided|peers]
                                [--budget 160] [--out benchmarks/results]

Every training runs in a fresh process with one thread, ours and theirs in turn; processor seconds
are the measure. See benchmarks/README.md for what the columns mean.
"""

import argparse
import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from machine import HERE, describe, finish, fresh, markdown, spread, version, write

OURS = ("unnoise", "unnoise-plain")
PEERS = ("diffusers", "denoising-diffusion-pytorch")
PACKAGES = ("unnoise", "torch", "numpy", "scikit-learn", *PEERS)
COLUMNS = {
    "training_cpu": ("train CPU s", 1),
    "yardstick": ("yardstick ms", 0),
    "accuracy_svc": ("acc (SVC)", 3),
    "accuracy_judge": ("acc (judge)", 3),
    "frechet": ("FD", 3),
    "precision": ("precision", 3),
    "recall": ("recall", 3),
    "memorisation": ("nn ratio", 2),
    "bits_per_dim": ("bits/dim", 3),
}
# What the project asks of itself: (arm, column, bound, whether the bound is a least value).
ASKED = (
    ("unnoise", "accuracy_svc", 0.99, True),
    ("unnoise", "accuracy_judge", 0.99, True),
    ("unnoise", "frechet", 0.60, False),
    ("unnoise", "precision", 0.90, True),
    ("unnoise", "recall", 0.65, True),
    ("unnoise", "memorisation", 0.95, True),
    ("unnoise", "training_cpu", 15.0, False),
    ("unnoise-plain", "accuracy_svc", 0.975, True),
    ("unnoise-plain", "accuracy_judge", 0.975, True),
    ("unnoise-plain", "frechet", 0.60, False),
    ("unnoise-plain", "bits_per_dim", 2.50, False),
)

Row = dict[str, Any]


def name_of(row: Row) -> str:
    """What a row is called in the table."""
    if row["arm"] in OURS:
        scale = "no guidance" if row["guidance"] == 1 else f"guidance {row['guidance']:g}"
        return f"unnoise, {row['training_steps']} steps, {scale}"
    return f"{row['arm']}, {row['sampling']}"


def grouped(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows of several seeds under one name, ours first."""
    found: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda r: (*OURS, *PEERS).index(r["arm"])):
        found.setdefault(name_of(row), []).append(row)
    return found


def middle(rows: Sequence[Row], column: str) -> float:
    return statistics.median(row[column] for row in rows)


def table(rows: Sequence[Row]) -> str:
    """A line for each arm: medians, with the least and the greatest."""
    lines = [
        [name, str(len(group))]
        + [
            spread([row[column] for row in group], digits) if column in group[0] else "-"
            for column, (_, digits) in COLUMNS.items()
        ]
        for name, group in grouped(rows).items()
    ]
    return markdown(["arm", "seeds", *(title for title, _ in COLUMNS.values())], lines)


def ratios(rows: Sequence[Row]) -> str:
    """Each of ours against each peer; above 1 is better for ours, but for the nn ratio's."""
    groups = grouped(rows)
    own = {n: g for n, g in groups.items() if g[0]["arm"] in OURS}
    other = {n: g for n, g in groups.items() if g[0]["arm"] in PEERS}
    if not own or not other:
        return ""
    lines: list[list[str]] = []
    for name, group in own.items():
        for peer, theirs in other.items():

            def ratio(column: str, a: Sequence[Row] = group, b: Sequence[Row] = theirs) -> float:
                return middle(a, column) / middle(b, column)

            wrong = (1 - middle(theirs, "accuracy_svc")) / max(
                1e-3, 1 - middle(group, "accuracy_svc")
            )
            lines.append(
                [
                    name,
                    peer,
                    f"{1 / ratio('training_cpu'):.1f}",
                    f"{wrong:.1f}",
                    f"{1 / ratio('frechet'):.2f}",
                    f"{ratio('precision'):.2f}",
                    f"{ratio('recall'):.2f}",
                ]
            )
    head = ["ours", "peer", "less training", "fewer wrong", "lower FD", "precision", "recall"]
    return markdown(head, lines)


def verdicts(rows: Sequence[Row]) -> str:
    """The medians against what issue 2 asks."""
    lines: list[list[str]] = []
    for arm, column, bound, least in ASKED:
        group = [row for row in rows if row["arm"] == arm]
        if group:
            value = middle(group, column)
            held = value >= bound if least else value <= bound
            sign = ">=" if least else "<="
            said = "reached" if held else "MISSED"
            lines.append(
                [name_of(group[0]), COLUMNS[column][0], f"{sign} {bound:g}", f"{value:.3f}"]
            )
            lines[-1].append(said)
    return markdown(["arm", "figure", "asked", "median", ""], lines) if lines else ""


def plan(given: argparse.Namespace) -> list[tuple[str, int]]:
    """Arms and seeds in the order they run: in turn, so that a slow hour hits everyone."""
    jobs: list[tuple[str, int]] = []
    for seed in range(max(given.seeds, given.peer_seeds)):
        if given.only != "peers" and seed < given.seeds:
            ours = OURS[:1] if given.only == "guided" else OURS
            jobs += [(arm, seed) for arm in ours]
        if given.only in (None, "peers") and seed < given.peer_seeds:
            jobs += [(arm, seed) for arm in PEERS if version(arm) is not None]
    return jobs


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5, help="trainings of each of ours")
    parser.add_argument("--peer-seeds", type=int, default=1, help="trainings of each peer")
    parser.add_argument("--only", choices=("ours", "guided", "peers"))
    parser.add_argument("--budget", type=float, default=160.0, help="CPU seconds a peer trains for")
    parser.add_argument(
        "--bits-steps", type=int, default=64, help="steps of the likelihood's solver"
    )
    parser.add_argument("--out", type=Path, default=HERE / "results")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    asked = {k: str(v) if isinstance(v, Path) else v for k, v in vars(given).items()}
    absent = [p for p in PEERS if version(p) is None] if given.only in (None, "peers") else []
    result: dict[str, Any] = {
        **describe(PACKAGES),
        "arguments": asked,
        "missing": absent,
        "failed": [],
        "rows": [],
    }
    del result["arguments"]["out"]
    suffix = f"-{given.only}" if given.only else ""
    path = given.out / f"digits-{result['date'][:10]}{suffix}.json"
    for arm, seed in plan(given):
        more = ["--seed", str(seed), "--budget", str(given.budget)]
        more += ["--bits-steps", str(given.bits_steps)]
        if arm == "unnoise-plain" and seed == 0:
            more.append("--convergence")
        print(f"{arm}, seed {seed} (load {os.getloadavg()[0]:.1f}) ...", flush=True)
        try:
            found = fresh("digits_arms.py", arm, *more)["rows"]
        except RuntimeError as error:
            print(f"  failed: {error}", flush=True)
            result["failed"].append({"arm": arm, "seed": seed, "error": str(error)})
            continue
        for row in found:
            figures = [f"{t} {row[c]:.{d}f}" for c, (t, d) in COLUMNS.items() if c in row]
            print(f"  {name_of(row)}: {', '.join(figures)}", flush=True)
        result["rows"] += found
        write(path, result)
    rows = result["rows"]
    finish(result)
    if rows:
        write(path, result)
        print(f"\n{table(rows)}\n")
    for name in absent:
        print(f"{name} is not installed; left out (benchmarks/README.md says how to get it).")
    for part in (ratios(rows), verdicts(rows)):
        print(f"{part}\n\n" if part else "", end="")
    for row in rows:
        for line in row.get("convergence", []):
            print(f"bits/dim of {line['count']}, {line['steps']} steps: {line['bits_per_dim']:.5f}")
    print(f"wrote {path}" if rows else "nothing was measured")


if __name__ == "__main__":
    main()
