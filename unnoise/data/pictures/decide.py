"""Decide what the labels and splits of an image source are, and say it in one line.

Folders, zip files, tar files and Hugging Face tables are listed each in their own way; what a list
of pictures means is decided here for all of them, by names and lists alone.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from unnoise.core.errors import LONGEST, line_within, within
from unnoise.data.codepages import readable
from unnoise.data.names import Refusal, brief, normal, shown
from unnoise.data.pictures.entry import Entry, Found, Listed
from unnoise.data.pictures.labels import describe_by_lists
from unnoise.data.pictures.outline import Outline, outline

_FEW = 0.1  # share of labelled pictures below which the labels are strays, and there are no classes
_LONGEST_NAME = 30
_KINDS_TOLD = 3


def decide(listed: Listed, labels: bool = True, own_test: bool = True) -> Found:
    """Decide the classes, labels and held-out part of a listed source.

    Labels are those of the source itself (a tar file's .cls, a table's column), else those of a
    list, else the folders' names. Where only some pictures have one, those are kept and the others
    left out; where nearly none has, or all that have one are of one class, there are no classes.
    Of split folders train/ is trained on and test/ (or else val/) held out.

    Arguments:
        listed: what lies there.
        labels: whether labels are asked for; without, no picture is left out for want of one.
        own_test: whether the source's test part is held out; else it is left out.
    """
    listed = _readable(listed)
    entries = sorted(listed.entries, key=lambda entry: (normal(entry.name), entry.name))
    found = Found([], list(listed.refused), listed.names, notes=list(listed.notes))
    drawn = outline([tuple(entry.place.split("/")[:-1]) for entry in entries])
    entries, drawn = _described(listed, entries, drawn, found)
    if not labels:
        entries = [replace(entry, label=None) for entry in entries]
    parts = drawn.parts or ("train",) * len(entries)
    by_part = {
        part: [entry for entry, own in zip(entries, parts, strict=True) if own == part]
        for part in ("train", "val", "test", "")
    }
    for entry in by_part[""]:
        found.refused.append(Refusal(shown(entry.name), "lies in no part of the split", bad=False))
    if by_part[""]:
        found.notes.append(f"{_are(len(by_part['']), 'in no part of the split')} left out")
    found.entries = settled(by_part["train"], found)
    if drawn.parts is not None:
        _hold_out(found, by_part, drawn.folders, own_test)
    for name in listed.unread:
        suffix = PurePosixPath(name).suffix.lower()
        found.refused.append(Refusal(shown(name), f"no reader for {suffix} here", bad=False))
    reasons = Counter(each.reason for each in listed.refused if not each.bad)
    found.notes += [f"{count:,} left out: {reason}" for reason, count in reasons.items()]
    found.notes += _unread(listed.unread)
    found.told = line(found)
    return found


def _readable(listed: Listed) -> Listed:
    """The same where names that are not UTF-8 are read by their code page, if it can be guessed."""
    known, page = readable([*(entry.place for entry in listed.entries), *listed.lists])
    if page is None:
        return listed
    return replace(
        listed,
        entries=[replace(e, path=known.get(e.place, e.place)) for e in listed.entries],
        lists={known.get(path, path): read for path, read in listed.lists.items()},
        notes=[*listed.notes, f"names are read as {page}"],
    )


def _are(count: int, what: str) -> str:
    return f"{count:,} {what} {'is' if count == 1 else 'are'}"


def _described(
    listed: Listed, entries: list[Entry], drawn: Outline, found: Found
) -> tuple[list[Entry], Outline]:
    """Entries with labels: their own, a list's, or their folders'; those that a list drops go."""
    if any(entry.label is not None for entry in entries):
        return entries, drawn
    described = _by_lists(listed, entries, drawn, found)
    if described is None:
        pairs = zip(entries, drawn.labels, strict=True)
        return [replace(entry, label=label) for entry, label in pairs], drawn
    kept = sorted(described)
    if drawn.parts is not None:
        drawn = replace(drawn, parts=tuple(drawn.parts[number] for number in kept))
    return [described[number] for number in kept], drawn


def _by_lists(
    listed: Listed, entries: list[Entry], drawn: Outline, found: Found
) -> dict[int, Entry] | None:
    """Entries as lists describe them, by their number; None where no list does."""
    must = [part == "train" for part in drawn.parts or ("train",) * len(entries)]
    classes = {label for label, own in zip(drawn.labels, must, strict=True) if own} - {None}
    described = describe_by_lists(listed.lists, entries, len(classes) > 1, must)
    found.refused += described.refused
    found.notes += described.notes
    if not described.ruled:
        return None
    labels = {entry.label for entry in described.entries.values()}
    if len(classes) > 1 and labels == {None}:
        found.notes.append("no list names labels, so folders are no classes")
    return described.entries


def settled(entries: list[Entry], found: Found) -> list[Entry]:
    """Entries that are kept where some have a label and some have none.

    Arguments:
        entries: of what is trained on.
        found: takes those that are left out, and a note.
    """
    known = [entry for entry in entries if entry.label is not None]
    without = [entry for entry in entries if entry.label is None]
    if not (known and without):
        return entries
    if len(known) < _FEW * len(entries) or len({entry.label for entry in known}) < 2:
        found.notes.append(f"only {len(known):,} with a label, so there are no classes")
        return [replace(entry, label=None) for entry in entries]
    many = len(without) > 1  # a single stray is borne in the smallest source
    found.refused += [Refusal(shown(entry.name), "has no label", bad=many) for entry in without]
    found.notes.append(f"{_are(len(without), 'without a label')} left out")
    return known


def _hold_out(
    found: Found, by_part: dict[str, list[Entry]], folders: dict[str, str], own_test: bool
) -> None:
    """Hold out test/, or else val/, of what has the classes that are trained on."""
    classes = None if found.classes is None else set(found.classes)
    for part in ("test", "val"):
        entries = by_part[part]
        if not entries:
            continue
        called = f"{brief(folders.get(part, part))}/"
        if found.held is not None or not own_test:
            found.notes.append(f"{called} ({len(entries):,}) is left out")
        elif classes is None:
            found.held = Found([replace(entry, label=None) for entry in entries])
            found.notes.append(f"{called} ({len(entries):,}) is held out")
        elif not any(entry.label in classes for entry in entries):
            lack = "has other classes" if any(e.label for e in entries) else "has no labels"
            found.notes.append(f"{called} ({len(entries):,}) {lack} and is left out")
        else:
            kept = [entry for entry in entries if entry.label in classes]
            found.held = Found(kept, [_unknown(e) for e in entries if e.label not in classes])
            found.notes.append(f"{called} ({len(kept):,}) is held out")
    if found.held is not None:
        found.held.names = found.names


def _unknown(entry: Entry) -> Refusal:
    if entry.label is None:
        return Refusal(shown(entry.name), "has no label, but what is trained on has")
    return Refusal(shown(entry.name), "has a class that what is trained on has not")


def _unread(names: Sequence[str]) -> list[str]:
    """A clause about files that no reader here knows, counted by their suffixes."""
    kinds = Counter(PurePosixPath(name).suffix.lower() for name in names)
    few = [f"{count:,} {kind}" for kind, count in kinds.most_common(_KINDS_TOLD)]
    more = ["..."] if len(kinds) > _KINDS_TOLD else []
    return [f"{', '.join([*few, *more])} cannot be read here"] if names else []


def line(found: Found, what: str = "pictures") -> str:
    """What was decided about a source, in a line of at most 200 letters.

    Arguments:
        found: the source.
        what: its examples are called.
    """
    names = found.classes
    head = f"{len(found.entries):,} {what}"
    if names is None:
        return line_within("; ".join([f"{head} without classes", *found.notes]))
    counts = Counter(entry.label for entry in found.entries)
    said = counted([(name, counts[name]) for name in names], _room(head, found.notes))
    return line_within("; ".join([f"{head}, {said}", *found.notes]))


def _room(head: str, notes: Sequence[str]) -> int:
    return LONGEST - len(head) - 2 - sum(len(note) + 2 for note in notes)


def counted(classes: Sequence[tuple[str, int]], room: int = LONGEST) -> str:
    """Classes and their counts, as "2 classes: cat 70, dog 36"; what does not fit is "...".

    Arguments:
        classes: names and counts.
        room: letters that it may have.
    """
    many = len(classes)
    said = f"{many:,} class{'es' if many != 1 else ''}: "
    words = [f"{within(brief(name), _LONGEST_NAME)} {count:,}" for name, count in classes[:room]]
    fits: Callable[[int], bool] = lambda n: len(said) + len(", ".join(words[:n])) + 5 <= room  # noqa: E731
    count = len(words)
    while count > 1 and not fits(count):
        count -= 1
    return said + ", ".join(words[:count] + (["..."] if count < many else []))
