"""Hugging Face data sets, loaded by the ``datasets`` library."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from unnoise.core.errors import InputError
from unnoise.data.names import normal, place_of, writable
from unnoise.data.pictures.decode import RefusedFile
from unnoise.data.pictures.entry import Entry, Listed
from unnoise.data.pictures.labels import word


def scan_hub(name: str) -> Listed:
    """List the images, labels and captions of a Hugging Face data set.

    The first column of pictures is taken, ``label`` (or the first of classes) and ``text`` (or
    ``caption``) beside it. Classes keep the order and the numbers that the data set gives them.
    Without a named split all are listed, and test (or validation) is held out.

    Arguments:
        name: "NAME", "NAME#SPLIT", or a folder written by ``save_to_disk``. A name that is no
            folder is looked for on the hub: that is the network.

    Raises:
        InputError: the library is missing, or there are no such data, split or pictures.
    """
    try:
        import datasets
    except ImportError as error:
        raise InputError(
            'This needs datasets. Install it with: pip install "unnoise[hf]"'
        ) from error
    lib: Any = datasets
    source, _, split = name.partition("#")
    source = place_of(source)
    listed = Listed()
    try:
        for part, table in _tables(lib, source, split).items():
            _take(lib, table, part, name, listed)
    except InputError:
        raise
    except Exception as error:  # the library raises whatever its file systems do
        reason = " ".join(str(error).split())[:150]
        raise InputError(f"hf:{name} cannot be loaded: {reason}.") from error
    return listed


def _tables(lib: Any, source: str, split: str) -> dict[str, Any]:
    """Splits by name, of a folder or from the hub; a single one has none."""
    if Path(source).is_dir() and _is_saved(Path(source)):
        loaded = lib.load_from_disk(source)
        if isinstance(loaded, dict) and split:
            loaded = loaded[split]
    else:
        loaded = lib.load_dataset(source, split=split or None)
    if not isinstance(loaded, dict):
        return {"": loaded}
    return {"": next(iter(loaded.values()))} if len(loaded) == 1 else dict(loaded)


def _take(lib: Any, table: Any, part: str, name: str, listed: Listed) -> None:
    """List the rows of one split."""
    kinds: dict[str, Any] = dict(table.features)
    picture, label, text = _columns(lib, kinds, name)
    # The files as they are, for our own gate to look at.
    table = table.cast_column(picture, lib.Image(decode=False))
    nothing = [None] * len(table)
    labels = [_named(kinds[label], each) for each in table[label]] if label else nothing
    texts = [_written(each) for each in table[text]] if text else nothing
    if label and hasattr(kinds[label], "int2str") and listed.names is None:
        listed.names = tuple(writable(normal(each)) for each in kinds[label].names)
    before = "" if part in ("", "train") else f"{part}/"
    for i, (own, caption) in enumerate(zip(labels, texts, strict=True)):
        place = f"{part}/{i}" if part else None
        entry = Entry(f"{before}{i:09d}", _reader(table, i, picture), own, caption, place)
        listed.entries.append(entry)


def _columns(lib: Any, kinds: dict[str, Any], name: str) -> tuple[str, str | None, str | None]:
    """Names of the columns of pictures, of labels and of captions."""
    pictures = [key for key, kind in kinds.items() if isinstance(kind, lib.Image)]
    if not pictures:
        raise InputError(f"hf:{name} has no column of pictures; it has: {', '.join(kinds)}.")
    classes = [key for key, kind in kinds.items() if isinstance(kind, lib.ClassLabel)]
    label = next((key for key in ("label", *classes) if key in kinds), None)
    text = next((key for key in ("text", "caption") if key in kinds), None)
    return pictures[0], label, text


def _is_saved(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("state.json", "dataset_dict.json"))


def _named(kind: Any, value: Any) -> str | None:
    if hasattr(kind, "int2str"):
        # They write -1 where the answer is kept secret.
        sound = isinstance(value, int) and 0 <= value < kind.num_classes
        return writable(normal(kind.int2str(value))) if sound else None
    try:
        return word(value)
    except ValueError:  # a list of labels
        return None


def _written(value: Any) -> str | None:
    return writable(value) if isinstance(value, str) else None


def _reader(table: Any, number: int, column: str) -> Callable[[], bytes]:
    def read() -> bytes:
        cell = table[number][column]
        if not cell:
            raise RefusedFile("no picture in its row")
        if cell.get("bytes"):
            return cell["bytes"]
        try:
            return Path(cell["path"]).read_bytes()
        except (OSError, TypeError) as error:
            raise RefusedFile(f"cannot be read: {error}") from error

    return read
