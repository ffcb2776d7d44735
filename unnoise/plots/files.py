"""PNG files with metadata of how they were made."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unnoise.core.errors import InputError
from unnoise.system.files import write_atomic

if TYPE_CHECKING:
    from PIL.Image import Image

_KEY = "unnoise"


def save_image(image: "Image", path: Path, metadata: Mapping[str, Any] | None = None) -> None:
    """Write a PNG; the same picture and metadata always give the same bytes.

    Arguments:
        image: a Pillow image.
        path: of the file, which is replaced in one go.
        metadata: plain values, kept as JSON in the text chunk "unnoise"; None for none.

    Raises:
        InputError: metadata that JSON cannot hold.
        StorageError: the disk refuses.
    """
    write_atomic(path, png_bytes(image, metadata))


def png_bytes(image: "Image", metadata: Mapping[str, Any] | None = None) -> bytes:
    """Encode an image as PNG bytes; same arguments as ``save_image``."""
    from PIL.PngImagePlugin import PngInfo

    chunks = PngInfo()
    if metadata is not None:
        try:
            chunks.add_text(_KEY, json.dumps(metadata, sort_keys=True, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise InputError(
                f"a picture's metadata cannot be written as JSON ({error}); give numbers, words, "
                "lists and tables of them."
            ) from error
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=chunks, optimize=True)
    return buffer.getvalue()


def image_metadata(path: Path) -> dict[str, Any] | None:
    """Read the metadata that ``save_image`` wrote into a PNG; None where there is none.

    Raises:
        InputError: no such file, or no picture.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            text: object = image.info.get(_KEY)
    except UnidentifiedImageError as error:
        raise InputError(f"{path} is no picture.") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}.") from error
    if not isinstance(text, str):
        return None
    try:
        value: object = json.loads(text)
    except ValueError:
        return None
    return dict(value) if isinstance(value, dict) else None
