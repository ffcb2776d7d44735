"""Running the command line: in this process, which is quick, or in one of its own."""

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from unnoise.cli.app import main

POINTS = """
[data]
kind = "moons"
count = 100
[model]
kind = "diffusion"
network = { kind = "mlp", width = 16, depth = 1 }
[sampling]
steps = 3
[training]
steps = 20
batch = 16
warmup = 5
save_every = 10
[evaluation]
count = 20
likelihood = 3
likelihood_steps = 2
"""
DIGITS = POINTS.replace('kind = "moons"\ncount = 100', 'kind = "digits"')

CLASSIFIER = """
name = "classifier"
[data]
kind = "digits"
[model]
kind = "classifier"
network = { kind = "mlp", width = 64, depth = 1 }
process = "vp"
[training]
steps = 150
batch = 64
lr = 4e-3
label_dropout = 0.0
"""


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def last(self) -> str:
        return self.out.rstrip("\n").rpartition("\n")[2]


def unnoise(*words: object) -> Ended:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    code: Any = 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main([str(word) for word in words])
        except SystemExit as end:
            code = end.code
    return Ended(0 if code is None else code, out.getvalue(), err.getvalue())


def good(*words: object) -> Ended:
    """The same for a command that must work."""
    ended = unnoise(*words)
    assert ended.code == 0, ended.err
    assert ended.err == ""
    return ended


def refused(*words: object, code: int = 2) -> str:
    """What a command says that must be refused: one plain line for each mistake, and no more."""
    ended = unnoise(*words)
    assert ended.code == code, ended
    lines = ended.err.splitlines()
    assert lines and all(line.startswith("unnoise: ") and len(line) > 12 for line in lines)
    assert "Traceback" not in ended.err and "wrote" not in ended.out
    return ended.err


def process(*words: object, cwd: Path, **env: str) -> Ended:
    """Run a command in a process of its own."""
    found = subprocess.run(
        [sys.executable, "-m", "unnoise", *map(str, words)],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        timeout=120,
    )
    return Ended(found.returncode, found.stdout.decode(), found.stderr.decode())


def train(folder: Path, text: str = POINTS, *more: object) -> Path:
    """A run in a folder, trained in a moment; its recipe lies beside it."""
    recipe = folder / "tiny.toml"
    recipe.write_text(text)
    out = folder / "run"
    good("train", recipe, "--out", out, "--threads", "1", "--device", "cpu", *more)
    return out


def files(folder: Path) -> dict[str, bytes]:
    """Every file in a folder, to see later whether it has changed."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
