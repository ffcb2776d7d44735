"""Which kind of data lies at a path."""

from pathlib import Path
from typing import Any

from unnoise.data.names import place_of


def data_table(path: str) -> dict[str, Any]:
    """The [data] table for data of the user's own, by what lies there.

    Arguments:
        path: prepared data, a .npy or .npz file, a folder with an index.json or its URL, or
            whatever kind "images" reads.

    Raises:
        InputError: the path is empty.
    """
    place = Path(place_of(path))
    if is_file(place / "manifest.json"):
        return {"kind": "prepared", "path": path}
    if place.suffix.lower() in (".npy", ".npz"):
        return {"kind": "npy", "path": path}
    if path.startswith(("http://", "https://")) or is_file(place / "index.json"):
        return {"kind": "webdataset", "path": path}
    return {"kind": "images", "path": path}


def is_file(path: Path) -> bool:
    """Whether a file lies there; what the system cannot look up is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
