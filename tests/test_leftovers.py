"""What a killed process leaves half-written goes with the next one; all else stays."""

import functools
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.commands import DIGITS, good, refused, train
from tests.pictures import fill, place, some_shards
from unnoise.data import Look, ShardedPictures, write_index
from unnoise.data.pictures.indices import read_index
from unnoise.evaluation import Judge
from unnoise.system.files import half_written, left_behind, sweep, write_atomic
from unnoise.tasks import output as pictures

KILLED = """
import os, signal
from unnoise.system import disk
disk.sync = lambda path: os.kill(os.getpid(), signal.SIGKILL)
from unnoise.cli.app import main
main({words!r})
"""


@functools.cache
def run() -> Path:
    folder = place() / "leftovers"
    folder.mkdir()
    return train(folder, DIGITS)


@functools.cache
def gone() -> int:
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def planted(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).write_bytes(b"half")
    return [folder / name for name in names]


def killed(*words: object) -> None:
    """A command that dies when it has half-written its first file."""
    script = KILLED.format(words=[str(word) for word in words])
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()


def others(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


# -- the sweep itself ------------------------------------------------------------------------------


def test_only_ours_of_the_dead_goes(tmp_path: Path):
    (dead,) = planted(tmp_path, f".a.txt.tmp-{gone()}")
    living = planted(tmp_path, ".a.txt.tmp-1", half_written(tmp_path / "a.txt").name)
    kept = planted(
        tmp_path,
        "a.txt",
        f".b.txt.tmp-{gone()}",
        f".a.txt.tmp-{gone()}.png",
        f"a.txt.tmp-{gone()}",
        f".a.txt.tmp-0{gone()}",
        ".a.txt.tmp-mine",
        ".a.txt.tmp-",
        ".a.txt.tmp-" + "9" * 200,
        f".a.txt.partial-{gone()}",
    )
    assert sweep(tmp_path, "a.txt".__eq__) == sorted(living)
    assert not dead.exists()
    assert all(path.exists() for path in (*living, *kept))
    assert sweep(tmp_path / "nowhere", "a.txt".__eq__) == []


def test_a_folder_of_that_name_is_not_ours(tmp_path: Path):
    """We write files by that name; a folder stays, with all that is in it."""
    folder = tmp_path / f".a.txt.tmp-{gone()}"
    folder.mkdir()
    (folder / "precious").write_text("mine")
    assert sweep(tmp_path, "a.txt".__eq__) == [folder]
    assert (folder / "precious").exists()


def test_names_that_are_patterns_elsewhere(tmp_path: Path):
    """A glob would take brackets for a choice of letters."""
    (left,) = planted(tmp_path, f".[a]*.tmp-{gone()}")
    (other,) = planted(tmp_path, f".a.tmp-{gone()}")
    assert sweep(tmp_path, "[a]*".__eq__) == []
    assert not left.exists() and other.exists()
    assert left_behind(tmp_path, str.isalpha) == ([other], [])


def test_what_is_written_is_what_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The name that a writer gives is the one that the sweep knows, in any letters."""
    for name in ("a.png", "점수 1.json", "a\nb", os.fsdecode(b"\xb0.npz")):
        monkeypatch.setattr(os, "getpid", gone)
        path = half_written(tmp_path / name)
        monkeypatch.undo()
        path.write_bytes(b"half")
        assert left_behind(tmp_path, name.__eq__) == ([path], [])
        sweep(tmp_path, name.__eq__)
        write_atomic(tmp_path / name, b"whole")
        assert others(tmp_path) == []


# -- samples ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["new", "x.png", "x.npz"])
def test_a_killed_sample_is_done_again(target: str, tmp_path: Path):
    """The same command works, and nothing of the killed one is left."""
    words = ("sample", run(), "-n", 3, "--steps", 2, "-o", tmp_path / target)
    killed(*words)
    inside = tmp_path / target if target == "new" else tmp_path
    assert len(others(inside)) == 1
    good(*words)
    assert others(inside) == []


def test_who_is_at_work_blocks_nobody(tmp_path: Path):
    (living,) = planted(tmp_path, ".00001-1.png.tmp-1")
    good("sample", run(), "-n", 3, "--steps", 2, "-o", tmp_path)
    assert living.exists() and len(list(tmp_path.glob("0*.png"))) == 3


@pytest.mark.parametrize(
    "name", ["note.txt", ".00001.png.tmp-mine", ".note.txt.tmp-{gone}", ".cat.png.tmp-{gone}"]
)
def test_files_of_others_are_kept(name: str, tmp_path: Path):
    (path,) = planted(tmp_path, name.format(gone=gone()))
    said = refused("sample", run(), "-n", 3, "-o", tmp_path)
    assert "holds other files" in said and path.read_bytes() == b"half"
    good("sample", run(), "-n", 3, "--steps", 2, "-o", tmp_path / "x.png")
    assert path.read_bytes() == b"half"


def test_a_folder_or_a_pipe_among_the_samples(tmp_path: Path):
    """They are not ours, and looking at them neither fails nor waits."""
    (tmp_path / "0.png").mkdir()
    assert "holds other files" in refused("sample", run(), "-n", 3, "-o", tmp_path)
    (tmp_path / "0.png").rmdir()
    os.mkfifo(tmp_path / "0.png")
    assert "holds other files" in refused("sample", run(), "-n", 3, "-o", tmp_path)


def test_canary_no_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pictures, "sweep", lambda folder, ours: [])
    planted(tmp_path, f".00001-1.png.tmp-{gone()}")
    assert "holds other files" in refused("sample", run(), "-n", 3, "-o", tmp_path)


# -- the others that write -------------------------------------------------------------------------


def test_a_judge(tmp_path: Path):
    left, other = planted(tmp_path, f".judge.tmp-{gone()}", f".other.tmp-{gone()}")
    judge = Judge.train(torch.eye(4), torch.arange(4))
    judge.save(tmp_path / "judge", "abc")
    assert not left.exists() and other.exists()


def test_an_index_and_shards(tmp_path: Path):
    left, other = planted(tmp_path, f".index.json.tmp-{gone()}", f".other.tmp-{gone()}")
    index = read_index(str(write_index(some_shards(), tmp_path / "index.json")))
    assert not left.exists() and other.exists()
    cache = tmp_path / "cache"
    cache.mkdir()
    left, other = planted(cache, f".part-0000.tar.tmp-{gone()}", f".mine.tar.tmp-{gone()}")
    ShardedPictures(replace(index, base=str(some_shards())), Look(6), cache=str(cache))
    assert not left.exists() and other.exists()


def test_a_preparation_of_others_is_kept(tmp_path: Path):
    """Only folders that we would write, and only with the number of a process."""
    fill(tmp_path / "source", 6)
    for name in (f".out.partial-{gone()}", ".out.partial-mine", f".[o]ut.partial-{gone()}"):
        (tmp_path / name).mkdir()
    good("prepare", tmp_path / "source", tmp_path / "out")
    assert others(tmp_path) == sorted([".out.partial-mine", f".[o]ut.partial-{gone()}"])
    good("prepare", tmp_path / "source", tmp_path / "[o]ut")
    assert others(tmp_path) == [".out.partial-mine"]
