"""The examples run: small, as anyone would start them."""

import runpy
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.pictures import fill
from unnoise.views import Chain, FewSteps, Naive, Paths, ScoreErrors, ScoreField

EXAMPLES = Path(__file__).parents[1] / "examples"


def start(name: str, *words: object) -> dict[str, object]:
    module = runpy.run_path(str(EXAMPLES / name))
    before, sys.argv = sys.argv, [name, *map(str, words)]
    try:
        module["main"]()
    finally:
        sys.argv = before
    return module


def test_every_example_is_here():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {
        "playground.py",
        "general_sde.py",
        "cifar10_inverse.py",
        "own.py",
    }


def test_general_sde(capsys: pytest.CaptureFixture[str]):
    start("general_sde.py")
    lines = capsys.readouterr().out.splitlines()
    measured = [line.split("(law:") for line in lines if "(law:" in line]
    for left, law in measured:
        assert float(left.split()[-1]) == pytest.approx(float(law.strip(" )")), rel=0.02)
    pairs = [line.split() for line in lines if len(line.split()) == 2 and "." in line]
    assert len(measured) == 4 and len(pairs) == 4
    assert all(abs(float(a) - float(b)) < 1e-3 for a, b in pairs)


def test_cifar10_inverse(tmp_path: Path):
    """A step of training, one test picture, all three sheets; started again it goes on."""
    pictures = fill(tmp_path / "pictures")
    words = [
        "--data",
        pictures,
        "--test",
        pictures,
        "--out",
        tmp_path / "run",
        "--count",
        1,
        "--walk",
        3,
    ]
    start("cifar10_inverse.py", *words, "--steps", 1)
    start("cifar10_inverse.py", *words, "--steps", 1)
    for name in ("colorization", "inpainting", "enlarging"):
        with Image.open(tmp_path / "run" / f"{name}.png") as image:
            assert image.width > 8 * 32 and image.height >= 32


def test_playground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Two steps of training and the smallest of every view."""
    module = runpy.run_path(str(EXAMPLES / "playground.py"))
    names = module["main"].__globals__
    small = {
        "score": ScoreField(levels=1, paths=1, steps=2),
        "paths": Paths(count=1, steps=2),
        "chain": Chain(columns=2, steps=2),
        "ddim": FewSteps(counts=(1,), columns=2),
    }
    assert set(names["VIEWS"]) == set(small)
    monkeypatch.setitem(names, "VIEWS", small)
    monkeypatch.setitem(names, "ScoreErrors", lambda: ScoreErrors(levels=1, count=8))
    monkeypatch.setitem(names, "Naive", lambda against: Naive(against, steps=2, count=8))
    words = ["--out", str(tmp_path), "--steps", "2", "--only", "valleys"]
    monkeypatch.setattr(sys, "argv", ["playground.py", *words])
    module["main"]()
    drawn = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.glob("*/*.[pg][ni][gf]"))
    assert {f"valleys/{view}.png" for view in (*small, "errors", "naive")} <= set(drawn)
    for name in drawn:
        with Image.open(tmp_path / name) as image:
            image.verify()


def test_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Circles of radius 1 and 2, by class."""
    monkeypatch.chdir(tmp_path)
    start("own.py", "--steps", "60")
    assert "2 classes" in capsys.readouterr().out
    with Image.open("runs/circles.png") as image:
        assert min(image.size) > 100
    assert Path("runs/circles.safetensors").is_file()
