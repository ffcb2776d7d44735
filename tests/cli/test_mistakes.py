"""What goes wrong is said in one plain line, with the right exit code, and harms nothing."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import typer

from tests.commands import POINTS, Ended, files, good, process, refused, train, unnoise
from unnoise.cli.app import app
from unnoise.core.errors import Interrupted, NumbersError, StorageError

VERBS = sorted(command.callback.__name__ for command in app.registered_commands if command.callback)


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("points"), POINTS)


# -- words on the command line --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["trian"], "train"),
        (["sampel"], "sample"),
        (["xyz"], "xyz"),
        (["train"], "Missing argument 'recipe'"),
        (["train", "digits", "--stpes", "3"], "--steps"),
        (["train", "digits", "--steps", "many"], "should be a valid integer"),
        (["train", "digits", "--steps"], "requires an argument"),
        (["train", "digits", "moons"], "unexpected extra argument"),
        (["train", "digts"], "Did you mean 'digits'"),
        (["train", "digits", "--set", "training.lr"], "write it as table.setting=value"),
        (["train", "digits", "--set", "trainig.lr=1"], "Did you mean 'training'"),
        (["train", "digits", "--set", "training.steps=1.5"], "training.steps = 1.5"),
        (["train", "digits", "--precision", "fp8"], "training.precision = 'fp8'"),
        (["train", "digits", "--device", "abacus"], "device 'abacus' cannot be used"),
        (["train", "digits", "--threads", "0"], "should be greater than or equal to 1"),
        (["train", "digits", "--fork", "nothing"], "nothing: no model there"),
        (["train", "digits", "--plugin", "none.py"], "plugin none.py: no such Python file"),
        (["sample", "nothing"], "nothing: no model there"),
        (["sample", "nothing", "-n", "0"], "should be greater than or equal to 1"),
        (["likelihood", "nothing"], "no model there"),
        (["evaluate", "nothing"], "no model there"),
        (["show", "nothing"], "no such run, file or family"),
        (["show", "--plugin", "none.py"], "no such Python file"),
    ],
)
def test_mistakes_are_named(
    words: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    said = refused(*words)
    assert sentence in said and len(said.splitlines()) == 1 and len(said) < 300
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--label", "2"], "label 2: this model knows labels 0 to 1"),
        (["--guidance", "-1"], "--guidance.scale = -1.0"),
        (["--guidance", "nan"], "--guidance.scale = nan"),
        (["--guidance", "strong"], "no such guidance. Known: constant"),
        (["--guide", "nobody"], "nobody: no model there"),
        (["--solver", "huen"], "Did you mean 'heun'"),
        (["--solver", "heun", "--eta", "0.5"], "eta"),
        (["--eta", "2"], "eta"),
        (["--grid", "kerras"], "Did you mean 'karras'"),
        (["--steps", "0"], "steps = 0"),
        (["--first", "-1"], "should be greater than or equal to 0"),
        (["-o", "a.jpg"], "ends in .png, .gif, .npz, or a folder"),
        (["-o", "none/a.png"], "the folder none does not exist"),
    ],
)
def test_mistakes_in_sample(
    words: list[str],
    sentence: str,
    points: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    output = [] if "-o" in words else ["-o", "a.png"]
    said = refused("sample", points, "-n", 4, *words, *output)
    assert sentence in said and len(said.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_other_mistakes(points: Path, tmp_path: Path):
    assert "Did you mean 'moons'" in refused("likelihood", points, "--data", "moon:test")
    assert "data.split = 'tset'" in refused("likelihood", points, "--data", "moons:tset")
    assert "no such folder" in refused("likelihood", points, "-o", tmp_path / "none")
    assert "shape" in refused("likelihood", points, "--data", "digits:test", "-n", 2)
    assert "shape" in refused("evaluate", points, "--against", "digits:test")
    assert "sigma" in refused("likelihood", points, "--sigma", "-1", "-n", 2)


@pytest.mark.parametrize("content", [b"", b"text", b"\x80\x05\x95", bytes(5000), b"PK\x03\x04" * 9])
def test_files_that_are_no_models(content: bytes, tmp_path: Path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    for verb in ("sample", "likelihood", "evaluate", "show"):
        said = refused(verb, path)
        assert str(path) in said and len(said.splitlines()) == 1
    assert list(tmp_path.iterdir()) == [path]


# -- what is there is not touched -----------------------------------------------------------------


def test_an_existing_run_is_not_touched(points: Path, monkeypatch: pytest.MonkeyPatch):
    before = files(points)
    recipe = points.parent / "tiny.toml"
    monkeypatch.chdir(points.parent)  # of a long path a line shows the ends only
    said = refused("train", recipe, "--out", "run")
    assert "--resume" in said and "--fork run --out run-2" in said
    assert files(points) == before
    said = refused("train", recipe, "--out", points, "--resume", "--set", "training.lr=0.5")
    assert "training.lr was 0.003, now 0.5" in said and files(points) == before
    said = refused("train", "digits", "--out", points, "--resume", "--device", "cpu")
    assert "is a run of" in said and files(points) == before


def test_a_folder_that_is_no_run(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "tiny.toml").write_text(POINTS)
    recipe = tmp_path / "tiny.toml"
    assert "exists already" in refused("train", recipe, "--out", tmp_path)
    assert "holds no run" in refused("train", recipe, "--out", tmp_path, "--resume")
    assert "is a file" in refused("train", recipe, "--out", tmp_path / "notes.txt")
    refused("train", recipe, "--out", tmp_path / "notes.txt", "--resume")
    assert sorted(files(tmp_path)) == ["notes.txt", "tiny.toml"]


@pytest.mark.parametrize("name", ["a.png", "a.gif", "a.npz", "mine", "model.safetensors"])
def test_a_foreign_file_is_not_overwritten(name: str, points: Path, tmp_path: Path):
    (tmp_path / name).write_bytes(b"my own picture")
    refused("sample", points, "-n", 4, "-o", tmp_path / name)
    assert files(tmp_path) == {name: b"my own picture"}


def test_a_folder_with_other_files_is_not_filled(points: Path, tmp_path: Path):
    (tmp_path / "holiday.png").write_bytes(b"my own picture")
    assert "holds other files" in refused("sample", points, "-n", 4, "-o", tmp_path)
    assert "is a folder" in refused("sample", points, "-o", _folder(tmp_path / "a.png"))
    assert sorted(files(tmp_path)) == ["holiday.png"]


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


# -- exit codes -----------------------------------------------------------------------------------


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException, *more: str) -> Ended:
    """`unnoise show`, with something inside that goes wrong."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("unnoise.recipes.shipped", fail)
    return unnoise("show", *more)


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (ZeroDivisionError("division by zero"), 1, "this is a bug in unnoise: ZeroDivisionError"),
        (StorageError("cannot write x: disk full."), 3, "cannot write x: disk full."),
        (OSError(28, "No space left on device", "x.png"), 3, "x.png: No space left on device."),
        (MemoryError(), 3, "memory has run out"),
        (NumbersError("the loss became NaN."), 4, "the loss became NaN."),
        (KeyboardInterrupt(), 130, "interrupted."),
        (Interrupted("Stopped at step 3.", 143), 143, "Stopped at step 3."),
    ],
)
def test_exit_codes(
    error: BaseException, code: int, sentence: str, monkeypatch: pytest.MonkeyPatch
):
    ended = failing(monkeypatch, error)
    assert ended.code == code and sentence in ended.err
    assert len(ended.err.splitlines()) == 1 and "Traceback" not in ended.err
    more = failing(monkeypatch, error, "--traceback")
    assert more.code == code
    assert ("Traceback" in more.err) != isinstance(error, KeyboardInterrupt)
    assert more.err.splitlines()[-1] == ended.err.rstrip()


def test_memory_that_torch_cannot_have(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50)
    ended = failing(monkeypatch, caught.value)
    assert ended.code == 3 and "memory has run out" in ended.err


def test_a_loss_that_is_nan(tmp_path: Path):
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(POINTS)
    words = ("train", recipe, "--threads", 1, "--device", "cpu", "--set", "training.lr=1e38")
    ended = unnoise(*words, "--set", "training.warmup=0", "--out", tmp_path / "run")
    assert ended.code == 4
    (line,) = ended.err.splitlines()
    assert "became NaN or infinite at step" in line and "--set training.lr=1e+37" in line


# -- help -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "200")
    text = good(verb, "--help").out
    assert f"Example: unnoise {verb}" in text
    assert good(verb, "-h").out == text
    command = typer.main.get_command(app)
    parameters: Any = command.commands[verb].params  # pyright: ignore
    assert all(p.help or p.name == "help" for p in parameters), verb


@pytest.mark.parametrize("verb", VERBS)
def test_every_example_is_a_command(verb: str):
    """Its options exist; what it names may not."""
    callback = next(c.callback for c in app.registered_commands if c.callback.__name__ == verb)
    example = (callback.__doc__ or "").split("Example: unnoise ")[1].split()
    said = unnoise(*example, "--help")
    assert said.code == 0
    command: Any = typer.main.get_command(app)
    known = {name for p in command.commands[verb].params for name in p.opts}
    assert {word for word in example if word.startswith("-")} <= known


def test_the_program_explains_itself(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "200")
    text = good("--help").out
    assert all(f" {verb} " in text for verb in VERBS) and "unnoise demo" in text
    assert good().out == text
    assert good("--version").out.startswith("unnoise 0.")


# -- the world around -----------------------------------------------------------------------------


def test_in_a_process_of_its_own(points: Path, tmp_path: Path):
    """What only a real process shows: an ASCII terminal, a working folder of no use, no home."""
    ended = process("show", "process", "vp", cwd=tmp_path, LANG="C", LC_ALL="C", PYTHONUTF8="0")
    assert ended.code == 0 and ended.err == "" and "alpha" in ended.out
    out = tmp_path / "a.npz"
    words = ("sample", points, "-n", 3, "-o", out)
    ended = process(*words, cwd=Path("/proc"), HOME="/none", LANG="C", PYTHONHASHSEED="7")
    assert ended == Ended(0, ended.out, "") and ended.last == f"wrote {out}"
    content = out.read_bytes()
    good(*words)
    assert out.read_bytes() == content


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_folder_that_cannot_be_made(tmp_path: Path):
    (tmp_path / "tiny.toml").write_text(POINTS)
    said = refused("train", tmp_path / "tiny.toml", "--out", "/proc/run", "--quiet", code=3)
    assert "cannot make /proc/run" in said


def test_an_output_nobody_reads(points: Path):
    """`unnoise ... | head -0`: no traceback, no complaint about a pipe."""
    import subprocess

    for words in (["show"], ["sample", str(points), "-n", "2", "-o", "/dev/null"]):
        found = subprocess.run(
            f"{sys.executable} -m unnoise {' '.join(words)} | head -0",
            shell=True,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert "Traceback" not in found.stderr and "Broken" not in found.stderr


def test_a_closed_or_full_output():
    import subprocess

    start = f"{sys.executable} -m unnoise show process"
    closed = subprocess.run(f"{start} >&-", shell=True, capture_output=True, text=True, timeout=100)
    assert "Traceback" not in closed.stderr and closed.returncode in (0, 3, 141)
    full = subprocess.run(
        f"{start} > /dev/full", shell=True, capture_output=True, text=True, timeout=100
    )
    assert "Traceback" not in full.stderr and full.returncode == 3
    assert "No space left" in full.stderr


def test_a_name_in_runs(points: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine").symlink_to(points)
    assert "a Diffusion of" in good("show", "mine").out
    recipe = points.parent / "tiny.toml"
    words = ("--threads", 1, "--device", "cpu", "--json", "--set", "training.steps=1")
    found = json.loads(good("train", recipe, *words).out)
    assert found["model"] == "runs/tiny/model.safetensors"
    assert (tmp_path / found["model"]).is_file()
