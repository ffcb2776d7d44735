"""What tests/cli/test_twice.py starts: every command in the present folder, each in a process of
its own, forked so that torch is imported once.

``python -m tests.cli.every_command PICTURES [shuffled]``
"""

import importlib
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.commands import CLASSIFIER, DIGITS
from tests.pictures import png
from unnoise.cli.app import main

COMMANDS = """
prepare PICTURES data --size 6 --workers 2
train own.toml --data data --out own
train digits.toml --out run --track tensorboard
train digits.toml --out run --resume
train digits.toml --out forked --fork run --steps 5
train classifier.toml --out classifier --steps 30
evaluate classifier --json
sample run -n 12 -o sheet.png
sample run -n 4 --guide classifier --guidance 2 -o led.npz
sample run -n 4 -o walk.gif
sample run -n 12 --label 3 --guidance 1.5 --solver ancestral -o arrays.npz
sample run -n 3 --seed 5 -o folder
sample own -n 2 --label cat -o cats.png
edit run given.png --inpaint --mask mask.png -n 2 -o inpainted.png
edit run given.png --vary 0.5 -n 2 -o varied.png
edit run given.png --relabel 3 -o relabelled.png
likelihood run --data digits:test -n 5 --bound 4 --json
evaluate run --json
average run --half-life 64 -o average.safetensors
verify run
show
show run
show process vp
show recipe digits
show run chain -o chain.png
""".strip().splitlines()


def shuffle() -> None:
    """Folders are listed in another order each time, as some file systems do."""
    listdir, scandir = os.listdir, os.scandir

    def listed(*path: Any) -> list[Any]:
        found = listdir(*path)
        random.shuffle(found)
        return found

    class Scanned:
        def __init__(self, *path: Any) -> None:
            with scandir(*path) as entries:
                self.found = list(entries)
            random.shuffle(self.found)

        def __enter__(self) -> Iterator[Any]:
            return iter(self.found)

        def __exit__(self, *_: object) -> None: ...

        def __iter__(self) -> Iterator[Any]:
            return iter(self.found)

    os.listdir, os.scandir = listed, Scanned  # pyright: ignore


def run(number: int, words: list[str]) -> None:
    """One command; what it says goes into files beside its results."""
    child = os.fork()
    if child == 0:
        for stream, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{number:02d}.{name}", os.O_CREAT | os.O_WRONLY), stream)
        sys.argv = ["unnoise", *words]
        try:
            main(words)
        except SystemExit as end:
            sys.stdout.flush()
            os._exit(end.code if isinstance(end.code, int) else 0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        said = Path(f"{number:02d}.err").read_text()
        sys.exit(f"unnoise {' '.join(words)} ended with {code}: {said}")


if __name__ == "__main__":
    if "shuffled" in sys.argv:
        shuffle()
    importlib.import_module("unnoise.views")  # what every command would import
    pictures = sys.argv[1]
    digits = DIGITS.replace("[training]", "[training]\nhalf_lives = [64.0]")
    Path("digits.toml").write_text(digits)
    Path("own.toml").write_text(DIGITS)
    Path("classifier.toml").write_text(CLASSIFIER)
    Path("given.png").write_bytes(png(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4))
    Path("mask.png").write_bytes(png(np.eye(8, dtype=np.uint8) * 255))
    for number, line in enumerate(COMMANDS):
        run(number, line.replace("PICTURES", pictures).split())
