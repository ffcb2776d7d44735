"""Outline of a source by its folders: which part (train, val, test) and class a picture is of."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from unnoise.data.names import normal, writable

Folders = tuple[str, ...]

_PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}


@dataclass(frozen=True)
class Outline:
    """What the folders of a source say of each of its pictures.

    Arguments:
        parts: "train", "val", "test", or "" where it lies in none of them; None where the source
            has no such folders.
        labels: the class's folder, None where it lies in none.
        folders: what the folder of each part is called.
    """

    parts: tuple[str, ...] | None
    labels: tuple[str | None, ...]
    folders: dict[str, str]


def outline(parents: Sequence[Folders]) -> Outline:
    """Decide from folders alone what is held out and which classes there are.

    Folders that hold everything are no classes. Split folders are such as train/ and test/ (or
    val/) beside each other, at the top or in every class; one of them alone is a class.

    Arguments:
        parents: the folders that each picture lies in, outermost first.
    """
    top = _outer(parents)
    chosen = split_folders({p[top] for p in parents if len(p) > top})
    if chosen is not None and _is_split(parents, top, chosen):
        parts = tuple(chosen.get(_at(p, top), "") for p in parents)
        inner = [p[top + 1 :] for p in parents]
        depth = _outer([p for p, part in zip(inner, parts, strict=True) if part == "train"])
        return Outline(parts, _labels(inner, depth), _called(chosen))
    labels = _labels(parents, top)
    # Or each class has its own: cat/train and cat/test.
    chosen = split_folders({_at(p, top + 1) for p in parents if p[top:]})
    if chosen is not None and all(_at(p, top + 1) in chosen for p in parents if p[top:]):
        parts = tuple(chosen.get(_at(p, top + 1), "") for p in parents)
        return Outline(parts, labels, _called(chosen))
    return Outline(None, labels, {})


def _at(folders: Folders, depth: int) -> str:
    return folders[depth] if len(folders) > depth else ""


def _labels(parents: Sequence[Folders], depth: int) -> tuple[str | None, ...]:
    return tuple(writable(normal(p[depth])) if len(p) > depth else None for p in parents)


def split_folders(names: set[str], every: bool = False) -> dict[str, str] | None:
    """Part of each folder that is called after one, such as train/ and test/; None without both.

    Arguments:
        names: of the folders.
        every: whether a_train, a_test, b_train, b_test are all meant; else those of one name.
    """
    alike: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for name in names:
        # "seg_train" and "seg_test" belong together, "train2017" and "val2017", too.
        words = [word for word in re.split(r"[\W_\d]+", normal(name).casefold()) if word]
        said = [word for word in words if word in _PARTS]
        if len(said) == 1:
            rest = " ".join(word for word in words if word != said[0])
            alike[rest][name] = _PARTS[said[0]]
    found: dict[str, str] = {}
    for rest in sorted(alike):
        parts = set(alike[rest].values())
        if "train" in parts and len(parts) > 1 and (every or not found):
            found |= alike[rest]
    return found or None


def _is_split(parents: Sequence[Folders], top: int, chosen: dict[str, str]) -> bool:
    """Whether folders called train and test are what they are called, and no classes."""
    others = {p[top] for p in parents if len(p) > top} - set(chosen)
    if all(map(_says_part, others)):
        return True
    # Other folders stand beside them: then what they hold must be alike.
    inner: dict[bool, set[str]] = {True: set(), False: set()}
    for p in parents:
        if len(p) > top and p[top] in chosen:
            inner[chosen[p[top]] == "train"].update(p[top + 1 :])
    return bool(inner[True] & inner[False])


def _says_part(name: str) -> bool:
    return any(word in _PARTS for word in re.split(r"[\W_\d]+", normal(name).casefold()))


def _called(chosen: dict[str, str]) -> dict[str, str]:
    return {part: name for name, part in sorted(chosen.items(), reverse=True)}


def _outer(parents: Sequence[Folders]) -> int:
    """How many outer folders (nearly) all pictures lie in; the last folder is a class."""
    depth = 0
    deep = [p for p in parents if p]
    while deep and len({p[depth] for p in deep}) == 1:
        inside = [p for p in deep if len(p) > depth + 1]
        if 2 * len(inside) < len(deep) or not inside:
            break
        deep, depth = inside, depth + 1
    return depth
