"""Images in a zip file, read in place; nothing is unpacked, so no path can escape."""

import zipfile
from collections.abc import Callable
from pathlib import Path

from unnoise.core.errors import InputError, within
from unnoise.data.codepages import guessed
from unnoise.data.names import Refusal, shown
from unnoise.data.pictures.decode import MOST_BYTES, RefusedFile
from unnoise.data.pictures.entry import Entry, Listed
from unnoise.data.pictures.which_files import inside, role_of

_UTF_8, _LOCKED = 0x800, 1  # flags of a file
_DOS = "cp437"  # what names without the flag are written in by the format's book


def scan_zip(path: Path) -> Listed:
    """List the images and lists of a zip file.

    Names without the mark of UTF-8 are read by a code page that makes words of them all; a
    backslash divides folders.

    Raises:
        InputError: it is no zip file.
    """
    try:
        archive = zipfile.ZipFile(path)
        infos = archive.infolist()
        raw = [_raw(info) for info in infos]
    except Exception as error:  # a directory that is damaged raises whatever it meets
        reason = within(" ".join(str(error).split()), 80)
        raise InputError(f"{path} is no zip file that can be read: {reason}.") from error
    listed = Listed()
    page = guessed([each for each in raw if each is not None]) or _DOS
    if page not in ("ascii", "utf-8"):
        listed.notes.append(f"names are read as {page}")
    taken: set[str] = set()
    for info, name in zip(infos, raw, strict=True):
        called = info.filename if name is None else name.decode(page, "backslashreplace")
        _take(archive, info, called, taken, listed)
    return listed


def _raw(info: zipfile.ZipInfo) -> bytes | None:
    """A name as it stands in the file; None where its flag says that it is UTF-8."""
    if info.flag_bits & _UTF_8:
        return None
    try:
        return info.filename.encode(_DOS)  # which Python read it by
    except UnicodeEncodeError:
        return None


def _take(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, taken: set[str], listed: Listed
) -> None:
    """List one file, or say why it is left out."""
    plain = name.replace("\\", "/")
    path = inside(name)
    role = role_of(plain if path is None else path)
    if plain.endswith("/") or role == "none":
        return
    if path is None:
        listed.refused.append(Refusal(shown(name), "its name leads out of the zip file"))
    elif role == "unread":
        listed.unread.append(name)
    elif info.file_size > MOST_BYTES:
        reason = f"{info.file_size:,} bytes unpacked; too large"
        listed.refused.append(Refusal(shown(name), reason))
    elif info.flag_bits & _LOCKED:
        listed.refused.append(Refusal(shown(name), "locked with a password"))
    elif path in taken:
        listed.refused.append(Refusal(shown(name), "stands twice in the zip file"))
    elif role == "list":
        taken.add(path)
        listed.lists[path] = _zip_reader(archive, info)
    else:
        taken.add(path)
        listed.entries.append(Entry(path, _zip_reader(archive, info)))


def _zip_reader(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            with archive.open(info) as stream:
                return stream.read(MOST_BYTES + 1)
        except Exception as error:  # zlib, lzma, checksums, unknown methods: all the same here
            raise RefusedFile(f"damaged: {' '.join(str(error).split())[:120]}") from error

    return read
