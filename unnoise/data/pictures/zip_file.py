"""Images in a zip file, read in place; nothing is unpacked, so no path can escape."""

import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from unnoise.core.errors import InputError, within
from unnoise.data.names import Refusal, shown
from unnoise.data.pictures.decode import MOST_BYTES, SUFFIXES, RefusedFile
from unnoise.data.pictures.entry import LISTS, Listing


def scan_zip(path: Path) -> tuple[Listing, list[Refusal]]:
    """List the images and metadata files of a zip file.

    Raises:
        InputError: it is no zip file.
    """
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # a directory that is damaged raises whatever it meets
        reason = within(" ".join(str(error).split()), 80)
        raise InputError(f"{path} is no zip file that can be read: {reason}.") from error
    listed: Listing = {}
    refused: list[Refusal] = []
    for info in archive.infolist():
        name = info.filename
        pure = PurePosixPath(name)
        if (
            not name
            or info.is_dir()
            or (pure.suffix.lower() not in SUFFIXES and pure.name not in LISTS)
        ):
            continue
        if pure.parts[0] == "__MACOSX":  # what macOS adds to every zip
            continue
        if info.file_size > MOST_BYTES:
            refused.append(Refusal(shown(name), f"{info.file_size:,} bytes unpacked; too large"))
        elif info.flag_bits & 1:
            refused.append(Refusal(shown(name), "locked with a password"))
        elif name in listed:
            refused.append(Refusal(shown(name), "stands twice in the zip file"))
        else:
            listed[name] = _zip_reader(archive, info)
    return listed, refused


def _zip_reader(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            with archive.open(info) as stream:
                return stream.read(MOST_BYTES + 1)
        except Exception as error:  # zlib, lzma, checksums, unknown methods: all the same here
            raise RefusedFile(f"damaged: {' '.join(str(error).split())[:120]}") from error

    return read
