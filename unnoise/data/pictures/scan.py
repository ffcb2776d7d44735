"""List the images of a source: a folder, a zip file, tar files, a Hugging Face data set."""

from pathlib import Path

from unnoise.core.errors import InputError
from unnoise.data.names import normal
from unnoise.data.pictures.decode import SUFFIXES
from unnoise.data.pictures.entry import Found
from unnoise.data.pictures.folder import scan_folder
from unnoise.data.pictures.hub import scan_hub
from unnoise.data.pictures.labels import labelled
from unnoise.data.pictures.tar_file import scan_tars
from unnoise.data.pictures.zip_file import scan_zip


def scan(path: str | Path) -> Found:
    """List the images of a source without reading them.

    Arguments:
        path: a folder (its folders are classes, or it holds a metadata.jsonl or metadata.csv with
            ``file_name``, ``text``, ``label``), a .zip file of the same, or a .tar file, or a
            folder of such, in WebDataset's layout (``key.jpg``, ``key.cls``, ``key.txt``,
            ``key.json``); or ``hf:NAME``, a Hugging Face data set.

    Raises:
        InputError: there is nothing of the kind.
    """
    place = Path(path)
    if str(path).startswith("hf:"):
        found = scan_hub(str(path)[3:])
    elif place.is_dir():
        tars = sorted(place.glob("*.tar"))
        found = scan_tars(tars) if tars else labelled(*scan_folder(place))
    elif place.suffix.lower() == ".zip" and place.is_file():
        found = labelled(*scan_zip(place))
    elif place.suffix.lower() == ".tar" and place.is_file():
        found = scan_tars([place])
    else:
        raise InputError(f"{path}: give a folder of pictures, or a .zip or .tar file of them.")
    if not found.entries and not found.refused:
        known = ", ".join(sorted(SUFFIXES))
        raise InputError(f"{path} holds no pictures; looked for {known}.")
    found.entries.sort(key=lambda entry: (normal(entry.name), entry.name))
    return found
