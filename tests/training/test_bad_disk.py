"""Every operation on the disk fails once, for every reason: one line, and nothing is lost (A4)."""

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.small import temporary
from unnoise.core.errors import StorageError
from unnoise.system import disk
from unnoise.training import checkpoints

NAMES = ("create", "sync", "rename", "remove", "make_folder", "remove_folder", "sync_folder")
REASONS = [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS, errno.EMFILE]


def write(run: Path, step: int) -> None:
    state = {"weight": torch.full((8,), float(step))}
    checkpoints.write(run, step, b"model %d" % step, {"made": step}, state)


def failing(patch: pytest.MonkeyPatch, number: int, reason: int | None) -> list[str]:
    """The disk, whose n-th operation fails; None leaves half of a file there first."""
    done: list[str] = []

    def watch(name: str, real: Callable) -> None:
        def maybe(path: Path, *more: object) -> None:
            done.append(name)
            if len(done) == number:
                if name == "create" and reason is None:
                    real(path, more[0][: len(more[0]) // 2])  # pyright: ignore
                code = errno.ENOSPC if reason is None else reason
                raise OSError(code, os.strerror(code), str(path))
            real(path, *more)

        patch.setattr(disk, name, maybe)

    for name in NAMES:
        watch(name, getattr(disk, name))
    return done


@pytest.mark.parametrize("reason", [*REASONS, None], ids=lambda r: errno.errorcode.get(r, "short"))
def test_every_operation_fails_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int | None
):
    with monkeypatch.context() as patch:
        write(tmp_path / "count", 1)
        write(tmp_path / "count", 2)
        count = len(failing_count(patch, tmp_path / "count"))
    assert count > 15
    refused = 0
    for number in range(1, count + 1):
        run = tmp_path / str(number)
        write(run, 1)
        write(run, 2)
        said = ""
        with monkeypatch.context() as patch:
            failing(patch, number, reason)
            try:
                write(run, 3)
            except StorageError as error:
                said = str(error)
        refused += bool(said)
        if said:
            why = os.strerror(errno.ENOSPC if reason is None else reason)
            assert "\n" not in said and str(run) in said and why in said
        found = checkpoints.read(run, lambda _: None)
        assert found is not None and found.step in (2, 3)
        assert found.step == 3 or said
        assert torch.equal(found.state["weight"], torch.full((8,), float(found.step)))
        assert len(temporary(run)) <= 1
        checkpoints.sweep(run)
        checkpoints.restore(run, found.step)
        assert not temporary(run)
        write(run, 4)  # the disk is well again
        after = checkpoints.read(run, lambda _: None)
        assert after is not None and after.step == 4 and checkpoints.steps_of(run)[0] == 4
        assert (run / "model.safetensors").read_bytes() == b"model 4"
    assert refused >= count - 6  # what is only tidied away may fail in silence


def failing_count(patch: pytest.MonkeyPatch, run: Path) -> list[str]:
    done = failing(patch, -1, errno.EIO)
    write(run, 3)
    return done


def test_canary_tidying_away_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whoever removes the old before the new is sure loses both."""

    def reckless(run: Path, step: int) -> None:
        for old in checkpoints.steps_of(run):
            disk.remove(run / "checkpoints" / f"step-{old:06d}" / "manifest.json")
        write(run, step)

    lost = 0
    for number in range(1, 12):
        run = tmp_path / str(number)
        write(run, 1)
        with monkeypatch.context() as patch:
            failing(patch, number, errno.ENOSPC)
            with contextlib.suppress(StorageError, OSError):
                reckless(run, 2)
        lost += checkpoints.read(run, lambda _: None) is None
    assert lost >= 5


def test_a_training_that_meets_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Ends with one line; after the disk has room again it goes on to the same weights."""
    from tests.small import SETTINGS, diffusion, points, same, weights
    from unnoise.training import fit

    settings = {**SETTINGS, "save_every": 10}
    whole = diffusion()
    fit(whole, points(), **settings)
    with monkeypatch.context() as patch:
        failing(patch, 30, errno.ENOSPC)
        with pytest.raises(StorageError, match="No space left"):
            fit(diffusion(), points(), **settings, out=tmp_path)
    model = diffusion()
    fit(model, points(), **settings, out=tmp_path, resume=True)
    assert same(weights(whole), weights(model))
