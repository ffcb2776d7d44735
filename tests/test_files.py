"""The one container of all our files: what was damaged is refused, what was there is kept."""

import errno
import json
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load as plain_load
from safetensors.torch import load_file as plain_load_file
from safetensors.torch import save as plain_save
from torch import Tensor

from tests.small import temporary
from unnoise.core.errors import DamagedFileError, InputError, StorageError
from unnoise.core.noise import Noise
from unnoise.system.files import pack, unpack, write_atomic

DOCUMENT = {"format": 1, "text": "à, 점수, \u2028 and \U0001f600", "list": [1, 2.5, None, True]}


def tensors() -> dict[str, Tensor]:
    return {
        "float": Noise(0, range(16)).normal(torch.empty(16, 32)),
        "special": torch.tensor([0.0, -0.0, 1e-45, 3.4e38]),
        "half": torch.arange(7).to(torch.bfloat16),
        "whole": torch.tensor([2**62, -5]),
        "flags": torch.tensor([True, False]),
        "number": torch.tensor(3.0),
        "empty": torch.zeros(0, 4),
    }


def bits(tensor: Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def draws(name: str, count: int, low: int, high: int) -> list[int]:
    """Whole numbers in [low, high), always the same for a name."""
    u = Noise(0, [0]).child(name).uniform(torch.empty(1, count, dtype=torch.float64))[0]
    return (low + u * (high - low)).long().tolist()


def test_round_trip_to_the_bit(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(pack(DOCUMENT, tensors()))
    document, found = unpack(path)
    assert document == DOCUMENT
    assert found.keys() == tensors().keys()
    for name, value in tensors().items():
        assert found[name].dtype == value.dtype and found[name].shape == value.shape
        assert bits(found[name]) == bits(value)


def test_same_content_same_bytes():
    turned = dict(reversed(tensors().items()))
    strided = {k: v.t().contiguous().t() if v.ndim == 2 else v for k, v in turned.items()}
    assert pack(DOCUMENT, tensors()) == pack(dict(reversed(DOCUMENT.items())), strided)
    assert pack(DOCUMENT, tensors()) != pack({**DOCUMENT, "format": 2}, tensors())


HALVES = {"path": "/a/\udcb0\udcff", "\udcb0": ["\ud800", "\ud83d\ude00", "\\udcb0", "\U0001f989"]}


def test_halves_of_letters_come_back(tmp_path: Path):
    """Names that are no UTF-8 reach Python as halves of letters; two halves make a letter."""
    path = tmp_path / "a.safetensors"
    path.write_bytes(pack(HALVES, {"a": torch.zeros(2)}))
    found = unpack(path)[0]
    assert found == {**HALVES, "\udcb0": ["\ud800", "\U0001f600", "\\udcb0", "\U0001f989"]}
    assert pack(found, {"a": torch.zeros(2)}) == path.read_bytes()


def test_canary_halves_of_letters():
    with pytest.raises(UnicodeEncodeError):
        json.dumps(HALVES, ensure_ascii=False).encode()


SEAL = "8edcd2f40b8f2a378f26893f05e46df29f0b94d1e10334a94559a785a9e3a0ad"


def test_bits_of_other_documents_have_not_changed():
    """The seal is that of the version before halves of letters could be written."""
    content = pack(DOCUMENT, {"a": torch.arange(3.0)})
    (size,) = struct.unpack("<Q", content[:8])
    document = json.loads(content[8 : 8 + size])["__metadata__"]["unnoise"]
    sealed = {**DOCUMENT, "sha256": SEAL}
    assert document == json.dumps(sealed, sort_keys=True, ensure_ascii=False)


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="names there are letters")
def test_a_path_that_is_no_utf8(tmp_path: Path):
    """safetensors cannot open it; what was trained there can be read all the same."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xb0"))
    folder.mkdir()
    write_atomic(folder / "a", pack(DOCUMENT, tensors()))
    document, found = unpack(folder / "a")
    assert document == DOCUMENT and all(bits(found[k]) == bits(v) for k, v in tensors().items())
    with pytest.raises(SafetensorError):  # canary
        plain_load_file(folder / "a")
    assert detected(folder / "a", truncated(pack(DOCUMENT, tensors()))[:30], unpack) == 30


def test_a_header_that_begins_as_a_pickle_does(tmp_path: Path):
    sizes: set[bytes] = set()
    for length in range(1200):
        content = pack({"text": "x" * length}, {"a": torch.zeros(2)})
        sizes.add(content[:2])
        if content[:2] == b"\x80\x02":
            path = tmp_path / "a.safetensors"
            path.write_bytes(content)
            assert unpack(path)[0] == {"text": "x" * length}
    assert b"\x80\x02" in sizes


# -- damage ---------------------------------------------------------------------------------------


def flipped(content: bytes) -> list[bytes]:
    found: list[bytes] = []
    for place in draws("flip", 1000, 0, 8 * len(content)):
        changed = bytearray(content)
        changed[place // 8] ^= 1 << place % 8
        found.append(bytes(changed))
    return found


def truncated(content: bytes) -> list[bytes]:
    return [content[:size] for size in draws("cut", 300, 0, len(content))]


def zeroed(content: bytes) -> list[bytes]:
    """Sectors of 64 bytes, as the file is small; those that were zero already are no damage."""
    sectors = draws("sector", 400, 0, len(content) // 64)
    cleared = [content[: 64 * i] + bytes(64) + content[64 * i + 64 :] for i in sectors]
    return [changed for changed in cleared if changed != content]


def lengthened(content: bytes) -> list[bytes]:
    sizes = draws("append", 300, 1, 600)
    return [content + (content[:size] if size % 2 else bytes(size)) for size in sizes]


def detected(path: Path, versions: list[bytes], read: Callable[[Path], object]) -> int:
    messages: list[str] = []
    for content in versions:
        path.write_bytes(content)
        try:
            read(path)
        except InputError as error:
            messages.append(str(error))
        except SafetensorError as error:
            messages.append(f"{path} {error}")
    assert all(str(path) in text and "\n" not in text for text in messages)
    return len(messages)


@pytest.mark.parametrize("harm", [flipped, truncated, zeroed, lengthened])
def test_all_damage_is_noticed(harm: Callable[[bytes], list[bytes]], tmp_path: Path):
    versions = harm(pack({"format": 1, "text": "abc"}, {"a": tensors()["float"]}))
    assert len(versions) >= 90
    assert detected(tmp_path / "a.safetensors", versions, unpack) == len(versions)


def test_canary_safetensors_alone_notices_little(tmp_path: Path):
    content = plain_save({"a": tensors()["float"]})
    versions = flipped(content)
    seen = detected(tmp_path / "a", versions, lambda path: plain_load(path.read_bytes()))
    assert seen < 0.2 * len(versions)


# -- files that are something else ----------------------------------------------------------------


def with_header(header: bytes, payload: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + payload


def forged(document: str, payload: str = "{}") -> bytes:
    inner = json.dumps(document)
    return with_header(f'{{"__metadata__": {{"unnoise": {inner}}}, "a": {payload}}}'.encode())


HOSTILE = {
    "empty": (b"", "damaged"),
    "text": (b"This is a text file, not a model.\n" * 9, "damaged, or no safetensors file"),
    "pickle 2": (b"\x80\x02}q\x00X\x03\x00\x00\x00abcq\x01K\x01s.", "pickle"),
    "pickle 5": (
        b"\x80\x05\x95\x0b" + bytes(7) + b"}\x94\x8c\x01a\x94K\x01s.",
        "pickle",
    ),
    "zip": (b"PK\x03\x04\x14\x00\x00\x00\x08\x00" + bytes(90), "pickle"),
    "huge header": (struct.pack("<Q", 2**63) + b"{}" * 50, "cut off"),
    "largest header": (b"\xff" * 8 + b"{}" * 50, "cut off"),
    "not UTF-8": (with_header(b'{"\xff": 1}'), "cannot be read"),
    "a list": (with_header(b"[1, 2]"), "cannot be read"),
    "deep": (with_header(b"[" * 100_000), "cannot be read"),
    "deep document": (forged('{"a":' * 400 + "1" + "}" * 400), "damaged"),
    "very deep document": (forged("[" * 100_000), "cannot be read"),
    "foreign": (plain_save({"a": torch.zeros(3)}), "not one of unnoise's"),
    "foreign metadata": (plain_save({"a": torch.zeros(3)}, {"format": "pt"}), "not one of unnoise"),
    "metadata no table": (with_header(b'{"__metadata__": "x"}'), "cannot be read"),
    "duplicate keys": (with_header(b'{"a": 1, "a": 2}'), "a key stands twice"),
    "duplicate keys inside": (forged('{"kind": "model", "kind": "state"}'), "a key stands twice"),
    "document a number": (forged("3"), "it is no table"),
    "document NaN": (forged('{"a": NaN}'), "damaged"),
    "lone surrogate": (forged('{"a": "\\ud800"}'), "damaged"),
    "no checksum": (plain_save({"a": torch.zeros(3)}, {"unnoise": "{}"}), "checksum"),
    "negative offsets": (
        forged("{}", '{"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}'),
        "damaged",
    ),
    "overflowing shape": (
        forged("{}", f'{{"dtype": "F32", "shape": [{2**62}, 8], "data_offsets": [0, 0]}}'),
        "damaged",
    ),
    "unknown type": (
        forged("{}", '{"dtype": "OBJECT", "shape": [0], "data_offsets": [0, 0]}'),
        "damaged",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused(name: str, tmp_path: Path):
    content, sentence = HOSTILE[name]
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match=sentence) as caught:
        unpack(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert len(str(caught.value)) < 350 + len(str(path))


def test_missing_file_and_folder(tmp_path: Path):
    with pytest.raises(InputError, match="No such file"):
        unpack(tmp_path / "a.safetensors")
    with pytest.raises(InputError, match=r"[Dd]irectory"):
        unpack(tmp_path)


# -- writing --------------------------------------------------------------------------------------


def fails(number: int) -> Callable[..., None]:
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


class Full:
    """A file on a disk with 100 bytes left."""

    def __init__(self, stream: object) -> None:
        self.stream = stream

    def __enter__(self) -> "Full":
        return self

    def __exit__(self, *exc: object) -> None:
        self.stream.close()

    def __getattr__(self, name: str) -> object:
        return getattr(self.stream, name)

    def write(self, content: bytes) -> None:
        self.stream.write(content[:100])
        self.stream.flush()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def break_fsync(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(os, "fsync", fails(errno.EIO))


def break_replace(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(os, "replace", fails(errno.EACCES))


def fill_disk(patch: pytest.MonkeyPatch) -> None:
    opened = Path.open
    patch.setattr(Path, "open", lambda path, *how: Full(opened(path, *how)))


FAILURES = [
    (break_fsync, "Input/output error"),
    (break_replace, "Permission denied"),
    (fill_disk, "No space left on device"),
]


@pytest.mark.parametrize(("harm", "reason"), FAILURES)
@pytest.mark.parametrize("old", [b"old", None])
def test_a_failing_write_changes_nothing(
    harm: Callable[[pytest.MonkeyPatch], None],
    reason: str,
    old: bytes | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    path = tmp_path / "a.txt"
    if old is not None:
        path.write_bytes(old)
    with monkeypatch.context() as patch:
        harm(patch)
        with pytest.raises(StorageError, match=reason) as caught:
            write_atomic(path, b"new" * 100)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert caught.value.exit_code == 3
    assert (path.read_bytes() if path.exists() else None) == old
    assert temporary(tmp_path) == []
    write_atomic(path, b"new")  # the disk is well again
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize(("harm", "reason"), FAILURES)
def test_canary_writing_in_place_loses_the_old(
    harm: Callable[[pytest.MonkeyPatch], None],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    def in_place(path: Path, content: bytes) -> None:
        with path.open("wb") as stream:
            stream.write(content)
            os.fsync(stream.fileno())
        os.replace(path, path)

    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    with monkeypatch.context() as patch:
        harm(patch)
        with pytest.raises(OSError, match=reason):
            in_place(path, b"new" * 100)
    assert path.read_bytes() != b"old"


def test_the_order_that_survives_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Content on disk before the name moves, and the name before it counts as written."""
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace

    def sync(handle: int) -> None:
        calls.append("folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "file")
        fsync(handle)

    def move(source: object, target: object) -> None:
        calls.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", move)
    write_atomic(tmp_path / "a", b"new")
    assert calls == ["file", "rename", "folder"]


def test_file_modes_follow_umask(tmp_path: Path):
    before = os.umask(0o027)
    try:
        write_atomic(tmp_path / "a", b"new")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_errors_are_of_one_family():
    assert issubclass(DamagedFileError, InputError)
    assert DamagedFileError("x").exit_code == InputError("x").exit_code == 2
