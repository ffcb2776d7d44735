"""Which kind of data lies at a path."""

from pathlib import Path
from typing import Any


def data_table(path: str) -> dict[str, Any]:
    """The [data] table for data of the user's own, by what lies there.

    Arguments:
        path: prepared data, a .npy file, a folder with an index.json or its URL, or whatever kind
            "images" reads.
    """
    place = Path(path)
    if is_file(place / "manifest.json"):
        return {"kind": "prepared", "path": path}
    if place.suffix == ".npy":
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
