"""Which files of a source are pictures, lists, or neither; hidden and system files are nothing."""

import re
from pathlib import PurePosixPath
from typing import Literal

from unnoise.data.pictures.decode import SUFFIXES

Role = Literal["picture", "list", "unread", "none"]

LISTS = (".csv", ".jsonl", ".tsv")  # in the order in which one of several is taken
_ARCHIVES = "tar zip 7z rar gz tgz bz2 tbz2 xz zst"
_UNREAD = """
    heic heif hif avif jxl svg svgz psd psb xcf ai eps pdf raw dng cr2 cr3 crw nef nrw arw srf sr2
    orf rw2 raf pef srw x3f 3fr tga exr hdr jp2 j2k jpx jpf pcx ico cur icns dds pfm dcm nii fits
    npy npz mat
"""
_SYSTEM = """
    __macosx thumbs.db ehthumbs.db desktop.ini @eadir #recycle #snapshot lost+found $recycle.bin
    recycler __pycache__
"""
ARCHIVES = frozenset(f".{end}" for end in _ARCHIVES.split())
_UNREAD_SUFFIXES = frozenset(f".{end}" for end in _UNREAD.split())
_SYSTEM_NAMES = frozenset({*_SYSTEM.split(), "system volume information", "icon\r"})


def is_hidden(path: str) -> bool:
    """Whether a path inside a source is a hidden file, a system's own, or lies in such a folder."""
    return any(
        part.casefold() in _SYSTEM_NAMES or (part.startswith(".") and part not in (".", ".."))
        for part in path.split("/")
    )


def role_of(path: str) -> Role:
    """What a file of a source is by its name.

    Arguments:
        path: inside the source, with "/".

    Returns:
        "picture", "list", "unread" for a picture in a format that no reader here knows, or "none".
    """
    if not path or is_hidden(path):
        return "none"
    suffix = PurePosixPath(path).suffix.lower()
    if suffix in SUFFIXES:
        return "picture"
    if suffix in LISTS:
        return "list"
    return "unread" if suffix in _UNREAD_SUFFIXES else "none"


def inside(path: str) -> str | None:
    """Path inside an archive in its plain form, without "." and with "/"; None if it leads out."""
    parts = [part for part in re.split(r"[/\\]", path) if part not in ("", ".")]
    return None if ".." in parts else "/".join(parts)
