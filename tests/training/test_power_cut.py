"""A power cut after every operation on the disk: nothing acknowledged lost, nothing damaged read.

The operations of a run's checkpoints are written down, and every state that a disk may be in after
a crash is made from them: content that was not synced is there, gone, zeroed, cut or garbled; names
in a folder that was not synced are those of any earlier moment.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from unnoise.core.errors import UnnoiseError
from unnoise.system import disk, files
from unnoise.training import checkpoints


def document(step: int) -> dict:
    return {"made": step}


def state(step: int) -> dict[str, torch.Tensor]:
    return {"weight": torch.full((8,), float(step))}


@dataclass
class Log:
    """Operations in order, and after how many of them each checkpoint was acknowledged."""

    operations: list[tuple] = field(default_factory=list)
    acknowledged: list[tuple[int, int]] = field(default_factory=list)


@pytest.fixture(scope="module", autouse=True)
def sound() -> dict[str, Callable]:
    """The operations as they are, before any test puts others there."""
    return {name: getattr(disk, name) for name in NAMES}


NAMES = ("create", "sync", "rename", "remove", "make_folder", "remove_folder", "sync_folder")


def watched(patch: pytest.MonkeyPatch, top: Path, steps: int = 8) -> Log:
    """Write checkpoints, and write down what is done to the disk."""
    log = Log()

    def listen(name: str) -> None:
        real = getattr(disk, name)

        def heard(path: Path, *more: object) -> None:
            real(path, *more)
            rest = [p.relative_to(top) if isinstance(p, Path) else p for p in more]
            log.operations.append((name, path.relative_to(top), *rest))

        patch.setattr(disk, name, heard)

    for name in NAMES:
        listen(name)
    run = top / "run"
    disk.make_folder(run)
    disk.sync_folder(top)
    for step in range(1, steps + 1):
        checkpoints.write(run, step, b"model %d" % step, document(step), state(step))
        log.acknowledged.append((len(log.operations), step))
    return log


# -- the disk -----------------------------------------------------------------------------------

Names = dict[str, object]  # a name's file number, or the path of a folder


class Disk:
    """A disk with a cache: what was done, and what is sure of it."""

    def __init__(self) -> None:
        self.contents: list[bytes] = []
        self.sure: list[bytes | None] = []
        self.history: dict[Path, list[Names]] = {Path(): [{}]}  # each folder's names, over time
        self.kept: dict[Path, int] = {Path(): 0}  # how many of those moments are sure

    def _names(self, folder: Path) -> Names:
        return self.history[folder][-1]

    def _change(self, folder: Path, names: Names) -> None:
        self.history[folder].append(names)

    def do(self, name: str, path: Path, *more) -> None:
        folder, names = path.parent, self.history.get(path.parent, [{}])[-1]
        if name == "create":
            if path.name in names:  # in place: the same file, another content
                number = names[path.name]
                self.contents[number] = more[0]
                return
            self.contents.append(more[0])
            self.sure.append(None)
            self._change(folder, {**names, path.name: len(self.contents) - 1})
        elif name == "sync":
            number = names[path.name]
            self.sure[number] = self.contents[number]
        elif name == "rename":
            rest = {k: v for k, v in names.items() if k != path.name}
            self._change(folder, {**rest, more[0].name: names[path.name]})
        elif name in ("remove", "remove_folder"):
            if path.name in names:
                self._change(folder, {k: v for k, v in names.items() if k != path.name})
        elif name == "make_folder":
            if path not in self.history:
                if folder not in self.history:
                    self.do("make_folder", folder)
                self._change(folder, {**self._names(folder), path.name: path})
                self.history[path], self.kept[path] = [{}], 0
            elif path.name not in names:
                self._change(folder, {**names, path.name: path})
        elif name == "sync_folder":
            self.kept[path] = len(self.history[path]) - 1

    def after_a_crash(self) -> Iterator[dict[Path, bytes]]:
        """Files that may be found afterwards."""
        # Of many that are not sure (in a canary) the newest three; the others are as they were.
        open_ones = [f for f, kept in self.kept.items() if len(self.history[f]) - 1 > kept][-3:]
        spans = [_some(range(self.kept[f], len(self.history[f]))) for f in open_ones]
        for data in DAMAGE:
            for places in itertools.product(*spans):
                yield dict(self._found(Path(), data, dict(zip(open_ones, places, strict=True))))

    def _found(
        self, folder: Path, data: str, places: dict[Path, int]
    ) -> Iterator[tuple[Path, bytes]]:
        place = places.get(folder, self.kept[folder])
        for name, what in self.history[folder][place].items():
            if isinstance(what, Path):
                yield from self._found(what, data, places)
            else:
                yield folder / name, self._content(what, data)

    def _content(self, number: object, data: str) -> bytes:
        whole, sure = self.contents[number], self.sure[number]
        return whole if sure == whole else DAMAGE[data](whole, sure or b"")


def _some(places: range) -> list[int]:
    """Both ends, and two between."""
    return sorted({places[i * (len(places) - 1) // 3] for i in range(4)})


def garbled(place: float) -> Callable[[bytes, bytes], bytes]:
    def change(whole: bytes, sure: bytes) -> bytes:
        at = int(place * len(whole))
        return whole[:at] + bytes(b ^ 0x55 for b in whole[at : at + 8]) + whole[at + 8 :]

    return change


DAMAGE: dict[str, Callable[[bytes, bytes], bytes]] = {
    "there": lambda whole, sure: whole,
    "gone": lambda whole, sure: sure,
    "zeroed": lambda whole, sure: bytes(len(whole)),
    "all garbled": lambda whole, sure: bytes(b ^ 0x55 for b in whole),
    **{f"cut {i}": lambda whole, sure, i=i: whole[: i * len(whole) // 16] for i in range(1, 16)},
    **{f"garbled {i}": garbled(i / 20) for i in range(20)},
}


def outcomes(log: Log, place: Path) -> tuple[int, int, int]:
    """States after crashes: how many, in how many something acknowledged is lost, or damaged."""
    made, lost, damaged = 0, 0, 0
    seen: set[frozenset] = set()
    model = Disk()
    for done, operation in enumerate(log.operations, 1):
        model.do(*operation)
        promised = max((step for count, step in log.acknowledged if count <= done), default=0)
        # The first two hundred of each moment: a canary would make many thousands.
        for found in itertools.islice(model.after_a_crash(), 200):
            key = frozenset((str(path), hash(content)) for path, content in found.items())
            if (key, promised) in seen:
                continue
            seen.add((key, promised))
            made += 1
            top = place / str(made)
            for path, content in found.items():
                (top / path).parent.mkdir(parents=True, exist_ok=True)
                (top / path).write_bytes(content)
            try:
                read = checkpoints.read(top / "run", lambda _: None)
            except UnnoiseError:
                read = None
            step = 0 if read is None else read.step
            lost += step < promised
            if read is not None and not torch.equal(read.state["weight"], state(step)["weight"]):
                damaged += 1
    return made, lost, damaged


def test_no_crash_loses_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A1: no acknowledged checkpoint lost, none damaged read, in over a thousand states."""
    with monkeypatch.context() as patch:
        log = watched(patch, tmp_path / "real", 24)
    made, lost, damaged = outcomes(log, tmp_path / "crashed")
    assert made >= 1000 and (lost, damaged) == (0, 0)


def nothing(path: Path) -> None:
    pass


def in_place(path: Path, content: bytes) -> None:
    disk.create(path, content)
    disk.sync(path)
    disk.sync_folder(path.parent)


def careless(folder: Path) -> checkpoints.Checkpoint:
    """Reading without checksums."""
    header, tensors = _plain(folder / "state.safetensors")
    return checkpoints.Checkpoint(int(header["step"]), header, tensors)


def _plain(path: Path):
    import json
    import struct

    from safetensors.torch import load

    content = path.read_bytes()
    try:
        (size,) = struct.unpack("<Q", content[:8])
        header = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["unnoise"])
        return header, load(content)
    except Exception as error:
        raise ValueError(str(error)) from error


@pytest.mark.parametrize("without", ["sync", "sync_folder", "rename"])
def test_canaries_lose(without: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Without one of the precautions a tenth of the crashes or more lose something."""
    with monkeypatch.context() as patch:
        if without == "rename":
            patch.setattr(checkpoints, "write_atomic", in_place)
            patch.setattr(checkpoints, "KEPT", 1)
            patch.setattr(checkpoints, "_folder", lambda run, step: run / "checkpoints" / "step-1")
        real = {name: getattr(disk, name) for name in NAMES}
        log = watched(patch, tmp_path / "real")
        if without in real:
            log.acknowledged = [
                (sum(o[0] != without for o in log.operations[:count]), step)
                for count, step in log.acknowledged
            ]
            log.operations = [o for o in log.operations if o[0] != without]
        made, lost, damaged = outcomes(log, tmp_path / "crashed")
    assert lost + damaged >= made / 10


def test_canary_without_checksums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Neither synced nor checked: what is damaged is read as if it were whole."""
    with monkeypatch.context() as patch:
        log = watched(patch, tmp_path / "real")
    log.operations = [o for o in log.operations if o[0] != "sync"]
    log.acknowledged = []
    monkeypatch.setattr(checkpoints, "_read", careless)
    monkeypatch.setattr(Disk, "_content", _one_byte)
    made, _, damaged = outcomes(log, tmp_path / "crashed")
    assert damaged >= made / 10


def _one_byte(self: Disk, number: int, data: str) -> bytes:
    """A content that was not synced has one wrong byte at its end."""
    whole = self.contents[number]
    return whole if self.sure[number] == whole else whole[:-1] + bytes([whole[-1] ^ 0x41])


def test_model_is_strict(sound: dict[str, Callable], tmp_path: Path):
    """The disk of the tests forgets what a real one may forget."""
    model = Disk()
    model.do("create", Path("a"), b"one")
    assert {} in list(model.after_a_crash())
    model.do("sync", Path("a"))
    assert {} in list(model.after_a_crash())  # the name is not sure yet
    model.do("sync_folder", Path())
    assert all(found == {Path("a"): b"one"} for found in model.after_a_crash())
    model.do("create", Path(".b"), b"two")
    model.do("rename", Path(".b"), Path("a"))
    found = list(model.after_a_crash())
    assert {Path("a"): b""} in found and {Path("a"): b"one"} in found
    assert files.disk is disk and all(getattr(disk, name) is sound[name] for name in NAMES)
