"""Images in tar files of WebDataset's layout, read in place."""

import json
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from unnoise.core.errors import InputError, within
from unnoise.data.names import Refusal, brief, shown, writable
from unnoise.data.pictures.decode import MOST_BYTES, SUFFIXES, RefusedFile
from unnoise.data.pictures.entry import Entry, Listed
from unnoise.data.pictures.labels import word
from unnoise.data.pictures.outline import split_folders
from unnoise.data.pictures.which_files import inside, is_hidden, role_of
from unnoise.system.documents import reason_of

Parts = dict[str, tuple[int, int]]  # where the files of a key lie, by what follows the first dot
_PLAIN = ("image", "img", "picture", "photo", "rgb", "input")  # of several pictures of a key


def scan_tars(paths: list[Path], top: Path | None = None) -> Listed:
    """List the images of WebDataset tar files: files of one key make one example.

    Of tar files some of which are called after train and others after test, those parts are held
    apart as folders of that name would be.

    Arguments:
        paths: the tar files.
        top: the folder that their names are relative to.
    """
    listed = Listed()
    names = [path.relative_to(top).as_posix() if top else path.name for path in paths]
    parts = parts_of(names)
    for path, name in zip(paths, names, strict=True):
        one = list_tar(path, f"{name}/" if len(paths) > 1 else "")
        if name in parts:
            before = parts[name]
            one.entries = [replace(e, path=f"{before}/{e.place}") for e in one.entries]
        if parts.get(name) == "":
            listed.notes.append(f"{brief(name)} is of no part")
            continue
        listed.entries += one.entries
        listed.refused += one.refused
        listed.unread += one.unread
        if len(paths) == 1:
            listed.lists = one.lists
    return listed


def parts_of(names: list[str]) -> dict[str, str]:
    """Part of each tar file, "train", "val", "test" or "", by its name; empty where none says."""
    stems = {name: name.removesuffix(".tar").replace("/", " ") for name in names}
    chosen = split_folders(set(stems.values()), every=True)
    return {} if chosen is None else {name: chosen.get(stem, "") for name, stem in stems.items()}


def index_tar(path: Path, before: str = "") -> tuple[list[Entry], list[Refusal]]:
    """Index the examples of one tar file, in its own order; see ``list_tar``."""
    listed = list_tar(path, before)
    return listed.entries, listed.refused


def list_tar(path: Path, before: str = "") -> Listed:
    """List the examples of one tar file, in its own order.

    A key is what stands before the first dot of a name; where that would make one example of
    several pictures whose names differ by a number (``22.05.png``), before the last.

    Arguments:
        path: an uncompressed tar file.
        before: put before each name.

    Raises:
        InputError: it is no tar file, or cut off.
    """
    listed = Listed()
    groups: dict[str, Parts] = {}
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                if member.isreg():
                    _take(member, path, before, groups, listed)
        _check_end(path)
    except MemoryError:
        raise
    except Exception as error:  # heads that were made to harm raise whatever they like
        reason = within(" ".join(str(error).split()), 80)
        raise InputError(f"{path} is no tar file that can be read: {reason}.") from error
    for key, parts in groups.items():
        for kind, own in _examples(parts):
            _read(path, before, f"{key}.{kind}", parts[kind], own, listed)
        for kind, reason in _others(parts):
            name = shown(f"{before}{key}.{kind}")
            listed.refused.append(Refusal(name, reason, bad=False))
    return listed


def _take(
    member: tarfile.TarInfo, path: Path, before: str, groups: dict[str, Parts], listed: Listed
) -> None:
    """Put one file of a tar file to its key's."""
    plain = inside(member.name)
    folder, _, base = member.name.rpartition("/")
    stem, dot, kind = base.partition(".")
    if is_hidden(plain or base) or not stem or not dot:
        return
    role = role_of(plain or base)
    if plain is None:
        if role == "picture":
            reason = "its name leads out of the tar file"
            listed.refused.append(Refusal(shown(before + member.name), reason))
        return
    if role == "unread":
        listed.unread.append(before + member.name)
    if role == "list" and 0 <= member.size <= MOST_BYTES:
        listed.lists[plain] = _tar_reader(path, member.offset_data, member.size)
    group = groups.setdefault(f"{folder}/{stem}" if folder else stem, {})
    if not 0 <= member.size <= MOST_BYTES:
        listed.refused.append(Refusal(shown(before + member.name), "too large"))
    elif kind.lower() in group:
        listed.refused.append(Refusal(shown(before + member.name), "stands twice"))
    else:
        group[kind.lower()] = (member.offset_data, member.size)


def _pictures(parts: Parts) -> list[str]:
    return [kind for kind in parts if f".{kind.rpartition('.')[2]}" in SUFFIXES]


def _chosen(parts: Parts) -> list[str]:
    """Which of a key's pictures are examples: the plain one, or all where numbers tell them apart.

    ``0.png`` beside ``0.mask.png`` is plain; so is ``0.image.png``.
    """
    kinds = _pictures(parts)
    plain = [kind for kind in kinds if "." not in kind]
    shared = any("." not in kind for kind in parts if kind not in kinds)
    first = {kind: kind.partition(".")[0] for kind in kinds}
    numbered = all(re.search("[0-9]", each) for each in first.values())
    if len(kinds) <= 1 or (numbered and not plain and not shared):
        return kinds
    called = [kind for kind in kinds if first[kind] in _PLAIN]
    return (plain or called or kinds)[:1]


def _examples(parts: Parts) -> Iterator[tuple[str, Parts]]:
    """The pictures of a key that are examples, each with its own label and caption."""
    kinds = _pictures(parts)
    for chosen in _chosen(parts):
        prefix = chosen.rpartition(".")[0]
        own = {kind: where for kind, where in parts.items() if kind not in kinds}
        if prefix:
            own |= {k.rpartition(".")[2]: w for k, w in own.items() if k.startswith(f"{prefix}.")}
        yield chosen, own


def _others(parts: Parts) -> Iterator[tuple[str, str]]:
    chosen = _chosen(parts)
    for kind in _pictures(parts):
        if kind not in chosen:
            yield kind, "another picture of its key is taken"


def _read(
    path: Path, before: str, name: str, where: tuple[int, int], own: Parts, listed: Listed
) -> None:
    try:
        label, text = _described(own, path)
    except (ValueError, RecursionError) as error:
        reason = f"its label or caption cannot be read: {reason_of(error)}"
        listed.refused.append(Refusal(shown(before + name), reason))
        return
    entry = Entry(before + name, _tar_reader(path, *where), label, text, inside(name) or name)
    listed.entries.append(entry)


def _check_end(path: Path) -> None:
    """A tar file ends in a block of zeros; tarfile takes any end for one."""
    size = path.stat().st_size
    if size < 512 or any(_slice(path, size - 512, 512)):
        raise ValueError("it is cut off")


def _described(parts: Parts, path: Path) -> tuple[str | None, str | None]:
    """Label and caption out of an example's other files."""
    table: dict[str, Any] = {}
    if "json" in parts:
        read = json.loads(_slice(path, *parts["json"]))
        table = cast(dict[str, Any], read) if isinstance(read, dict) else {}
    label: Any = table.get("label", table.get("cls"))
    text: Any = table.get("text", table.get("caption"))
    if "cls" in parts:
        label = _slice(path, *parts["cls"]).decode("utf-8-sig")
    if "txt" in parts:
        text = _slice(path, *parts["txt"]).decode("utf-8-sig").strip()
    return word(label), writable(text) if isinstance(text, str) else None


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
