"""Prepared image data sets: decoded once to .npy arrays with checksums, then memory-mapped.

::

    data/cifar/
      manifest.json        format, settings, sha256 of every other file; written last
      train-00000.npy ...  pixels, uint8, (n, channels, H, W)
      train.jsonl          a line for each example: name, label, text
      train.safetensors    what is known of the whole: mean, variance ... (a DataInfo)
      test ...             the same for what is held out, where anything is
      refused.jsonl        files that were left out, and why
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, NotRequired, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import TypedDict

from unnoise.catalogue.registry import register
from unnoise.core.errors import LONGEST, DamagedFileError, InputError, StorageError, short
from unnoise.data.base import DataInfo, Dataset, info_fields, info_from
from unnoise.data.flips import Flipped
from unnoise.data.names import Refusal, place_of, shown
from unnoise.data.pictures.decide import counted
from unnoise.data.pictures.decode import Look
from unnoise.data.pictures.images import (
    Decoded,
    Tell,
    check_refused,
    decode,
    labelled,
    numbered,
    splits,
)
from unnoise.data.stored import Arrays, StoredDataset, describe, mapped
from unnoise.system import disk
from unnoise.system.documents import Whole, checked, parsed
from unnoise.system.files import half_written, left_behind, pack, unpack, write_atomic

FORMAT = 1
_SHARD = 64 << 20


@dataclass(frozen=True)
class Report:
    """Result of ``prepare``: the folder, its counts and the refused files.

    Arguments:
        path: the folder.
        counts: examples by split.
        refused: files that were left out.
        told: what was decided of the source: pictures, classes, what is held out, in a line.
    """

    path: Path
    counts: dict[str, int]
    refused: tuple[Refusal, ...]
    told: str = ""


def prepare(
    source: str | Path,
    out: str | Path,
    look: Look,
    *,
    test: str | None = None,
    held_out: float = 0.1,
    bad: float = 0.05,
    licence: str = "unknown",
    workers: int = 1,
    tell: Tell | None = None,
) -> Report:
    """Preprocess an image source: check, decode, resize and store its images.

    The folder appears whole or not at all.

    Arguments:
        source: as for ``images``: a folder, a .zip or .tar file, ``hf:NAME``.
        out: a folder that does not exist yet.
        look: size, channels, background.
        test: a second source to hold out; None takes a share of the first.
        held_out: that share.
        bad: largest share of files that may be refused.
        licence: of the data, with its source; goes into every model trained on it.
        workers: processes that decode; with more than one, a script of yours needs
            ``if __name__ == "__main__":`` around its own work.
        tell: called with pictures done, and all of them.

    Raises:
        InputError: ``out`` exists, nothing is there, sizes differ, or too many files are bad.
        StorageError: the disk is full or cannot be written; nothing is left behind.
    """
    source, out = place_of(str(source)), Path(place_of(str(out)))
    if out.exists():
        raise InputError(f"{out} exists already; give the name of a new folder.")
    found, rest = splits(source, test, held_out)
    if not (found.entries or found.refused):
        raise InputError(f"{source} is held out altogether; leave some to train on.")
    classes = found.classes
    if classes is not None:
        rest = labelled(rest)
    sources = {"train": found, **({"test": rest} if rest.entries or rest.refused else {})}
    total = len(found.entries) + len(rest.entries)
    before = 0
    kept: dict[str, Decoded] = {}
    hashes: dict[str, str] = {}

    def told(done: int, _: int) -> None:
        if tell is not None:
            tell(before + done, total)

    with _appearing(out) as part:
        for split, each in sources.items():
            kept[split] = Decoded()
            pixels = decode(each, look, kept[split], workers, told)
            _write_split(part, split, pixels, kept[split], out.name, classes, licence, hashes)
            before += len(each.entries)
            check_refused(kept[split], bad, source)
        refused = tuple(r for each in kept.values() for r in each.refused)
        counts = {split: len(each.entries) for split, each in kept.items()}
        _write_lines(part / "refused.jsonl", map(asdict, refused), hashes)
        document = {
            "format": FORMAT,
            "kind": "pictures",
            "source": shown(source),
            "look": asdict(look),
            "counts": counts,
            "classes": classes,
            "sha256": hashes,
        }
        write_atomic(part / "manifest.json", json.dumps(document, indent=1).encode())
    return Report(out, counts, refused, found.told)


@contextmanager
def _appearing(out: Path) -> Generator[Path]:
    """A folder to write into, which becomes ``out`` at the end, and is gone after an error."""
    part = half_written(out, "partial")
    try:
        _clear(out)
        part.mkdir(parents=True)
        yield part
        part.rename(out)
        disk.sync_folder(out.parent)
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _clear(out: Path) -> None:
    """Remove what a killed preparation of the same folder left behind."""
    for path in left_behind(out.parent, out.name.__eq__, "partial")[0]:
        shutil.rmtree(path, ignore_errors=True)


def _write(path: Path, content: bytes, hashes: dict[str, str]) -> None:
    write_atomic(path, content)
    hashes[path.name] = hashlib.sha256(content).hexdigest()


def _write_lines(path: Path, rows: Iterable[object], hashes: dict[str, str]) -> None:
    """A line of JSON for each row."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    _write(path, text.encode("utf-8", "backslashreplace"), hashes)


def _write_split(
    folder: Path,
    split: str,
    pixels: Iterator[NDArray[np.uint8]],
    kept: Decoded,
    name: str,
    classes: tuple[str, ...] | None,
    licence: str,
    hashes: dict[str, str],
) -> None:
    """Shards, table and description of one split."""
    paths: list[Path] = []
    held: list[NDArray[np.uint8]] = []

    def flush() -> None:
        if held:
            path = folder / f"{split}-{len(paths):05d}.npy"
            _save(path, np.stack(held), hashes)
            paths.append(path)
            held.clear()

    for picture in pixels:
        held.append(picture)
        if len(held) * picture.nbytes >= _SHARD:
            flush()
    flush()
    if not paths:
        return  # whoever counts the refused ones says so
    labels = numbered(kept.entries, classes)
    known = describe(
        name, Arrays(list(map(mapped, paths))), labels, 256, licence=licence, class_names=classes
    )
    values, tensors = info_fields(known)
    _write(folder / f"{split}.safetensors", pack({"kind": "data", "data": values}, tensors), hashes)
    lines = [
        {"name": shown(entry.name), "label": entry.label, "text": entry.text}
        for entry in kept.entries
    ]
    _write_lines(folder / f"{split}.jsonl", lines, hashes)


def _save(path: Path, array: NDArray[np.uint8], hashes: dict[str, str]) -> None:
    with path.open("wb") as stream:
        np.save(stream, array, allow_pickle=False)
        stream.flush()
        os.fsync(stream.fileno())
    hashes[path.name] = file_hash(path)


def file_hash(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@final
class PreparedDataset(StoredDataset):
    """Image data set of a prepared folder; see ``prepared``."""


@register("dataset", "prepared")
def prepared(
    path: str,
    split: Literal["train", "test"] = "train",
    labels: bool = True,
    flip: bool = False,
    dequantize: bool = True,
    check: bool = True,
) -> Dataset:
    """Images that ``unnoise prepare`` stored, memory-mapped from disk.

    Arguments:
        path: the folder.
        split: "train" or "test".
        labels: whether classes come with the pictures.
        flip: show every second picture mirrored, in training.
        dequantize: spread each level over its width in training.
        check: compare every file with its checksum first.

    Raises:
        InputError: no such folder or split.
        DamagedFileError: a file is not what was prepared.
    """
    folder = Path(place_of(path))
    manifest = _manifest(folder)
    hashes, count = manifest["sha256"], manifest["counts"].get(split)
    if count is None:
        raise InputError(
            f"{path} holds nothing out; prepare it with --held-out 0.1 or --test SOURCE."
        )
    info, arrays, lines = _opened(folder, split, hashes, count, check)
    numbers = None
    if labels and info.class_names is not None:
        file = folder / f"{split}.jsonl"
        numbers = _numbers([line["label"] for line in lines], info.class_names, file)
    if numbers is None:
        info = replace(info, classes=None, class_names=None, class_counts=None)
    texts = [line["text"] or "" for line in lines]
    data = PreparedDataset(
        info, Arrays(arrays), numbers, dequantize=dequantize, texts=texts if any(texts) else None
    )
    data.told = _told(info, manifest["counts"])
    return Flipped(data) if flip and split == "train" else data


def _told(info: DataInfo, counts: "_Counts") -> str:
    """What a preparation holds, in a line."""
    held = counts.get("test", 0)
    rest = f"; {held:,} more are held out" if held else ""
    head = f"{info.count:,} pictures"
    if info.class_names is None or info.class_counts is None:
        return f"{head} without classes{rest}"
    pairs = list(zip(info.class_names, info.class_counts, strict=True))
    return f"{head}, {counted(pairs, LONGEST - len(head) - len(rest) - 2)}{rest}"


class _Head(TypedDict):
    """What a manifest of any version has."""

    kind: str
    format: int


class _Look(TypedDict):
    size: int | None
    channels: int
    background: int


class _Counts(TypedDict):
    train: Whole
    test: NotRequired[Whole]


class _Manifest(TypedDict):
    """The document of manifest.json."""

    format: int
    kind: str
    source: str
    look: _Look
    counts: _Counts
    classes: list[str] | None
    sha256: dict[str, str]


class _Line(TypedDict):
    """What is known of an example."""

    name: str
    label: str | None
    text: str | None


def _manifest(folder: Path) -> _Manifest:
    file = folder / "manifest.json"
    if not file.is_file():
        raise InputError(
            f"{folder} is no prepared data. Make it with: unnoise prepare SOURCE {folder} --size 32"
        )
    document = parsed(file.read_bytes(), str(file))
    head = checked(_Head, document, str(file), more=True)
    if head["kind"] != "pictures":
        raise DamagedFileError(f"{file} does not describe prepared pictures.")
    if head["format"] != FORMAT:
        raise InputError(
            f"{folder} has format {short(head['format'], 20)}; this version reads {FORMAT}."
        )
    return checked(_Manifest, document, str(file))


def _opened(
    folder: Path, split: str, hashes: dict[str, str], count: int, check: bool
) -> tuple[DataInfo, list[NDArray[np.uint8]], list[_Line]]:
    """What is known of ``count`` pictures, their pixels and their lines."""
    names = [f"{split}.safetensors", f"{split}.jsonl"]
    shards = sorted(name for name in hashes if re.fullmatch(rf"{split}-\d+\.npy", name))
    for name in (*names, *(shards if check else [])):
        file = folder / name
        if not file.is_file() or file_hash(file) != hashes.get(name):
            raise DamagedFileError(f"{file} is damaged or changed since it was prepared.")
    container, tensors = unpack(folder / names[0])
    info = info_from(container.get("data"), tensors)
    arrays = [mapped(folder / name) for name in shards]
    lines = _lines(folder / names[1])
    fit = all(each.dtype == np.uint8 and each.shape[1:] == info.shape for each in arrays)
    if not (fit and {len(lines), info.count, sum(map(len, arrays))} == {count} and count > 0):
        raise DamagedFileError(f"{folder}: the files of {split!r} do not fit together.")
    return info, arrays, lines


def _lines(file: Path) -> list[_Line]:
    # Not splitlines(), which would also split a caption at some rare letters.
    lines = file.read_bytes().rstrip(b"\n").split(b"\n")
    return checked(list[_Line], parsed(b"[%s]" % b",".join(lines), str(file)), str(file))


def _numbers(labels: list[str | None], names: tuple[str, ...], file: Path) -> Tensor:
    """Class numbers, shape (N,), of classes by name."""
    place: dict[str | None, int] = {name: i for i, name in enumerate(names)}
    try:
        return torch.tensor([place[label] for label in labels])
    except KeyError as error:
        raise DamagedFileError(f"{file} has a class that nobody named: {error}.") from error
