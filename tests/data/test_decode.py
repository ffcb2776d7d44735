"""The gate: every hostile file is either read right or refused with a reason (F1, F2)."""

import io
import struct
import time
import tracemalloc
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from tests.pictures import pixels, png
from unnoise.core.noise import Noise
from unnoise.data import Look, RefusedFile, read_picture

COLOUR, GREY = Look(), Look(channels=1)
RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)
PHOTO = np.stack([RAMP, RAMP[::-1], RAMP.T], -1)


def saved(picture: Image.Image, kind: str, **more) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **more)
    return stream.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    code = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", code)


def deep_png(array: np.ndarray) -> bytes:
    """A grey PNG of 16 bits, written by hand: Pillow is what is under test."""
    height, width = array.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    header = struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def clear_png(array: np.ndarray, clear: int) -> bytes:
    """The same with one grey that counts as transparent."""
    whole = deep_png(array)
    place = whole.index(b"IDAT") - 4
    return whole[:place] + chunk(b"tRNS", struct.pack(">H", clear)) + whole[place:]


def pgm(array: np.ndarray, most: int, kind: bytes = b"P5") -> bytes:
    """Grey (P5) or colour (P6) of 16 bits, written by hand."""
    head = b"%s %d %d %d\n" % (kind, array.shape[1], array.shape[0], most)
    return head + array.astype(">u2").tobytes()


def claimed(width: int, height: int) -> bytes:
    """A PNG whose header promises more pixels than it has."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99))


def commented(count: int) -> bytes:
    whole = png(PHOTO)
    place = whole.index(b"IDAT") - 4
    notes = b"".join(chunk(b"tEXt", b"k%d\0v" % i) for i in range(count))
    return whole[:place] + notes + whole[place:]


def palette(alpha: bool) -> bytes:
    picture = Image.fromarray(RAMP % 4, "L").convert("P")
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 9, 8, 7])
    return saved(picture, "PNG", **({"transparency": 3} if alpha else {}))


def colours(alpha: bool) -> np.ndarray:
    table = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [255] * 3 if alpha else [9, 8, 7]])
    return table[RAMP % 4]


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(Image.fromarray(PHOTO[:8]), "PNG", exif=exif)


def with_a_preview() -> bytes:
    """A phone's JPEG (MPO): the photograph, and a small picture behind it."""
    photo = Image.new("RGB", (32, 32), (120, 120, 120))
    return saved(photo, "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))])


UPRIGHT = {
    1: PHOTO[:8],
    2: PHOTO[:8, ::-1],
    3: PHOTO[:8][::-1, ::-1],
    4: PHOTO[:8][::-1],
    5: PHOTO[:8].transpose(1, 0, 2),
    6: PHOTO[:8].transpose(1, 0, 2)[:, ::-1],
    7: PHOTO[:8].transpose(1, 0, 2)[::-1, ::-1],
    8: PHOTO[:8].transpose(1, 0, 2)[::-1],
}
RGBA = np.concatenate([PHOTO, RAMP.T[..., None]], -1)
OVER_WHITE = RGBA[..., :3] * (RGBA[..., 3:] / 255) + 255 * (1 - RGBA[..., 3:] / 255)
HIDDEN = np.concatenate([PHOTO, np.zeros((16, 16, 1), np.uint8)], -1)
CMYK = np.stack([RAMP, RAMP[::-1], RAMP.T, RAMP // 2], -1)

# What is right: name, file, look, the pixels that are meant, (H, W, C).
RIGHT: dict[str, tuple[bytes, Look, np.ndarray]] = {
    "png": (png(PHOTO), COLOUR, PHOTO),
    "wrong-suffix-does-not-matter": (saved(Image.fromarray(PHOTO), "BMP"), COLOUR, PHOTO),
    "gif": (saved(Image.fromarray(RAMP), "GIF"), GREY, RAMP[..., None]),
    "webp": (saved(Image.fromarray(PHOTO), "WEBP", lossless=True), COLOUR, PHOTO),
    "tiff": (saved(Image.fromarray(PHOTO), "TIFF"), COLOUR, PHOTO),
    "ppm": (saved(Image.fromarray(PHOTO), "PPM"), COLOUR, PHOTO),
    "grey-as-colour": (png(RAMP), COLOUR, np.stack([RAMP] * 3, -1)),
    "16-bit": (deep_png(RAMP.astype(np.uint16) * 257), GREY, RAMP[..., None]),
    "16-bit-127": (deep_png(np.full((4, 4), 127 * 257)), GREY, np.full((4, 4, 1), 127)),
    "1-bit": (saved(Image.fromarray(RAMP > 99), "PNG"), GREY, 255 * (RAMP > 99)[..., None]),
    "palette": (palette(False), COLOUR, colours(False)),
    "palette-alpha": (palette(True), COLOUR, colours(True)),
    "alpha": (png(RGBA), COLOUR, OVER_WHITE),
    "alpha-on-black": (png(RGBA), Look(background=0), OVER_WHITE - 255 + RGBA[..., 3:]),
    "alpha-0": (png(HIDDEN), COLOUR, np.full((16, 16, 3), 255)),
    "grey-alpha": (
        saved(Image.fromarray(RGBA[..., 2:], "LA"), "PNG"),
        GREY,
        OVER_WHITE[..., 2:],
    ),
    "cmyk-tiff": (
        saved(Image.fromarray(CMYK, "CMYK"), "TIFF"),
        COLOUR,
        (255 - CMYK[..., :3].astype(float)) * (255 - CMYK[..., 3:].astype(float)) / 255,
    ),
    **{f"exif-{i}": (turned(i), COLOUR, UPRIGHT[i]) for i in UPRIGHT},
    "hundred-comments": (commented(100), COLOUR, PHOTO),
    "pgm-16-bit": (pgm(RAMP * np.uint16(257), 65535), GREY, RAMP[..., None]),
    "pgm-10-bit": (pgm(RAMP * np.uint16(4), 1020), GREY, RAMP[..., None]),
    "ppm-16-bit": (pgm(PHOTO * np.uint16(257), 65535, b"P6"), COLOUR, PHOTO),
    "16-bit-clear": (
        clear_png(RAMP.astype(np.uint16) * 257, 99 * 257),
        GREY,
        np.where(RAMP == 99, 255, RAMP)[..., None],
    ),
    "16-bit-clear-on-black": (
        clear_png(RAMP.astype(np.uint16) * 257, 99 * 257),
        Look(channels=1, background=0),
        np.where(RAMP == 99, 0, RAMP)[..., None],
    ),
    "photograph-with-a-preview": (with_a_preview(), COLOUR, np.full((32, 32, 3), 120)),
}


def flipped_bit(content: bytes, place: int) -> bytes:
    damaged = bytearray(content)
    damaged[place] ^= 4
    return bytes(damaged)


def animated(kind: str) -> bytes:
    frames = [Image.fromarray(pixels(i)) for i in range(3)]
    return saved(frames[0], kind, save_all=True, append_images=frames[1:])


BMP_BOMB = b"BM" + struct.pack(
    "<IIIIiiHHIIiiII", 54, 0, 54, 40, 60000, 60000, 1, 24, 0, 0, 2835, 2835, 0, 0
)
JPEG = saved(Image.fromarray(pixels(0, 64)), "JPEG")
# What is refused: name, file, a word of the reason.
WRONG: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty"),
    "text": (b"hello, I am a caption\n", "no picture"),
    "html": (b"<!doctype html><html><body>404</body></html>", "no picture"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"></svg>', "no picture"),
    "pdf": (b"%PDF-1.4\n%", "no picture"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no picture"),
    "pickle": (b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00\x8c\x01a.", "no picture"),
    "cut-jpeg": (JPEG[: len(JPEG) // 2], "truncated"),
    "cut-png": (png(PHOTO)[:-40], "damaged"),
    "cut-webp": (saved(Image.fromarray(pixels(1, 64)), "WEBP")[:-200], "damaged"),
    "cut-gif": (saved(Image.fromarray(pixels(2, 64)), "GIF")[:1200], "damaged"),
    "cut-bmp": (saved(Image.fromarray(PHOTO), "BMP")[:-99], "damaged"),
    "header-only": (JPEG[:30], "damaged"),
    "float": (saved(Image.fromarray(RAMP.astype(np.float32)), "TIFF"), "floating"),
    "32-bit": (saved(Image.fromarray(RAMP.astype(np.int32)), "TIFF"), "32-bit"),
    "lab": (saved(Image.fromarray(PHOTO, "LAB"), "TIFF"), "mode LAB"),
    "animated-gif": (animated("GIF"), "frames"),
    "animated-webp": (animated("WEBP"), "frames"),
    "animated-png": (animated("PNG"), "frames"),
    "0-wide": (claimed(0, 7), "line"),
    "1x20000": (png(np.zeros((20000, 1), np.uint8)), "line"),
    "13000x13000": (claimed(13000, 13000), "pixels"),
    "60000x60000": (claimed(60000, 60000), "pixels"),
    "bomb-bmp": (BMP_BOMB, "pixels"),
    "100,000-chunks": (commented(100_000), "chunks"),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right(name: str):
    """Within one level of what is meant (rounding in the mixing of colours)."""
    content, look, meant = RIGHT[name]
    found = read_picture(content, look).transpose(1, 2, 0).astype(float)
    assert found.shape == meant.shape
    assert np.abs(found - meant).max() <= 1


@pytest.mark.parametrize("name", WRONG)
def test_wrong(name: str):
    content, word = WRONG[name]
    with pytest.raises(RefusedFile, match=word) as caught:
        read_picture(content, COLOUR)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


def test_corpus_is_large():
    assert len(RIGHT) + len(WRONG) >= 40


def naive(content: bytes) -> np.ndarray:
    """What everybody writes."""
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(float)


def test_canary_naive_reading_is_silently_wrong():
    wrong = [
        name
        for name, (content, look, meant) in RIGHT.items()
        if look.channels == 3
        and (naive(content).shape != meant.shape or np.abs(naive(content) - meant).max() > 1)
    ]
    assert {"alpha", "alpha-0", "exif-6"} <= set(wrong)
    silent = []
    for name, (content, _) in WRONG.items():
        try:
            naive(content)
            silent.append(name)
        except Exception:
            continue
    assert {"float", "animated-gif", "1x20000"} <= set(silent)


def test_bombs_cost_nothing():
    """Refused from the header: a fiftieth of a second, some megabytes (F2; the time is a guard)."""
    for name in ("13000x13000", "60000x60000", "bomb-bmp", "100,000-chunks"):
        tracemalloc.start()
        began = time.perf_counter()
        with pytest.raises(RefusedFile):
            read_picture(WRONG[name][0], COLOUR)
        assert time.perf_counter() - began < 0.5, name
        assert tracemalloc.get_traced_memory()[1] < 50e6, name
        tracemalloc.stop()


def test_flipped_bits_of_png():
    """Every flipped bit is refused, or harmless: PNG has checksums, and they are looked at."""
    whole = png(PHOTO)
    u = Noise(0, range(400)).uniform(torch.empty(400, 1))[:, 0]
    refused = 0
    for place in (u * len(whole)).long().tolist():
        try:
            found = read_picture(flipped_bit(whole, place), COLOUR)
        except RefusedFile:
            refused += 1
            continue
        assert np.array_equal(found.transpose(1, 2, 0), PHOTO), place
    assert refused > 350  # (the rest lies in the last chunk, which says nothing)


@pytest.mark.parametrize("size", [(64, 64), (48, 64), (64, 48), (7, 5)])
def test_square_from_the_middle(size: tuple[int, int]):
    """A ramp keeps its middle, and its slope is scaled with it."""
    width, height = size
    ramp = np.broadcast_to(np.arange(width, dtype=np.uint8) * 2, (height, width))
    side = min(size)
    found = read_picture(png(np.ascontiguousarray(ramp)), Look(4, 1))[0, 2].astype(float)
    first = (width - side) / 2 + side / 8 - 0.5
    meant = 2 * (first + side / 4 * np.arange(4))
    assert np.abs(found[1:3] - meant[1:3]).max() <= 1.5


def test_no_scaling_no_change():
    picture = pixels(3, 8)
    assert np.array_equal(read_picture(png(picture), Look(8)), picture.transpose(2, 0, 1))


def test_photographs_are_decoded_small():
    """The shortcut through JPEG's own scaling stays near the long way."""
    smooth = np.asarray(Image.fromarray(pixels(5, 8)).resize((512, 512), Image.Resampling.BICUBIC))
    jpeg = saved(Image.fromarray(smooth), "JPEG", quality=95)
    short = read_picture(jpeg, Look(16)).astype(float)
    long = Image.open(io.BytesIO(jpeg)).resize((16, 16), Image.Resampling.LANCZOS)
    assert np.abs(short - np.asarray(long).transpose(2, 0, 1)).mean() < 2
