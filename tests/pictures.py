"""Small data of every kind on disk, made once a process."""

import atexit
import functools
import io
import json
import shutil
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from unnoise.core.noise import Noise
from unnoise.data import Look, prepare

CLASSES = ("cat", "dog", "owl")


@functools.cache
def place() -> Path:
    """A folder that goes when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="unnoise-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def pixels(number: int, size: int = 6, channels: int = 3) -> np.ndarray:
    """A picture that no other number has, shape (size, size, channels), uint8."""
    u = Noise(number, [0]).uniform(torch.empty(1, size, size, channels))
    return (u[0] * 256).to(torch.uint8).numpy()


def png(array: np.ndarray, **more) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array.squeeze()).save(stream, "PNG", **more)
    return stream.getvalue()


def fill(folder: Path, count: int = 24, size: int = 6) -> Path:
    """Pictures in class folders."""
    for number in range(count):
        file = folder / CLASSES[number % 3] / f"{number:04d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(pixels(number, size)))
    return folder


@functools.cache
def a_folder() -> Path:
    return fill(place() / "folder")


@functools.cache
def a_zip() -> Path:
    path = place() / "pictures.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(a_folder().rglob("*.png")):
            archive.write(file, file.relative_to(a_folder()).as_posix())
    return path


@functools.cache
def a_preparation() -> Path:
    path = place() / "prepared"
    prepare(a_folder(), path, Look(), held_out=0.3)
    return path


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


@functools.cache
def some_shards(count: int = 4, each: int = 9) -> Path:
    """Tar files in WebDataset's layout, captions in one kind of file, classes in another."""
    folder = place() / f"shards-{count}-{each}"
    folder.mkdir()
    for shard in range(count):
        with tarfile.open(folder / f"part-{shard:04d}.tar", "w") as archive:
            for row in range(each):
                number = shard * each + row
                add(archive, f"{number:05d}.png", png(pixels(number)))
                if number % 2:
                    add(archive, f"{number:05d}.cls", str(number % 3).encode())
                else:
                    table = {"label": number % 3, "caption": f"picture {number}"}
                    add(archive, f"{number:05d}.json", json.dumps(table).encode())
    return folder


@functools.cache
def an_array() -> tuple[Path, Path]:
    values, labels = place() / "values.npy", place() / "labels.npy"
    np.save(values, np.stack([pixels(i).transpose(2, 0, 1) for i in range(30)]))
    np.save(labels, np.arange(30) % 3)
    return values, labels
