"""WebDataset shards (tar files) from disk or URL, for data that does not fit on one machine.

Examples have numbers here as everywhere, so a run can be stopped and resumed; an epoch visits the
shards in a random order, some at a time, and only those are kept near.
"""

import hashlib
import shutil
import tempfile
import threading
import weakref
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unnoise.catalogue.ranges import Count
from unnoise.catalogue.registry import register
from unnoise.core.condition import Condition
from unnoise.core.errors import DamagedFileError, InputError, line_within, short, within
from unnoise.core.noise import Noise
from unnoise.data.base import Batch, Dataset
from unnoise.data.flips import Flipped
from unnoise.data.names import Refusal, brief, place_of, shown
from unnoise.data.pictures.decode import Look, RefusedFile, read_picture
from unnoise.data.pictures.entry import Entry
from unnoise.data.pictures.indices import Index, Shard, fetch, is_url, read_index
from unnoise.data.pictures.tar_file import index_tar
from unnoise.data.stored import check_letters, describe
from unnoise.system.files import sweep, write_atomic

_LOOKED_AT = 2048  # examples that mean and variance are taken from


@final
class ShardedPictures(Dataset):
    """Data set of images in WebDataset shards, by index, with a cache of the shards in use.

    Arguments:
        index: the shards.
        look: what to make of each picture.
        labels: whether classes come with them.
        classes: number of classes, where the index names none and labels are numbers.
        dequantize: spread each level over its width in training.
        cache: folder for shards from a URL; None keeps a few in a temporary one.
        together: shards that are mixed with each other within an epoch.

    A picture that is damaged is replaced by the one before it, and named in ``refused``.
    """

    def __init__(
        self,
        index: Index,
        look: Look,
        *,
        labels: bool = True,
        classes: int | None = None,
        dequantize: bool = True,
        cache: str | None = None,
        together: int = 8,
    ) -> None:
        self.index, self.look, self.dequantize = index, look, dequantize
        self.cache = None if cache is None else place_of(cache)
        self.together = together
        if self.cache is not None:
            sweep(Path(self.cache), {_near_name(shard) for shard in index.shards}.__contains__)
        self.stretches = tuple(shard.count for shard in index.shards)
        self.ends = torch.tensor(self.stretches).cumsum(0)
        names = index.classes or (None if classes is None else tuple(map(str, range(classes))))
        self.numbers = {name: i for i, name in enumerate(names)} if labels and names else None
        self._open: OrderedDict[int, list[Entry]] = OrderedDict()
        self._lock = threading.Lock()
        self._temporary: str | None = None
        self._bad: list[Refusal] = list(index.refused)
        self.refused = self._bad
        self.info = self._described(names if self.numbers is not None else None)
        self.told = self._line(names if self.numbers is not None else None)

    def __len__(self) -> int:
        return int(self.ends[-1])

    def batch(self, index: Tensor, noise: Noise | None = None) -> Batch:
        pixels, labels = self._rows(index)
        stored = torch.from_numpy(np.stack(pixels))
        u: Tensor | float = 0.5
        if self.dequantize and noise is not None:
            u = noise.child("dequantize").uniform(stored.float())
        cond = None if self.numbers is None else Condition(label=torch.tensor(labels))
        return Batch(self.info.to_model(stored, u), cond)

    def _rows(self, index: Tensor) -> tuple[list[NDArray[np.uint8]], list[int]]:
        pixels: list[NDArray[np.uint8]] = []
        labels: list[int] = []
        for number in index.tolist():
            which = int(torch.searchsorted(self.ends, number, right=True))
            entries = self._entries(which)
            row = number - int(self.ends[which]) + len(entries)
            picture, entry = self._good(entries, row)
            pixels.append(picture)
            if self.numbers is not None:
                if entry.label not in self.numbers:
                    raise DamagedFileError(
                        f"{brief(entry.name)} has class {short(entry.label)}, which the index does "
                        "not name; write the index anew, or set classes."
                    )
                labels.append(self.numbers[entry.label])
        return pixels, labels

    def _good(self, entries: list[Entry], row: int) -> tuple[NDArray[np.uint8], Entry]:
        """The picture, or the nearest one before it (around the shard) that is whole."""
        for back in range(len(entries)):
            entry = entries[row - back]
            try:
                return read_picture(entry.read(), self.look), entry
            except RefusedFile as error:
                refusal = Refusal(shown(entry.name), str(error))
                if refusal not in self.refused:
                    self._bad.append(refusal)
        raise DamagedFileError(f"no picture of the shard of {brief(entries[0].name)} can be read.")

    def _entries(self, which: int) -> list[Entry]:
        """Examples of a shard, which is fetched if it is not near."""
        with self._lock:
            if which in self._open:
                self._open.move_to_end(which)
                return self._open[which]
            shard = self.index.shards[which]
            path = self._near(shard)
            entries, refused = index_tar(path, f"{shard.name}/")
            known = set(self._bad)
            self._bad += [each for each in refused if each not in known]
            if self.index.classes is not None:
                entries = [entry for entry in entries if entry.label is not None]
            if len(entries) != shard.count:
                raise DamagedFileError(
                    f"{path} has {len(entries)} examples, its index says {shard.count}; write the "
                    "index anew: unnoise prepare FOLDER FOLDER/index.json"
                )
            self._open[which] = entries
            # The groups of two neighbouring steps, and one to spare.
            if len(self._open) > 2 * self.together + 1:
                old, _ = self._open.popitem(last=False)
                self._forget(self.index.shards[old])
            return entries

    def _near(self, shard: Shard) -> Path:
        """The shard's file on this machine."""
        if not is_url(self.index.base):
            return Path(self.index.base) / shard.name
        path = self._folder() / _near_name(shard)
        if not path.is_file():
            content = fetch(self.index.base, shard.name)
            if shard.sha256 and hashlib.sha256(content).hexdigest() != shard.sha256:
                raise DamagedFileError(
                    f"{self.index.base}/{shard.name} is not what its index says."
                )
            write_atomic(path, content)
        return path

    def _folder(self) -> Path:
        if self.cache is not None:
            Path(self.cache).mkdir(parents=True, exist_ok=True)
            return Path(self.cache)
        if self._temporary is None:
            self._temporary = tempfile.mkdtemp(prefix="unnoise-shards-")
            weakref.finalize(self, shutil.rmtree, self._temporary, ignore_errors=True)
        return Path(self._temporary)

    def _forget(self, shard: Shard) -> None:
        if self._temporary is not None:
            (self._folder() / _near_name(shard)).unlink(missing_ok=True)

    def _line(self, names: tuple[str, ...] | None) -> str:
        """What was decided of the shards, in a line."""
        head = f"{len(self):,} pictures in {len(self.index.shards):,} shards"
        known = "without classes"
        if names is not None:
            few = ", ".join(within(brief(name), 30) for name in names[:5])
            known = f"{len(names):,} classes: {few}{', ...' if len(names) > 5 else ''}"
        return line_within("; ".join([f"{head}, {known}", *self.index.notes]))

    def _described(self, names: tuple[str, ...] | None) -> Any:
        """Mean and variance of the first examples; count and hash of all that the index lists."""
        self.numbers, numbers = None, self.numbers
        pixels, _ = self._rows(torch.arange(min(_LOOKED_AT, len(self))))
        self.numbers = numbers
        shape = pixels[0].shape
        odd = next((p.shape for p in pixels if p.shape != shape), None)
        if odd is not None:
            raise InputError(f"pictures differ in size ({shape[1:]}, {odd[1:]}); say a size.")
        name = self.index.base.rstrip("/").rpartition("/")[2] or "shards"
        check_letters(name, names)
        info = describe(name, torch.from_numpy(np.stack(pixels)), None, 256)
        listed = repr((self.index.shards, names, self.look)).encode()
        return replace(
            info,
            classes=None if names is None else len(names),
            class_names=names,
            covariance=None,  # of so few it would be a guess
            count=len(self),
            sha256=hashlib.sha256(listed).hexdigest(),
        )


def _near_name(shard: Shard) -> str:
    return shard.name.replace("/", "_")


@register("dataset", "webdataset")
def webdataset(
    path: str,
    size: Count,
    split: Literal["train", "test"] = "train",
    test: str | None = None,
    labels: bool = True,
    classes: Count | None = None,
    channels: Literal[1, 3] = 3,
    background: Literal["white", "black"] = "white",
    flip: bool = False,
    dequantize: bool = True,
    cache: str | None = None,
    together: Count = 8,
) -> Dataset:
    """Images in WebDataset tar shards, read while training; event shape (channels, size, size).

    Mean and variance are those of the first 2,048 examples.

    Arguments:
        path: a folder of .tar files, its index.json (``unnoise prepare FOLDER FOLDER/index.json``
            writes one), or a URL of either.
        size: side of the square that is cut from the middle and scaled.
        split: "train", or "test": what ``test`` names, or else the shards of ``path`` that are
            called after test (or val) where others are called after train.
        test: shards that are held out, given like ``path``.
        labels: whether classes (``.cls`` files, or ``label`` in ``.json`` files) come with them.
        classes: number of classes, for an index that does not name them.
        channels: 3 for colour, 1 for grey.
        background: what shows through transparent pixels.
        flip: show every second picture mirrored, in training.
        dequantize: spread each level over its width in training.
        cache: folder that shards from a URL are kept in; None keeps those at work, in a temporary
            one.
        together: shards that are mixed with each other within an epoch.

    Raises:
        InputError: no shards there, or no index where one is needed.
        StorageError: a URL cannot be read.
    """
    index = read_index(path)
    if split == "test":
        held = read_index(path if test is None else test, "test")
        if test is None and not held.divided:
            raise InputError(
                f"data {path} holds nothing out; name held-out shards with test = PATH."
            )
        index = replace(held, classes=index.classes)
    look = Look(size, channels, {"white": 255, "black": 0}[background])
    data = ShardedPictures(
        index,
        look,
        labels=labels,
        classes=classes,
        dequantize=dequantize,
        cache=cache,
        together=together,
    )
    return Flipped(data) if flip and split == "train" else data
