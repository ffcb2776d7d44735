"""List the images of a source: a folder, a zip file, tar files, a Hugging Face data set."""

from collections import Counter
from pathlib import Path

from unnoise.core.errors import InputError, UnnoiseError, within
from unnoise.data.names import brief, place_of
from unnoise.data.pictures.decide import decide
from unnoise.data.pictures.decode import SUFFIXES
from unnoise.data.pictures.entry import Found, Listed
from unnoise.data.pictures.folder import scan_folder
from unnoise.data.pictures.hub import scan_hub
from unnoise.data.pictures.tar_file import scan_tars
from unnoise.data.pictures.which_files import ARCHIVES, is_hidden
from unnoise.data.pictures.zip_file import scan_zip


def scan(path: str | Path, labels: bool = True, own_test: bool = True) -> Found:
    """List the images of a source without reading them, and decide what their labels are.

    Arguments:
        path: a folder (its folders are classes, or it holds a list such as metadata.csv with
            ``file_name``, ``text``, ``label``; of train/ and test/ the second is held out), a .zip
            file of the same, or a .tar file, or a folder of such, in WebDataset's layout
            (``key.jpg``, ``key.cls``, ``key.txt``, ``key.json``); or ``hf:NAME``, a Hugging Face
            data set.
        labels: whether labels are asked for; without, no picture is left out for want of one.
        own_test: whether the source's own test part is held out; else it is left out.

    Raises:
        InputError: there is nothing of the kind.
    """
    path = place_of(str(path))
    try:
        found = decide(_listed(path), labels, own_test)
    except (UnnoiseError, MemoryError):
        raise
    except Exception as error:  # what nobody foresaw in files of others
        reason = within(" ".join(f"{type(error).__name__}: {error}".split()), 80)
        raise InputError(f"{path} cannot be read: {reason}.") from error
    if not found.entries and not any(each.bad for each in found.refused):
        known = ", ".join(sorted(SUFFIXES))
        raise InputError(f"{within(path, 40)} holds no pictures{_holds(path)}; looked for {known}.")
    return found


def _listed(path: str) -> Listed:
    place = Path(path)
    if path.startswith("hf:"):
        return scan_hub(path[3:])
    try:
        is_folder, is_file = place.is_dir(), place.is_file()
    except (OSError, ValueError):  # a name that is too long, say, or has a zero in it
        is_folder = is_file = False
    suffix = place.suffix.lower()
    if is_folder:
        return _of_folder(place)
    if suffix == ".zip" and is_file:
        return scan_zip(place)
    if suffix == ".tar" and is_file:
        return scan_tars([place])
    if suffix in ARCHIVES and is_file:
        raise InputError(
            f"{path}: {suffix} is not read in place; unpack it, or pack a .zip or .tar."
        )
    raise InputError(f"{path}: give a folder of pictures, or a .zip or .tar file of them.")


def _of_folder(place: Path) -> Listed:
    """Tar files of a folder; else its pictures; else the tar files of its folders."""
    listed = scan_folder(place)
    tars = tar_files(place) or ([] if listed.entries else tar_files(place, "*/*.tar"))
    if not tars:
        return listed
    beside = len(listed.entries)
    listed = scan_tars(tars, place)
    if beside:
        listed.notes.append(f"{beside:,} pictures beside the tar files are not read")
    return listed


def tar_files(folder: Path, pattern: str = "*.tar") -> list[Path]:
    """Tar files of a folder, sorted; hidden ones are passed over."""
    found = (path for path in folder.glob(pattern) if path.is_file())
    return sorted(path for path in found if not is_hidden(path.relative_to(folder).as_posix()))


def _holds(path: str) -> str:
    """What a folder without pictures holds instead, by the suffix that is most frequent."""
    place = Path(path)
    if not place.is_dir():
        return ""
    files = (file for file in place.rglob("*") if not is_hidden(file.relative_to(place).as_posix()))
    kinds = Counter(file.suffix.lower() for file in files if file.suffix)
    if not kinds:
        return ""
    ((kind, count),) = kinds.most_common(1)
    return f" but {count:,} {brief(kind)}"
