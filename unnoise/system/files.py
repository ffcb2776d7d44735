"""Atomic, crash-safe file writes, and the container format: safetensors with a checksum.

A container is a safetensors file (no pickle anywhere) whose header carries one JSON document and
a sha256 over that document and the sha256 of every piece of every tensor; what was damaged is
refused, never guessed at.
"""

import contextlib
import hashlib
import json
import os
import re
import struct
import typing
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from unnoise.core.errors import DamagedFileError, InputError, StorageError
from unnoise.system import disk
from unnoise.system.documents import reason_of

_MOST_HEADER = 64 << 20
_PIECE = 4 << 20  # bytes hashed at a time


def write_atomic(path: Path, content: bytes) -> None:
    """Atomic write of a file, all or nothing: temporary file, fsync, rename, fsync.

    Raises:
        StorageError: names the path and the system's reason.
    """
    temporary = half_written(path)
    try:
        disk.create(temporary, content)
        disk.sync(temporary)
        disk.rename(temporary, path)
        disk.sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            disk.remove(temporary)
        raise StorageError(f"cannot write {path}: {error.strerror or error}.") from error


def half_written(path: Path, mark: str = "tmp") -> Path:
    """Temporary path of a file or folder being written: hidden, beside it, of this process."""
    return path.with_name(f".{path.name}.{mark}-{os.getpid()}")


def sweep(folder: Path, ours: Callable[[str], object]) -> list[Path]:
    """Remove temporary files that killed processes left in a folder (not in those below it).

    Arguments:
        folder: it need not be there.
        ours: whether we write a file of this name; what is another's stays.

    Returns:
        Half-written files that stay: their process is at work, or the disk refuses.
    """
    left, stay = left_behind(folder, ours)
    for path in left:
        try:
            disk.remove(path)
        except OSError:
            stay.append(path)
    return stay


def left_behind(
    folder: Path, ours: Callable[[str], object], mark: str = "tmp"
) -> tuple[list[Path], list[Path]]:
    """List the temporary files in a folder, by the names that ``half_written`` gives.

    Returns:
        What killed processes left, and what processes at work are writing.
    """
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return [], []
    left: list[Path] = []
    working: list[Path] = []
    for name in names:
        found = _HALF_WRITTEN.fullmatch(name)
        if found is not None and found["mark"] == mark and ours(found["name"]):
            (working if _is_at_work(int(found["process"])) else left).append(folder / name)
    return left, working


def becomes(name: str) -> str | None:
    """Final name of a temporary file of ``half_written``; None of any other file."""
    found = _HALF_WRITTEN.fullmatch(name)
    return found["name"] if found is not None and found["mark"] == "tmp" else None


_HALF_WRITTEN = re.compile(
    r"\.(?P<name>.+)\.(?P<mark>[a-z]+)-(?P<process>[1-9][0-9]{0,8})", re.DOTALL
)


def _is_at_work(process: int) -> bool:
    if os.name == "nt":  # where a signal of 0 is no question but a Ctrl-C
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def _canonical(document: Mapping[str, Any]) -> str:
    text = json.dumps(document, sort_keys=True, ensure_ascii=False, allow_nan=False)
    # A path that is no UTF-8 has halves of letters (surrogates) in it. Two halves become the
    # letter, as they would when JSON is read; one alone becomes its escape in JSON.
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    return whole.encode("utf-8", "backslashreplace").decode()


def _seal(document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    heads: list[str] = []
    pieces: list[memoryview] = []
    for name in sorted(tensors):
        tensor = tensors[name].contiguous().cpu()
        content = memoryview(tensor.reshape(-1).view(torch.uint8).numpy().data)
        heads.append(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n")
        pieces += [content[a : a + _PIECE] for a in range(0, len(content), _PIECE)]
    digest = hashlib.sha256((_canonical(document) + "".join(heads)).encode())
    # In pieces, so that every core can take one: Python lets go of its lock while it hashes.
    with ThreadPoolExecutor(os.cpu_count() if len(pieces) > len(tensors) else 1) as pool:
        for each in pool.map(lambda piece: hashlib.sha256(piece).digest(), pieces):
            digest.update(each)
    return digest.hexdigest()


def pack(document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> bytes:
    """Serialise a document and tensors to a container's bytes, deterministically."""
    from safetensors.torch import save

    # Clones, because weights may share their storage and safetensors refuses that.
    held = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    sealed = {**document, "sha256": _seal(document, held)}
    # One key only: safetensors writes several in no fixed order.
    return save(held, metadata={"unnoise": _canonical(sealed)})


def unpack(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a container and verify its checksum: its document and its tensors.

    Raises:
        InputError: there is no such file, or it is something else.
        DamagedFileError: its content is not what was written.
    """
    try:
        with path.open("rb") as stream:
            document = _document(path, stream)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}.") from error
    from safetensors import SafetensorError
    from safetensors.torch import load, load_file

    try:
        # Mapped into memory, not read: what is hashed is read once, in place. But of paths
        # safetensors knows those in UTF-8 alone.
        tensors = load_file(path) if _is_utf8(path) else load(path.read_bytes())
        given = document.pop("sha256", None)
        sealed = _seal(document, tensors)
    except (SafetensorError, ValueError, KeyError, RecursionError) as error:
        raise DamagedFileError(f"{path} is damaged: {reason_of(error)}.") from error
    if given != sealed:
        raise DamagedFileError(
            f"{path} is damaged: its content does not match its checksum. Use another copy, or an "
            "older checkpoint."
        )
    return document, tensors


def _is_utf8(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _document(path: Path, stream: BinaryIO) -> dict[str, Any]:
    """Our JSON document out of a safetensors header, read strictly."""
    begin = stream.read(8)
    if len(begin) < 8:
        raise DamagedFileError(f"{path} is damaged: it has {len(begin)} bytes.")
    (size,) = struct.unpack("<Q", begin)
    if size > min(os.fstat(stream.fileno()).st_size - 8, _MOST_HEADER):
        # Only now: a header of 640 bytes begins as a pickle does.
        if begin[:1] == b"\x80" or begin[:4] == b"PK\x03\x04":
            raise InputError(
                f"{path} looks like a pickle file; opening it can run code. unnoise reads "
                "safetensors files only."
            )
        raise DamagedFileError(f"{path} is damaged, or no safetensors file: its header is cut off.")
    try:
        header = _strict_json(stream.read(size).decode())
        document = _strict_json(header["__metadata__"]["unnoise"])
    except KeyError as error:
        raise InputError(f"{path} is a safetensors file, but not one of unnoise's.") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise DamagedFileError(
            f"{path} is damaged: its header cannot be read ({reason_of(error)})."
        ) from error
    return document


def _strict_json(text: str) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a key stands twice")
        return found

    value = json.loads(text, object_pairs_hook=unique)
    if not isinstance(value, dict):
        raise ValueError("it is no table")
    return typing.cast(dict[str, Any], value)
