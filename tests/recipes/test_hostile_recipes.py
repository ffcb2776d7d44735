"""Recipes with anything in them: read and built, or refused in plain lines; never a traceback."""

import copy
import random
import sys
import time
import tomllib
from importlib import resources
from typing import Any

import pytest
import tomli_w

from unnoise.core.errors import UnnoiseError
from unnoise.recipes import load_recipe, shipped
from unnoise.tasks import assemble
from unnoise.tasks.train import toml

SECONDS = 5.0  # a guard against hanging

TEXTS = {
    name: resources.files("unnoise.recipes").joinpath(f"{name}.toml").read_text("utf-8")
    for name in shipped()
    if name not in ("digits-unet",)  # a second for each build; its keys stand in digits, too
}


def huge(digits: int) -> int:
    return 1 << int(digits * 3.33)


VALUES: list[Any] = [
    *(0, -1, 1, 2, 10**9, 10**18, 2**63, 2**64, 10**30, -(10**30), huge(5000)),
    *(0.0, -0.5, 0.5, 1e-300, 1e308, float("nan"), float("inf"), True, False),
    *(
        "",
        "x",
        "vp",
        "digits",
        "x" * 10_000,
        "\n",
        "고양이",
        "../..",
        "/dev/zero",
        "\0",
        "{",
        "1e3",
    ),
    *([], [1], [[1]], ["vp"], [1.0] * 3, list(range(5)), [{}], [None] * 0, [True]),
    *(
        {},
        {"kind": "vp"},
        {"kind": 3},
        {"kind": "mlp"},
        {"kind": "heun", "steps": 3},
        {"a": {"b": 1}},
    ),
]


def places(table: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The way to every key of a recipe."""
    found: list[tuple[str, ...]] = []
    for key, value in table.items():
        found.append((*path, key))
        if isinstance(value, dict):
            found += places(value, (*path, key))
    return found


def mutated(draw: random.Random) -> dict[str, Any]:
    """A shipped recipe with one to three things done to it."""
    tables = tomllib.loads(TEXTS[draw.choice(sorted(TEXTS))])
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        *parents, last = draw.choice(places(tables))
        here = tables
        for parent in parents:
            here = here[parent]
        match draw.randrange(6):
            case 0:
                del here[last]
            case 1:
                here[last[:-1] + draw.choice("aeiou")] = here.pop(last)
            case 2:
                here[draw.choice(("kind", "steps", "seed", "width", "x" * 300, "", "a.b"))] = (
                    draw.choice(VALUES)
                )
            case 3 if isinstance(here[last], dict):
                here[last] = {**here[last], "kind": draw.choice(VALUES)}
            case _:
                here[last] = copy.deepcopy(draw.choice(VALUES))
    return tables


def garbled(draw: random.Random) -> str:
    """The text of a recipe with letters and lines of it out of place."""
    text = TEXTS[draw.choice(sorted(TEXTS))]
    for _ in range(draw.choice((1, 2, 5))):
        i = draw.randrange(len(text))
        match draw.randrange(5):
            case 0:
                text = text[:i] + draw.choice("[]{}=\"'#.,\n\0\\é") + text[i:]
            case 1:
                text = text[:i] + text[i + draw.randrange(1, 30) :]
            case 2:
                text = text[:i] + draw.choice(("[" * 200, "9" * 5000, "a." * 300, "= ")) + text[i:]
            case 3:
                lines = text.splitlines(keepends=True)
                draw.shuffle(lines)
                text = "".join(lines)
            case _:
                j = draw.randrange(len(text))
                text = text[:i] + text[j : j + 40] + text[i:]
    return text


def judged(source: Any) -> str:
    """ "built" or "refused"; anything else is a failure of the test."""
    began = time.monotonic()
    try:
        made = assemble(source, device="cpu")
        assemble(tomllib.loads(toml(made.tables)), device="cpu")  # what is written can be read
        end = "built"
    except UnnoiseError as error:
        lines = str(error).splitlines()
        assert lines and len(lines) <= 20 and all(0 < len(line) <= 200 for line in lines), lines
        end = "refused"
    assert time.monotonic() - began < SECONDS
    return end


COUNTS = [200, pytest.param(3000, marks=pytest.mark.slow)]


@pytest.mark.parametrize("count", COUNTS)
def test_tables(count: int):
    draw, ends = random.Random(count), list[str]()
    for _ in range(count):
        ends.append(judged(mutated(draw)))
    assert ends.count("refused") > count / 3 and ends.count("built") > count / 20


@pytest.mark.parametrize("count", COUNTS)
def test_texts(count: int, tmp_path):
    draw, file = random.Random(count), tmp_path / "r.toml"
    for _ in range(count):
        text = garbled(draw)
        file.write_text(text, "utf-8", newline="")
        judged(str(file))


def test_every_value_in_every_place():
    """One mistake at a time, in the smallest recipe: every key, every value."""
    base = {
        "name": "r",
        "data": {"kind": "moons", "count": 20},
        "model": {"kind": "diffusion", "process": "vp", "network": {"kind": "mlp", "width": 8}},
        "sampling": {"steps": 3, "guidance": 1.0},
        "training": {"steps": 3, "batch": 4, "lr": 1e-3},
        "evaluation": {"count": 10, "seed": 0},
    }
    refused = 0
    for path in places(base):
        for value in VALUES:
            tables = copy.deepcopy(base)
            here: Any = tables
            for parent in path[:-1]:
                here = here[parent]
            here[path[-1]] = value
            refused += judged(tables) == "refused"
    assert refused > 500


def test_canary_a_bare_error(monkeypatch: pytest.MonkeyPatch):
    """An error of another kind is seen, and so is a line that is too long."""
    monkeypatch.setattr(UnnoiseError, "__str__", lambda self: "x" * 201)
    with pytest.raises(AssertionError):
        judged({"data": 3})
    monkeypatch.undo()
    monkeypatch.setitem(load_recipe.__globals__, "_recipe", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        judged(tomllib.loads(tomli_w.dumps({"data": {"kind": "moons"}})))


def test_the_values_are_what_they_should_be():
    assert sys.get_int_max_str_digits() < 5000 < huge(5000).bit_length() / 3.3
