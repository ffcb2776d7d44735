"""A mistyped key is answered with the right one, and with where it stands."""

import difflib
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import pytest

from unnoise.core.errors import InputError
from unnoise.recipes import load_recipe, shipped
from unnoise.recipes import positions as lines
from unnoise.tasks import assemble

DIGITS = resources.files("unnoise.recipes").joinpath("digits.toml").read_text("utf-8")


class Key(NamedTuple):
    """A key of a TOML file: its line, and where it stands in it."""

    line: int
    start: int
    word: str


def keys(text: str) -> list[Key]:
    """Every key and every part of a table's name."""
    found: list[Key] = []
    for number, line in enumerate(text.splitlines(), 1):
        code = line.split("#")[0]
        pattern = r"[\w-]+(?=[\].])" if code.startswith("[") else r"(?:^|(?<=[{,] ))[\w-]+(?= *=)"
        found += [Key(number, m.start(), m[0]) for m in re.finditer(pattern, code)]
    return found


def edits(word: str) -> list[str]:
    """Words one slip of a finger away: a letter lost, doubled, hit wrong, or two in turn."""
    found: set[str] = set()
    for i, letter in enumerate(word):
        found |= {word[:i] + word[i + 1 :], word[:i] + letter + word[i:]}
        found |= {word[:i] + "x" + word[i + 1 :], word[:i] + word[i : i + 2][::-1] + word[i + 2 :]}
    return sorted(found - {word, ""})


def typos(text: str) -> Iterator[tuple[Key, str, str]]:
    """(key, the wrong word, the whole text with it)."""
    lines = text.splitlines()
    every = keys(text)
    for key in every:
        line = lines[key.line - 1]
        for wrong in edits(key.word):
            if wrong in {other.word for other in every}:
                continue  # another word that exists
            changed = line[: key.start] + wrong + line[key.start + len(key.word) :]
            yield key, wrong, "\n".join([*lines[: key.line - 1], changed, *lines[key.line :]])


def complaint(path: Path) -> str:
    try:
        assemble(path, device="cpu")
    except InputError as error:
        return str(error)
    return ""


def test_keys_are_found():
    words = [key.word for key in keys(DIGITS)]
    assert {"data", "kind", "model", "network", "objective", "times", "lr", "steps"} <= set(words)
    assert len(words) > 30
    assert len(edits("steps")) == 19 and "stesp" in edits("steps") and "sttps" not in edits("steps")


def unanswered(path: Path, share: int) -> tuple[int, list[str], list[str]]:
    """How many typos were tried (every so many), and what was said to those answered badly."""
    missed: list[str] = []
    misplaced: list[str] = []
    tried = list(typos(DIGITS))[::share]
    for key, wrong, text in tried:
        path.write_text(text)
        said = complaint(path)
        assert said, f"{wrong!r} for {key.word!r} was accepted"
        if f"Did you mean {key.word!r}?" not in said:
            missed.append(f"{wrong} for {key.word}: {said}")
        if f"line {key.line})" not in said:
            misplaced.append(f"{wrong} for {key.word} in {key.line}: {said}")
    return len(tried), missed, misplaced


def test_every_typo_is_answered(tmp_path: Path):
    count, missed, misplaced = unanswered(tmp_path / "mine.toml", 1)
    assert count > 500
    assert len(missed) <= 0.05 * count, missed
    assert len(misplaced) <= 0.05 * count, misplaced


def test_canary_a_bad_guesser_with_lines_counted_from_zero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    guess = difflib.get_close_matches
    right = lines.places
    monkeypatch.setattr(difflib, "get_close_matches", lambda w, k, n: guess(w, k, n, cutoff=0.9))
    monkeypatch.setattr(lines, "places", lambda t: {k: v - 1 for k, v in right(t).items()})
    count, missed, misplaced = unanswered(tmp_path / "mine.toml", 10)
    assert len(missed) > 0.2 * count and len(misplaced) > 0.9 * count


def test_all_mistakes_at_once(tmp_path: Path):
    text = DIGITS.replace("warmup =", "warmpu =").replace("batch =", "bacth =")
    path = tmp_path / "mine.toml"
    path.write_text(text.replace("lr = 3e-3", 'lr = "fast"'))
    said = complaint(path).splitlines()
    assert len(said) == 3
    numbers = {
        k: next(i for i, t in enumerate(text.splitlines(), 1) if t.startswith(k))
        for k in ("warmpu", "bacth", "lr")
    }
    for wrong, right in (("warmpu", "warmup"), ("bacth", "batch")):
        (line,) = (line for line in said if line.startswith(f"training.{wrong}"))
        assert f"training.{wrong}: no such setting. Did you mean {right!r}?" in line
        assert f"(recipe {path}, line {numbers[wrong]})" in line
    (line,) = (line for line in said if line.startswith("training.lr"))
    assert "training.lr = 'fast': input should be a valid number" in line
    assert f"line {numbers['lr']})" in line


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('kind = "mlp"', 'kind = "mpl"', "model.network.kind = 'mpl': no such network."),
        ('"dpmpp-2m"', '"dpmp-2m"', "sampling.solver.kind = 'dpmp-2m': no such solver."),
        ('kind = "lognormal"', 'kind = "log-normal"', "model.objective.times.kind = 'log-normal'"),
        ('grid = "karras"', 'grid = "kerras"', "sampling.grid.kind = 'kerras': no such grid."),
    ],
)
def test_mistyped_kinds(old: str, new: str, sentence: str, tmp_path: Path):
    assert old in DIGITS
    path = tmp_path / "mine.toml"
    path.write_text(DIGITS.replace(old, new))
    said = complaint(path)
    right = re.search('"([^"]+)"', old)
    assert right is not None
    assert sentence in said and f"Did you mean {right[1]!r}?" in said and "\n" not in said
    number = next(i for i, t in enumerate(path.read_text().splitlines(), 1) if new in t)
    assert f"line {number})" in said


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("digit", "digits"),
        ("digts", "digits"),
        ("moon", "moons"),
        ("digits_unet", "digits-unet"),
    ],
)
def test_mistyped_names_of_recipes(name: str, right: str):
    with pytest.raises(InputError, match=f"recipe '{name}': no such recipe") as caught:
        load_recipe(name)
    assert f"Did you mean {right!r}?" in str(caught.value)


def test_names_like_no_recipe():
    with pytest.raises(InputError, match="recipe 'photos': no such recipe") as caught:
        load_recipe("photos")
    assert "Did you mean" not in str(caught.value)
    assert all(known in str(caught.value) for known in shipped())
