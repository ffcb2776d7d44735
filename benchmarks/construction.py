"""What the check of a registered constructor costs, beside a plain frozen dataclass.

python benchmarks/construction.py
"""

import argparse
import timeit
from collections.abc import Callable
from dataclasses import fields, make_dataclass
from pathlib import Path
from typing import Any

import machine

import unnoise
from unnoise.catalogue.registry import build

ASKED = 15.0  # times a plain frozen dataclass with the same fields


def microseconds(call: Callable[[], Any]) -> list[float]:
    return [1e6 * seconds / 20_000 for seconds in timeit.repeat(call, number=20_000, repeat=9)]


def plain(cls: type) -> type:
    """A frozen dataclass with the fields of another, and nothing else."""
    found = [(f.name, float, f.default) for f in fields(cls)]  # pyright: ignore
    return make_dataclass("Plain", found, frozen=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=machine.HERE / "results" / "construction.json")
    given = parser.parse_args()
    result = machine.describe(["unnoise", "pydantic"])
    other = plain(unnoise.VP)
    calls: dict[str, Callable[[], Any]] = {
        "plain dataclass": other,
        "VP()": unnoise.VP,
        "VP(beta_max=12.0)": lambda: unnoise.VP(beta_max=12.0),
        'build("process", "vp")': lambda: build("process", "vp"),
        'Regression(times="lognormal")': lambda: unnoise.Regression(times="lognormal"),
    }
    result["microseconds"] = rows = {name: microseconds(call) for name, call in calls.items()}
    base = min(rows["plain dataclass"])
    ratios = {name: min(values) / base for name, values in rows.items()}
    result["ratios"] = ratios
    table = [[n, machine.spread(rows[n]), f"{ratios[n]:.1f}"] for n in rows]
    print(machine.markdown(["call", "microseconds", "times the plain one (best of 9)"], table))
    print(f"VP(): {ratios['VP()']:.1f} times, asked at most {ASKED:g}")
    machine.finish(result)
    machine.write(given.out, result)
    print(f"wrote {given.out}")


if __name__ == "__main__":
    main()
