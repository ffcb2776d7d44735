"""Images in tar files of WebDataset's layout, read in place."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from unnoise.core.errors import InputError
from unnoise.data.names import Refusal, normal, shown, writable
from unnoise.data.pictures.decode import MOST_BYTES, SUFFIXES, RefusedFile
from unnoise.data.pictures.entry import Entry, Found
from unnoise.system.documents import reason_of


def scan_tars(paths: list[Path]) -> Found:
    """List the images of WebDataset tar files: files of one key make one example."""
    found = Found([])
    for path in paths:
        entries, refused = index_tar(path, f"{path.name}/" if len(paths) > 1 else "")
        found.entries += entries
        found.refused += refused
    return found


def index_tar(path: Path, before: str = "") -> tuple[list[Entry], list[Refusal]]:
    """Index the examples of one tar file, in its own order.

    Arguments:
        path: an uncompressed tar file.
        before: put before each name.

    Raises:
        InputError: it is no tar file, or cut off.
    """
    groups: dict[str, dict[str, tuple[int, int]]] = {}
    refused: list[Refusal] = []
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                if not member.isreg():
                    continue
                folder, _, base = member.name.rpartition("/")
                stem, dot, kind = base.partition(".")
                if not stem or not dot:
                    continue
                group = groups.setdefault(f"{folder}/{stem}" if folder else stem, {})
                if not 0 <= member.size <= MOST_BYTES:
                    refused.append(Refusal(shown(before + member.name), "too large"))
                elif kind.lower() in group:
                    refused.append(Refusal(shown(before + member.name), "stands twice"))
                else:
                    group[kind.lower()] = (member.offset_data, member.size)
        _check_end(path)
    except (tarfile.TarError, OSError, ValueError, OverflowError) as error:
        raise InputError(f"{path} is no tar file that can be read: {error}.") from error
    entries: list[Entry] = []
    for key, parts in groups.items():
        kinds = [kind for kind in parts if f".{kind.rpartition('.')[2]}" in SUFFIXES]
        if not kinds:
            continue
        name = f"{before}{key}.{kinds[0]}"
        try:
            label, text = _described({k: v for k, v in parts.items() if k not in kinds}, path)
        except (ValueError, RecursionError) as error:
            reason = f"its label or caption cannot be read: {reason_of(error)}"
            refused.append(Refusal(shown(name), reason))
            continue
        entries.append(Entry(name, _tar_reader(path, *parts[kinds[0]]), label, text))
    return entries, refused


def _check_end(path: Path) -> None:
    """A tar file ends in a block of zeros; tarfile takes any end for one."""
    size = path.stat().st_size
    if size < 512 or any(_slice(path, size - 512, 512)):
        raise ValueError("it is cut off")


def _described(parts: dict[str, tuple[int, int]], path: Path) -> tuple[str | None, str | None]:
    """Label and caption out of an example's other files."""
    table: dict[str, Any] = {}
    if "json" in parts:
        read = json.loads(_slice(path, *parts["json"]))
        table = cast(dict[str, Any], read) if isinstance(read, dict) else {}
    label: Any = table.get("label", table.get("cls"))
    text: Any = table.get("text", table.get("caption"))
    if "cls" in parts:
        label = _slice(path, *parts["cls"]).decode().strip()
    if "txt" in parts:
        text = _slice(path, *parts["txt"]).decode().strip()
    named = label is not None and not isinstance(label, bool | float | dict | list)
    return (
        writable(normal(str(label))) if named else None,
        writable(text) if isinstance(text, str) else None,
    )


def _slice(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb") as stream:
        stream.seek(offset)
        return stream.read(size)


def _tar_reader(path: Path, offset: int, size: int) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            content = _slice(path, offset, size)
        except OSError as error:
            raise RefusedFile(f"cannot be read: {error.strerror}") from error
        if len(content) < size:
            raise RefusedFile(f"cut off: {len(content)} of {size} bytes")
        return content

    return read
