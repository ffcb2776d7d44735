"""Image decoding of untrusted files: bytes become pixels, or a reason for refusal.

Pillow alone turns a 16-bit picture of mean 127 into one of mean 251, a float picture into black,
and spends gigabytes on half a megabyte of PNG; none of that raises. So the header is read first,
every mode has a rule, and what has none is refused.
"""

import functools
import io
import struct
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unnoise.core.errors import InputError

MOST_BYTES = 256 << 20
MOST_PIXELS = 80_000_000
MOST_CHUNKS = 1_000
MOST_ASPECT = 20
SUFFIXES = frozenset(
    f".{end}"
    for end in "png jpg jpeg jfif webp gif bmp tif tiff ppm pgm pbm pnm".split()  # noqa: SIM905
)
_DEEP = ("PPM", "PNG")  # forms whose 16 bits Pillow gives as whole numbers up to 65535
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")


class RefusedFile(InputError):
    """Error of a refused image file; the message is the reason, without the file's name."""


@dataclass(frozen=True)
class Look:
    """Target format of decoded images: size (centre crop and resize), channels, background.

    Arguments:
        size: side of the square that is cut from the middle and scaled; None keeps each as it is.
        channels: 3 for colour, 1 for grey.
        background: what shows through transparent pixels, 0 black ... 255 white.
    """

    size: int | None = None
    channels: int = 3
    background: int = 255


def read_picture(content: bytes, look: Look) -> NDArray[np.uint8]:
    """Decode an image file to uint8 pixels.

    Arguments:
        content: the file.
        look: what to make of it.

    Returns:
        Shape (channels, H, W).

    Raises:
        RefusedFile: it is damaged, no picture, larger than 80 million pixels, or its pixels have no
            certain meaning in 8 bits.
    """
    if not content:
        raise RefusedFile("the file is empty")
    if len(content) > MOST_BYTES:
        raise RefusedFile(f"{len(content):,} bytes; at most {MOST_BYTES:,} are read")
    _check_chunks(content)
    try:
        picture = _opened(content)
        _check_size(picture.size)
        # Of a phone's photograph the first picture is meant: others are previews or depths.
        if picture.format != "MPO" and getattr(picture, "n_frames", 1) > 1:
            raise RefusedFile(f"{picture.n_frames} frames; a picture has one")
        if picture.format == "PNG":
            picture.verify()  # checksums of all chunks, which decoding does not look at
            picture = _opened(content)
        if look.size is not None:
            # Half the work for photographs: JPEG can be decoded at an eighth, a quarter, a half.
            picture.draft(None, (2 * look.size, 2 * look.size))
        picture.load()
        upright = _upright(picture)
        upright.format = picture.format  # which a copy forgets
        return _scaled(_eight_bits(upright, look), look)
    except RefusedFile:
        raise
    except MemoryError:
        raise
    except Exception as error:  # decoders raise whatever they like
        reason = " ".join(str(error).split()) or type(error).__name__
        if "cannot identify" in reason:
            raise RefusedFile("no picture that can be read") from error
        if "bomb" in type(error).__name__.lower():
            raise RefusedFile(f"more than {MOST_PIXELS:,} pixels") from error
        raise RefusedFile(f"damaged: {reason[:120]}") from error


def pixels_of(picture: Any, channels: int, what: str) -> NDArray[np.uint8]:
    """Pixels of a Pillow image by the rules of files: 16 bits, transparency, palettes.

    Arguments:
        picture: a Pillow image.
        channels: 3 for colour, 1 for grey.
        what: it is called in the refusal.

    Raises:
        InputError: its pixels have no certain meaning in 8 bits.
    """
    look = Look(channels=channels)
    try:
        return _scaled(_eight_bits(picture, look), look)
    except RefusedFile as error:
        raise InputError(f"{what}: {error}.") from error


@functools.cache
def _pillow() -> Any:
    from PIL import Image

    # Sizes are checked here. Once, because filters are the process's, and threads share them.
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    return Image


def _opened(content: bytes) -> Any:
    return _pillow().open(io.BytesIO(content), formats=_FORMATS)


def _check_chunks(content: bytes) -> None:
    """A PNG's header may hide behind 100,000 comments; its size stands in front of them."""
    if content[:8] != b"\x89PNG\r\n\x1a\n" or len(content) < 33:
        return
    _check_size(struct.unpack(">II", content[16:24]))
    place = 8
    for _ in range(MOST_CHUNKS):
        if place + 8 > len(content) or content[place + 4 : place + 8] == b"IDAT":
            return
        (length,) = struct.unpack(">I", content[place : place + 4])
        place += 12 + length
    raise RefusedFile(f"more than {MOST_CHUNKS:,} chunks before its pixels")


def _check_size(size: tuple[int, int]) -> None:
    width, height = size
    if width * height > MOST_PIXELS:
        raise RefusedFile(f"{width} x {height}; at most {MOST_PIXELS:,} pixels are read")
    if width < 1 or height < 1 or max(size) > MOST_ASPECT * min(size):
        raise RefusedFile(f"{width} x {height} is no picture but a line")


def _upright(picture: Any) -> Any:
    from PIL import ImageOps

    return ImageOps.exif_transpose(picture)


def _eight_bits(picture: Any, look: Look) -> Any:
    """The picture in mode L or RGB; every mode that Pillow knows has its rule here."""
    from PIL import Image

    wanted = "RGB" if look.channels == 3 else "L"
    mode = picture.mode
    if mode.startswith("I;16") or (mode == "I" and picture.format in _DEEP):
        picture = _shallow(picture, look)
    elif mode in ("I", "F"):
        kind = "32-bit whole" if mode == "I" else "floating point"
        raise RefusedFile(f"{kind} numbers, whose white is unknown; save it with 8 or 16 bits")
    elif mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        clear = picture.info.get("transparency")
        if isinstance(clear, tuple) and max(clear) > 255:  # of 16 bits, as its pixels were
            picture.info["transparency"] = tuple(value >> 8 for value in clear)
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, (look.background,) * 3 + (255,))
        picture = Image.alpha_composite(paper, picture).convert("RGB")
    elif mode not in ("L", "RGB", "1", "P", "CMYK", "YCbCr"):
        raise RefusedFile(f"colours of mode {mode}, which have no rule")
    if picture.mode == wanted:
        return picture
    # Through RGB, because a palette or CMYK has no grey of its own.
    return picture.convert("RGB").convert(wanted)


def _shallow(picture: Any, look: Look) -> Any:
    """Grey of 16 bits in 8; the grey that counts as transparent shows the background."""
    from PIL import Image

    # 65535 is white: 257 times 255.
    deep = np.asarray(picture).astype(np.int64)
    grey = (deep.clip(0, 65_535) + 128) // 257
    clear = picture.info.get("transparency")
    if isinstance(clear, int):
        grey[deep == clear] = look.background
    return Image.fromarray(grey.astype(np.uint8), "L")


def _scaled(picture: Any, look: Look) -> NDArray[np.uint8]:
    from PIL import Image, ImageOps

    size = look.size
    if size is not None and picture.size != (size, size):
        picture = ImageOps.fit(picture, (size, size), Image.Resampling.LANCZOS)
    pixels = np.array(picture, dtype=np.uint8)
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
