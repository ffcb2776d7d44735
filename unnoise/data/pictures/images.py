"""Image data sets in memory: train / test split, parallel decoding, refused files."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unnoise.catalogue.ranges import Count, Fraction
from unnoise.catalogue.registry import register
from unnoise.core.errors import InputError, Interrupted, within
from unnoise.data.base import Dataset
from unnoise.data.flips import Flipped
from unnoise.data.names import Refusal, normal, place_of, shown
from unnoise.data.pictures.decide import line
from unnoise.data.pictures.decode import Look, RefusedFile, read_picture
from unnoise.data.pictures.entry import Entry, Found
from unnoise.data.pictures.scan import scan
from unnoise.data.stored import TensorDataset
from unnoise.system.signals import held_back, stoppable

_MOST_MEMORY = 4 << 30
_BAD = "--bad, --set data.bad"
_TOLD = 3
_LONGEST_TOLD = 80
_TOGETHER = 64  # files that one process decodes at a time

Tell = Callable[[int, int], None]


def _silent(done: int, total: int) -> None:
    pass


@dataclass
class Decoded:
    """Entries of the images decoded so far, in the order of their source, and refused files.

    Arguments:
        entries: those that were kept.
        refused: those that were not, and why.
    """

    entries: list[Entry] = field(default_factory=list[Entry])
    refused: list[Refusal] = field(default_factory=list[Refusal])


def splits(
    path: str, test: str | None, held_out: float, labels: bool = True
) -> tuple[Found, Found]:
    """Train / test split of an image source: its own, or by a hash of the file names.

    A picture's part depends on its name alone: it does not change when others are added. Only
    where a class would have nothing to train on, its picture that is nearest to the border goes
    there.

    Arguments:
        path: the source.
        test: another source to hold out, or its test part where it has one; None takes the test
            part of the first, or else a share of it.
        held_out: that share; 1 leaves nothing to train on.
        labels: whether labels are asked for.
    """
    found = scan(path, labels, own_test=test is None)
    if test is not None:
        other = scan(test, labels)
        other = other.held or other
        _same_classes(found, other, test)
        found.notes.append(f"{within(shown(test), _LONGEST_TOLD)} is held out")
        found.told = line(found)
        return found, other
    if found.held is not None:
        return found, found.held
    marks = [_mark(entry.name) for entry in found.entries]
    held = {i for i, mark in enumerate(marks) if mark < held_out}
    if held_out < 1:
        held -= _needed(found.entries, marks, held)
    kept = [entry for i, entry in enumerate(found.entries) if i not in held]
    rest = [entry for i, entry in enumerate(found.entries) if i in held]
    told = line(replace(found, notes=[f"{len(rest):,} of them are held out", *found.notes]))
    train = replace(found, entries=kept, told=told if rest else found.told)
    return train, Found(rest, names=found.names)


def _needed(entries: list[Entry], marks: list[float], held: set[int]) -> set[int]:
    """Numbers of pictures without which a class would have nothing to train on."""
    known = {entry.label for i, entry in enumerate(entries) if i not in held}
    if None in known:  # then nothing is trained on by class
        return set()
    nearest: dict[str | None, int] = {}
    for i in sorted(held, key=lambda i: (-marks[i], i)):
        if entries[i].label not in known:
            nearest.setdefault(entries[i].label, i)
    if known or len(nearest) > 1:
        nearest.pop(None, None)  # it is no class, and there are some
    return set(nearest.values())


def labelled(found: Found) -> Found:
    """Keep the images that have a label; the others are refused."""
    refused = [
        Refusal(shown(entry.name), "has no label, but what is trained on has")
        for entry in found.entries
        if entry.label is None
    ]
    kept = [entry for entry in found.entries if entry.label is not None]
    return Found(kept, found.refused + refused)


def _mark(name: str) -> float:
    """Hash of a name, as a number in [0, 1)."""
    digest = blake2b(normal(name).encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64


def _same_classes(found: Found, other: Found, test: str) -> None:
    known = found.classes
    if known is None:
        other.entries = [replace(entry, label=None) for entry in other.entries]
        return
    new = sorted({entry.label for entry in other.entries if entry.label} - set(known))
    if new:
        raise InputError(
            f"{test} has classes that the training data has not: {', '.join(new[:5])}."
        )


def decode(
    found: Found, look: Look, kept: Decoded, workers: int = 1, tell: Tell = _silent
) -> Iterator[NDArray[np.uint8]]:
    """Decode the images of a source to pixels, in its order, by ``workers`` processes.

    Arguments:
        found: the source.
        look: what to make of each.
        kept: takes the entries whose pixels were given, and the refused ones.
        workers: processes that decode; small pictures keep Python's lock, so threads gain nothing.
        tell: called with pictures done, and all of them.

    Raises:
        InputError: ``look`` has no size and the pictures differ in theirs.
    """
    kept.refused += found.refused
    shape: tuple[int, ...] | None = None
    answers = _answers(found.entries, look, workers)
    for done, (entry, answer) in enumerate(zip(found.entries, answers, strict=True), 1):
        tell(done, len(found.entries))
        if isinstance(answer, str):
            kept.refused.append(Refusal(shown(entry.name), answer))
            continue
        shape = answer.shape if shape is None else shape
        if answer.shape != shape:
            raise InputError(
                f"{shown(entry.name)} is {answer.shape[2]} x {answer.shape[1]}, others are "
                f"{shape[2]} x {shape[1]}; say a size that all are scaled to."
            )
        kept.entries.append(entry)
        yield answer


Answer = NDArray[np.uint8] | str


def _answers(entries: list[Entry], look: Look, workers: int) -> Iterator[Answer]:
    """Pixels of each entry, or the reason why there are none."""
    parts = [entries[i : i + _TOGETHER] for i in range(0, len(entries), _TOGETHER)]
    if workers == 1 or len(parts) < 2 * workers:
        for part in parts:
            yield from _decoded(_contents(part), look)
        return
    from concurrent.futures import Future, ProcessPoolExecutor

    # Not forked: torch's threads do not survive that.
    spawn = multiprocessing.get_context("spawn")
    # An exception that a Ctrl-C raises just anywhere can be lost where a process is started.
    with stoppable() as stop, ProcessPoolExecutor(workers, spawn) as pool:
        with held_back(signal.SIGINT):  # the workers inherit that: a Ctrl-C is for us alone
            for _ in range(workers):
                pool.submit(_decoded, [], look)  # each starts one
        waiting: deque[Future[list[Answer]]] = deque()

        def first() -> list[Answer]:
            answers = waiting.popleft().result()
            if stop.number is not None:
                raise Interrupted("interrupted.", stop.exit_code)
            return answers

        try:
            for part in parts:
                waiting.append(pool.submit(_decoded, _contents(part), look))
                if len(waiting) > 2 * workers:
                    yield from first()
            while waiting:
                yield from first()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _contents(entries: list[Entry]) -> list[bytes | str]:
    """Files as they are, or the reason why they cannot be read."""
    found: list[bytes | str] = []
    for entry in entries:
        try:
            found.append(entry.read())
        except RefusedFile as error:
            found.append(str(error))
        except MemoryError:
            raise
        except Exception as error:  # of a source's own library
            reason = " ".join(str(error).split()) or type(error).__name__
            found.append(f"cannot be read: {within(reason, 100)}")
    return found


def _decoded(contents: list[bytes | str], look: Look) -> list[Answer]:
    found: list[Answer] = []
    for content in contents:
        try:
            found.append(content if isinstance(content, str) else read_picture(content, look))
        except RefusedFile as error:
            found.append(str(error))
    return found


def check_refused(kept: Decoded, most: float, where: str) -> None:
    """Raise an error if too many, or all, of the files in ``kept`` (at least one) were refused.

    Raises:
        InputError: names the first of them.
    """
    bad = [each for each in kept.refused if each.bad]
    if kept.entries and len(bad) <= most * (len(bad) + len(kept.entries)):
        return
    bad = bad or kept.refused
    first, total = bad[0], len(bad) + len(kept.entries)
    cure = "Mend them."
    if kept.entries and first.reason == "has no label":
        cure = f"Label them, or say labels = false or bad = 0.5 ({_BAD})."
    elif kept.entries:
        cure = f"At most {most:.0%} may be; mend them or say bad = .5 ({_BAD})."
    raise InputError(
        f"{within(shown(where), 40)}: {len(bad)} of {total} files are left out "
        f"({within(first.name, 22)}: {within(first.reason, 26)}). {cure}"
    )


def told(refused: Sequence[Refusal], total: int) -> str:
    """Message about refused files, the first three by name."""
    first = "; ".join(
        f"{within(each.name, _LONGEST_TOLD)}: {within(each.reason, _LONGEST_TOLD)}"
        for each in refused[:_TOLD]
    )
    more = f"; and {len(refused) - _TOLD} more" if len(refused) > _TOLD else ""
    return f"{len(refused)} of {total} files are left out ({first}{more})."


def numbered(entries: list[Entry], classes: tuple[str, ...] | None) -> Tensor | None:
    """Class labels as integers, shape (N,), int64; None without classes."""
    if classes is None:
        return None
    number = {name: i for i, name in enumerate(classes)}
    return torch.tensor([number[entry.label or ""] for entry in entries])


def captions(entries: list[Entry]) -> list[str] | None:
    """Captions, "" where one is missing; None where all are."""
    texts = [entry.text or "" for entry in entries]
    return texts if any(texts) else None


@register("dataset", "images")
def images(
    path: str,
    size: Count | None = None,
    split: Literal["train", "test"] = "train",
    test: str | None = None,
    held_out: Fraction = 0.1,
    labels: bool = True,
    channels: Literal[1, 3] = 3,
    background: Literal["white", "black"] = "white",
    flip: bool = False,
    dequantize: bool = True,
    bad: Fraction = 0.05,
) -> Dataset:
    """Images of your own, decoded once into memory; event shape (channels, size, size).

    For more than some ten thousand pictures, ``unnoise prepare`` once and train on kind "prepared".

    Arguments:
        path: a folder, a .zip or .tar file, or ``hf:NAME`` (see ``scan`` for what they may hold).
        size: side of the square that is cut from the middle and scaled; None needs equal sizes.
        split: "train", or "test": what is held out.
        test: a second source that is held out; None takes the test part of ``path``, or a share.
        held_out: that share, chosen by the files' names; a source with a test part of its own
            (test/ beside train/) holds that out instead.
        labels: whether classes (folders, or the list's ``label``) come with the pictures.
        channels: 3 for colour, 1 for grey.
        background: what shows through transparent pixels.
        flip: show every second picture mirrored, in training.
        dequantize: spread each level over its width in training.
        bad: largest share of files that may be damaged; they are left out and named.

    Raises:
        InputError: nothing there, too many bad files, sizes that differ, or too much for memory.
    """
    path = place_of(path)
    found, rest = splits(path, test, held_out, labels)
    classes = found.classes
    chosen = {"train": found, "test": rest}[split]
    if classes is not None:
        chosen = labelled(chosen)
    if not (chosen.entries or chosen.refused):
        lack = "holds nothing out" if split == "test" else "leaves nothing to train on"
        raise InputError(
            f"data {path} {lack}; give held_out a share such as 0.1, or a test source."
        )
    if size is not None and len(chosen.entries) * channels * size**2 > _MOST_MEMORY:
        raise InputError(
            f"{len(chosen.entries):,} pictures of size {size} need more than 4 GiB of memory. "
            f"Prepare them once: unnoise prepare {path} data/NAME --size {size}"
        )
    kept = Decoded()
    look = Look(size, channels, {"white": 255, "black": 0}[background])
    pixels = list(decode(chosen, look, kept))
    check_refused(kept, bad, path)
    data = TensorDataset(
        _name(path),
        torch.from_numpy(np.stack(pixels)),
        numbered(kept.entries, classes),
        levels=256,
        dequantize=dequantize,
        class_names=classes,
        texts=captions(kept.entries),
        refused=kept.refused,
    )
    data.told = found.told
    return Flipped(data) if flip and split == "train" else data


def _name(path: str) -> str:
    return normal(path.rstrip("/").rpartition("/")[2]) or "images"
