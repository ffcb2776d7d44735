"""The line of progress of calls and commands: it is there, it goes, and the bits are the same."""

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.commands import train
from tests.small import SETTINGS, diffusion, pictures, points
from tests.terminal import Terminal
from unnoise.cli.app import main
from unnoise.system import progress
from unnoise.training import fit

CALLS: dict[str, Callable[[Any, Tensor, bool], Tensor]] = {
    "sample": lambda model, x, shown: model.sample(70, progress=shown),
    "vary": lambda model, x, shown: model.vary(x, 0.5, progress=shown),
    "likelihood": lambda model, x, shown: model.log_prob(x, steps=30, progress=shown),
    "elbo": lambda model, x, shown: model.elbo(x, steps=30, progress=shown).total,
    "encode": lambda model, x, shown: model.encode(x, solver="heun", steps=30, progress=shown),
    "interpolate": lambda model, x, shown: model.interpolate(x, x.flip(0), 3, progress=shown),
}


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("name", CALLS)
def test_the_same_bits_with_it(name: str, terminal: Terminal):
    model, x = diffusion(pictures()), pictures()[:5].x
    before = torch.random.get_rng_state()
    with_it, without = (CALLS[name](model, x, shown) for shown in (True, False))
    assert torch.equal(with_it, without)
    assert torch.equal(before, torch.random.get_rng_state())
    assert "%" in terminal.read() and terminal.screen == [""]


@pytest.mark.usefixtures("eager")
def test_the_same_bits_of_a_training(terminal: Terminal):
    a, b = (fit(diffusion(), points(), **SETTINGS, progress=shown) for shown in (None, False))
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    said = terminal.read()
    assert "training  " in said and "/30 steps  loss " in said and " img/s  " in said
    assert " left" in said and terminal.screen == [""]


# -- commands --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("progress"))


def command(*words: object) -> str:
    """Run one on whatever stderr is; what it prints on stdout."""
    out = io.StringIO()
    with redirect_stdout(out), pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    assert ended.value.code in (0, None)
    return out.getvalue()


WORDS = {
    "evaluate": "evaluate: drawing samples",
    "sample -n 70": "sample: drawing samples",
    "likelihood -n 3 --bound 40": "likelihood",
    "show chain": "show chain: walking back",
    "verify": "verify: training",
}


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("words", WORDS)
def test_a_command_is_seen_working(words: str, run: Path, tmp_path: Path, terminal: Terminal):
    verb, *rest = words.split()
    if verb in ("evaluate", "sample", "show"):
        rest += ["-o", tmp_path / {"evaluate": "a.json"}.get(verb, "a.png")]
    said = command(verb, run, *rest)
    assert WORDS[words] in terminal.read() and terminal.screen == [""]
    assert "\r" not in said and "so far" not in said


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("option", ["--quiet", "--json"])
def test_a_command_that_is_to_be_silent(option: str, run: Path, tmp_path: Path, terminal: Terminal):
    command("evaluate", run, "-o", tmp_path / "a.json", option)
    assert terminal.read() == ""


def test_a_command_into_a_file(
    run: Path, tmp_path: Path, file: io.StringIO, eager: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(progress, "FIRST", 0.0)
    said = command("evaluate", run, "-o", tmp_path / "a.json")
    lines = file.getvalue().splitlines()
    assert len(lines) == 1 and lines[0].startswith("evaluate") and "\r" not in lines[0]
    assert "evaluate: " not in said
