"""Index of WebDataset shards: an index.json of tar files, their counts and classes."""

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, NotRequired

from annotated_types import Interval
from typing_extensions import TypedDict

from unnoise.core.errors import DamagedFileError, InputError, StorageError, within
from unnoise.data.names import Refusal, brief, place_of, writable
from unnoise.data.pictures.decide import settled
from unnoise.data.pictures.entry import Entry, Found
from unnoise.data.pictures.prepared import file_hash
from unnoise.data.pictures.scan import tar_files
from unnoise.data.pictures.tar_file import index_tar, parts_of
from unnoise.system.documents import checked, parsed
from unnoise.system.files import sweep, write_atomic

_KIND = "wids-shard-index-v1"  # the index that WebDataset's own tools write
_TRIES = 3


@dataclass(frozen=True)
class Shard:
    """One tar shard in an index.

    Arguments:
        name: relative to the index.
        count: its examples.
        sha256: of the file, "" where it is unknown.
    """

    name: str
    count: int
    sha256: str = ""


@dataclass(frozen=True)
class Index:
    """Index of all shards: where they lie, their counts, and the class names.

    Arguments:
        base: folder or URL that the shards' names are relative to.
        shards: in order.
        classes: names of the classes, None where they are unknown; where they are known, examples
            without a label are left out.
        refused: files that are left out already.
        notes: what was decided, in clauses.
        divided: whether these are the shards of one part of several.
    """

    base: str
    shards: tuple[Shard, ...]
    classes: tuple[str, ...] | None
    refused: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()
    divided: bool = False


def write_index(folder: str | Path, out: str | Path | None = None) -> Path:
    """Write the index.json of a folder of tar shards: their counts, checksums and classes.

    Arguments:
        folder: holds .tar files in WebDataset's layout.
        out: the index; "index.json" beside the shards when absent.

    Raises:
        InputError: no tar files there, or one cannot be read.
    """
    top = Path(place_of(str(folder)))
    paths = tar_files(top)
    if not paths:
        raise InputError(f"{folder} holds no .tar files.")
    index = _scanned(top, paths)
    listed = [
        {"url": each.name, "nsamples": each.count, "sha256": file_hash(top / each.name)}
        for each in index.shards
    ]
    document: dict[str, Any] = {"__kind__": _KIND, "wids_version": 1, "shardlist": listed}
    if index.classes is not None:
        document["classes"] = list(index.classes)
    target = top / "index.json" if out is None else Path(place_of(str(out)))
    sweep(target.parent, target.name.__eq__)
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    write_atomic(target, text.encode("utf-8", "backslashreplace"))
    return target


def read_index(path: str, part: str = "train") -> Index:
    """Read the shard index of a folder, .json file or URL; a folder without one is scanned.

    Arguments:
        path: the folder, file or URL.
        part: "train" or "test". Of shards some of which are called after train and others after
            test (or val), those of this part are meant; of others, all.

    Raises:
        InputError: there is none, it names files outside its own folder, or nothing is of the part.
    """
    path = place_of(path)
    if is_url(path):
        url = path if path.endswith(".json") else path.rstrip("/") + "/index.json"
        return _of_part(_index(fetch(url), url.rpartition("/")[0], url), part, path)
    place = Path(path)
    file = place / "index.json" if place.is_dir() else place
    if file.is_file() and file.suffix == ".json":
        index = _index(file.read_bytes(), str(file.parent), str(file))
        return _of_part(index, part, path)
    if not place.is_dir() or not (paths := tar_files(place)):
        raise InputError(f"{path}: give a folder of .tar files, its index.json, or a URL of one.")
    return _of_part(_scanned(place, paths), part, path)


def _scanned(top: Path, paths: list[Path]) -> Index:
    """Index of tar files that are read through; labels are decided as for any source."""
    every = Found([])
    by_shard: list[list[Entry]] = []
    for path in paths:
        entries, refused = index_tar(path, f"{path.name}/")
        by_shard.append(entries)
        every.entries += entries
        every.refused += refused
    every.entries = settled(every.entries, every)
    known = every.classes is not None
    shards = tuple(
        Shard(path.name, sum(not known or entry.label is not None for entry in entries))
        for path, entries in zip(paths, by_shard, strict=True)
    )
    return Index(str(top), shards, every.classes, tuple(every.refused), tuple(every.notes))


def _of_part(index: Index, part: str, where: str) -> Index:
    """The shards of one part, where their names say which part they are of."""
    parts = parts_of([shard.name for shard in index.shards])
    if not parts:
        return index
    held = "test" if "test" in parts.values() else "val"
    wanted = "train" if part == "train" else held
    shards = tuple(shard for shard in index.shards if parts[shard.name] == wanted)
    rest = len(index.shards) - len(shards)
    note = f"of {len(index.shards):,} shards {rest:,} are of other parts by their names"
    if not sum(shard.count for shard in shards):
        raise InputError(f"{within(where, 60)}: its {wanted} shards hold no examples.")
    return replace(index, shards=shards, notes=(*index.notes, note), divided=True)


def is_url(path: str) -> bool:
    return path.startswith(("http://", "https://"))


class _Listed(TypedDict):
    """A shard in an index.json."""

    url: str
    nsamples: Annotated[int, Interval(ge=0, le=2**40)]
    sha256: NotRequired[str]


class _Document(TypedDict):
    """What is read of an index.json; WebDataset's own tools write more."""

    shardlist: list[_Listed]
    classes: NotRequired[list[str | int] | None]


def _index(content: bytes, base: str, where: str) -> Index:
    try:
        document = checked(_Document, parsed(content, where), where, more=True)
    except DamagedFileError as error:
        raise InputError(
            f"{error} Write an index with: unnoise prepare FOLDER FOLDER/index.json"
        ) from error
    shards = tuple(
        Shard(each["url"], each["nsamples"], each.get("sha256", ""))
        for each in document["shardlist"]
    )
    for shard in shards:
        if not _is_beside(shard.name):
            raise InputError(
                f"{where}: shard {brief(shard.name)!r} must be a name beside the index."
            )
    if not sum(shard.count for shard in shards):
        raise InputError(f"{where} lists no examples.")
    names = document.get("classes")
    return Index(base, shards, None if names is None else tuple(writable(str(n)) for n in names))


def _is_beside(name: str) -> bool:
    """Whether a name stays in its index's folder, on every system and in a URL."""
    parts = name.split("/")
    return not (set(parts) & {"", ".", ".."} or set(name) & set("\\:\0\n"))


def fetch(base: str, name: str = "") -> bytes:
    """Download the content of a URL that the user gave, in at most three tries.

    Arguments:
        base: the URL.
        name: of a file below it, as it is.

    Raises:
        StorageError: it cannot be had after three tries.
    """
    url = f"{base}/{urllib.parse.quote(name, errors='surrogateescape')}" if name else base
    for attempt in range(_TRIES):
        try:
            with urllib.request.urlopen(url, timeout=60) as stream:
                return stream.read()
        except (OSError, http.client.HTTPException, ValueError) as error:
            if attempt + 1 == _TRIES or isinstance(error, urllib.error.HTTPError | ValueError):
                reason = within(str(getattr(error, "reason", error)), 80)
                raise StorageError(f"cannot read {url}: {reason}.") from error
    raise AssertionError
