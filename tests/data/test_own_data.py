"""The user's own data, by every way in: the same pixels, labels and order come out."""

import functools
import hashlib
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests import pictures
from tests.kinds import breaks
from tests.pictures import a_folder, a_preparation, a_zip, add, an_array, fill, pixels, png
from unnoise.core.errors import DamagedFileError, InputError, Interrupted, StorageError
from unnoise.core.noise import Noise
from unnoise.data import (
    Flipped,
    Look,
    ShardedPictures,
    digits,
    images,
    npy,
    prepare,
    prepared,
    webdataset,
    write_index,
)
from unnoise.data.pictures.indices import read_index
from unnoise.testing import DatasetContract


def same(first, second) -> bool:
    a, b = first[:], second[:]
    return torch.equal(a.x, b.x) and torch.equal(a.label, b.label)


def test_folder_zip_and_preparation_are_one(tmp_path: Path):
    """The same pictures, split alike, with the same hash."""
    for split in ("train", "test"):
        folder = images(str(a_folder()), split=split, held_out=0.3)
        assert same(folder, images(str(a_zip()), split=split, held_out=0.3))
        ready = prepared(str(a_preparation()), split=split)
        assert same(folder, ready) and folder.info.sha256 == ready.info.sha256
        assert folder.info.class_names == ready.info.class_names == pictures.CLASSES
        torch.testing.assert_close(folder.info.mean, ready.info.mean)


def test_pixels_are_the_files(tmp_path: Path):
    data = images(str(fill(tmp_path)), held_out=0.0)
    rows = [i for label in range(3) for i in range(label, 24, 3)]
    meant = np.stack([pixels(i).transpose(2, 0, 1) for i in rows])
    assert np.array_equal(data.info.to_stored(data[:].x).numpy(), meant)
    assert data[:].label.tolist() == [i % 3 for i in rows]


def test_split_stays_when_files_are_added(tmp_path: Path):
    fill(tmp_path, 60)
    before = {row.numpy().tobytes() for row in images(str(tmp_path), split="test")[:].x}
    fill(tmp_path, 120)
    after = {row.numpy().tobytes() for row in images(str(tmp_path), split="test")[:].x}
    assert before < after


def test_several_processes_give_the_same(tmp_path: Path):
    """A process more or less changes no bit of what is stored (C4)."""
    source = fill(tmp_path / "many", 400)
    (source / "cat" / "bad.png").write_bytes(b"no picture")
    made = [prepare(source, tmp_path / str(n), Look(4), workers=n) for n in (1, 2)]
    assert made[0].counts == made[1].counts and made[0].refused == made[1].refused
    assert [r.name for r in made[0].refused] == ["cat/bad.png"]
    for file in sorted((tmp_path / "1").iterdir()):
        other = tmp_path / "2" / file.name
        if file.suffix == ".npy":
            assert file.read_bytes() == other.read_bytes()
    assert prepared(str(tmp_path / "1"))[:].x.shape[1:] == (3, 4, 4)


def test_prepared_data_that_changed_are_refused(tmp_path: Path):
    """One byte of any file (F7)."""
    prepare(a_folder(), tmp_path / "ready", Look(), held_out=0.3)
    for file in sorted((tmp_path / "ready").iterdir()):
        if file.name == "refused.jsonl" or file.name.startswith("test"):
            continue
        whole = file.read_bytes()
        file.write_bytes(whole[:-2] + bytes([whole[-2] ^ 1]) + whole[-1:])
        with pytest.raises(DamagedFileError, match=file.name):
            prepared(str(tmp_path / "ready"))
        file.write_bytes(whole)
    prepared(str(tmp_path / "ready"))


def test_preparation_is_whole_or_not_there(tmp_path: Path):
    source = fill(tmp_path / "source", 30)
    (source / "cat" / "0000.png").write_bytes(b"")
    (source / "cat" / "0003.png").write_bytes(b"")
    with pytest.raises(InputError, match="are left out"):
        prepare(source, tmp_path / "out", Look(), bad=0.01)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]
    prepare(source, tmp_path / "out", Look(), bad=0.1)
    with pytest.raises(InputError, match="exists already"):
        prepare(source, tmp_path / "out", Look())


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(StorageError, match=r"out: No space left on device"):
        prepare(a_folder(), tmp_path / "out", Look())
    assert not list(tmp_path.iterdir())


def test_killed_preparation(tmp_path: Path):
    """What a killed one left goes with the next start; a running one's is not touched."""
    (tmp_path / ".out.partial-1").mkdir()  # process 1 lives
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (tmp_path / f".out.partial-{gone.pid}").mkdir()
    prepare(a_folder(), tmp_path / "out", Look())
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.partial-1", "out"]


def test_interrupted_while_the_last_are_awaited(tmp_path: Path):
    """All pictures are given out already; a Ctrl-C then is not forgotten."""

    def tell(done: int, total: int) -> None:
        if done == 1:
            os.kill(os.getpid(), signal.SIGINT)

    source = str(fill(tmp_path / "pictures", 4 * 64))
    with pytest.raises(Interrupted, match="interrupted"):
        prepare(source, tmp_path / "out", Look(), held_out=0.0, workers=2, tell=tell)
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


def test_interrupted_preparation(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        content = png(np.zeros((600, 600, 3), np.uint8))
        for number in range(
            8_000
        ):  # a quarter of a minute of work, in parts of a third of a second
            archive.writestr(f"{number}.png", content)
    source, out = tmp_path / "many.zip", tmp_path / "out"
    command = [sys.executable, "-m", "unnoise", "prepare", source, out, "--workers", "2"]
    command += ["--size", "6"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while process.poll() is None and not list(tmp_path.glob(".out.partial-*")):
        time.sleep(0.01)
    time.sleep(1)  # a worker that is being born at that very moment has a word of its own
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "unnoise: interrupted.\n" in said
    assert [path.name for path in tmp_path.iterdir()] == ["many.zip"]


def test_npy():
    values, labels = an_array()
    data = npy(str(values), str(labels))
    assert len(data) == 27 and len(npy(str(values), str(labels), split="test")) == 3
    assert torch.equal(
        data.info.to_stored(data[:].x), torch.from_numpy(np.load(values)[:27]).long()
    )
    assert data[:].label.tolist() == [i % 3 for i in range(27)]


@pytest.mark.parametrize(
    ("array", "word"),
    [
        (np.zeros((4, 8, 8, 3), np.uint8), "channels last"),
        (np.zeros((4, 3), np.int32), "int32"),
        (np.zeros(4, np.uint8), "shape"),
        (np.full((4, 3), np.nan), "NaN"),
        (np.array([[{}]], dtype=object), "Python objects"),
    ],
)
def test_npy_refused(tmp_path: Path, array: np.ndarray, word: str):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=word):
        npy(str(tmp_path / "a.npy"))


def test_float_arrays_are_standardised(tmp_path: Path):
    values = pixels(0, 8)[..., 0].astype(np.float32)
    np.save(tmp_path / "a.npy", values)
    data = npy(str(tmp_path / "a.npy"), held_out=0.0)
    wanted = (values - values.mean(0, dtype=float)) / values.std(0, dtype=float)
    assert data.info.levels is None and np.allclose(data[:].x.numpy(), wanted, atol=1e-5)
    assert np.allclose(data.info.to_stored(data[:].x).numpy(), values, atol=1e-3)


# -- mirrored -----------------------------------------------------------------------------------


class TestFlipped(DatasetContract):
    """Mirrored digits; with noise an example may be mirrored, so that law does not hold here."""

    def make(self):
        return Flipped(digits())

    def test_noise_stays_within_a_level(self) -> None:
        data = self.make()
        index, noise = torch.arange(200), Noise(0, range(200))
        plain, shown = data.batch(index).x, data.batch(index, noise).x
        near = (plain - shown).flatten(1).abs().amax(1) < 0.06
        mirrored = (plain.flip(-1) - shown).flatten(1).abs().amax(1) < 0.06
        assert bool((near | mirrored).all()) and 60 < int(near.sum()) < 140

    def test_moments(self) -> None:
        """Of both halves together."""
        data, info = digits(), self.make().info
        both = torch.cat([data[:].x, data[:].x.flip(-1)]).double().flatten(1)
        within = info.scale**2 / 12 * torch.eye(64)
        torch.testing.assert_close(both.mean(0).float(), info.mean.flatten(), atol=1e-6, rtol=0)
        covariance = (torch.cov(both.T, correction=0) + within).float()
        torch.testing.assert_close(covariance, info.covariance, atol=1e-6, rtol=1e-4)
        variance = float(both.var(0, correction=0).mean()) + info.scale**2 / 12
        assert abs(info.variance - variance) < 1e-6


def test_canary_flips_without_their_moments():
    class Wrong(Flipped.__mro__[1]):
        def __init__(self) -> None:
            self.data = digits()
            self.info = self.data.info

        __len__, batch = Flipped.__len__, Flipped.batch

    breaks(TestFlipped, "test_moments", Wrong)


# -- shards -------------------------------------------------------------------------------------


def test_shards_give_every_example_once_an_epoch():
    data = webdataset(str(pictures.some_shards()), 6)
    stored = data.info.to_stored(data[:].x).numpy()
    assert all(np.array_equal(stored[i], pixels(i).transpose(2, 0, 1)) for i in range(36))
    assert data[:].label.tolist() == [i % 3 for i in range(36)]
    for epoch in range(3):
        order = data.order(Noise(0, [0]).child(epoch))
        assert sorted(order.tolist()) == list(range(36))


def test_order_keeps_few_shards_near():
    """Of so many at a time, and mixed within them."""
    index = read_index(str(pictures.some_shards(8, 5)))
    data = ShardedPictures(index, Look(6), together=2)
    order = data.order(Noise(0, [0])).reshape(4, 10)
    for group in order:
        assert len(set((group // 5).tolist())) == 2
        assert group.tolist() != sorted(group.tolist())
    for number in order.flatten().tolist():
        data.batch(torch.tensor([number]))
        assert len(data._open) <= 5


def test_shards_that_lie(tmp_path: Path):
    folder = tmp_path / "shards"
    shutil.copytree(pictures.some_shards(), folder)
    write_index(folder)
    document = json.loads((folder / "index.json").read_text())
    assert document["classes"] == ["0", "1", "2"]
    document["shardlist"][0]["nsamples"] = 7
    (folder / "index.json").write_text(json.dumps(document))
    with pytest.raises(DamagedFileError, match="its index says 7"):
        webdataset(str(folder), 6)
    for name in ("../part-0000.tar", "/etc/passwd", "http://other/part.tar", "a\\..\\b", "a/../b"):
        document["shardlist"][0]["url"] = name
        (folder / "index.json").write_text(json.dumps(document))
        with pytest.raises(InputError, match="beside the index"):
            webdataset(str(folder), 6)


def test_damaged_picture_in_a_shard(tmp_path: Path):
    """The one before it takes its place, and it is named."""
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for number in range(6):
            add(archive, f"{number}.png", b"broken" if number in (0, 3) else png(pixels(number)))
    data = webdataset(str(tmp_path), 6)
    stored = data.info.to_stored(data[:].x)
    assert torch.equal(stored[3], stored[2]) and torch.equal(stored[0], stored[5])
    assert sorted(each.name for each in data.refused) == ["a.tar/0.png", "a.tar/3.png"]


def test_cut_off_tar(tmp_path: Path):
    """Wherever it is cut, between two files too."""
    whole = (pictures.some_shards() / "part-0000.tar").read_bytes()
    for length in range(0, len(whole.rstrip(b"\0")), 256):
        (tmp_path / "a.tar").write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"no tar file that can be read|cut off"):
            webdataset(str(tmp_path), 6)


@pytest.fixture
def server() -> Iterator[tuple[str, Path, list[str]]]:
    """A web server on this machine: its URL, its folder, what was asked of it."""
    folder = pictures.place() / f"served-{os.getpid()}"
    shutil.copytree(pictures.some_shards(8, 5), folder)
    write_index(folder)
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            asked.append(self.path)

    make = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), make) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}", folder, asked
        running.shutdown()
        thread.join()
    shutil.rmtree(folder)


def test_shards_from_a_url(server: tuple[str, Path, list[str]], tmp_path: Path):
    """The same examples as from disk; of many shards only those at work are kept."""
    url, folder, asked = server
    near = webdataset(str(folder), 6, together=1)
    far = webdataset(url, 6, together=1)
    assert far.info.sha256 == near.info.sha256 and same(far, near)
    kept = Path(far._temporary)
    assert len(list(kept.iterdir())) <= 3
    before = len(asked)
    cached = webdataset(url, 6, cache=str(tmp_path / "cache"))
    assert same(cached, near) and len(asked) == before + 9
    again = webdataset(f"{url}/index.json", 6, cache=str(tmp_path / "cache"))
    assert same(again, near) and len(asked) == before + 10  # the index alone


def test_shards_of_any_name_from_a_url(server: tuple[str, Path, list[str]]):
    url, folder, _ = server
    (folder / "part-0000.tar").rename(folder / "점 (0)#?%20.tar")
    write_index(folder)
    assert same(webdataset(url, 6), webdataset(str(folder), 6))


def test_url_that_fails(server: tuple[str, Path, list[str]]):
    url, folder, _ = server
    with pytest.raises(StorageError, match=r"cannot read http.*not found"):
        webdataset(f"{url}/nothing", 6)
    (folder / "part-0000.tar").write_bytes((folder / "part-0001.tar").read_bytes())
    with pytest.raises(DamagedFileError, match="not what its index says"):
        webdataset(url, 6)
    with pytest.raises(StorageError, match=r"cannot read http://127\.0\.0\.1:9"):
        webdataset("http://127.0.0.1:9/x", 6)


# -- Hugging Face -------------------------------------------------------------------------------


def test_hugging_face(tmp_path: Path):
    """Saved to disk by their library, and loaded by it as an image folder."""
    import datasets

    rows = {
        "image": [{"bytes": png(pixels(i)), "path": None} for i in range(12)],
        "label": [i % 3 for i in range(12)],
        "caption": [f"picture {i}" for i in range(12)],
    }
    kinds = datasets.Features(
        image=datasets.Image(), label=datasets.ClassLabel(names=["a", "b", "c"]),
        caption=datasets.Value("string"),
    )  # fmt: skip
    table = datasets.Dataset.from_dict(rows, features=kinds)
    table.save_to_disk(tmp_path / "saved", num_proc=None)
    data = images(f"hf:{tmp_path / 'saved'}", held_out=0.0)
    stored = data.info.to_stored(data[:].x).numpy()
    assert all(np.array_equal(stored[i], pixels(i).transpose(2, 0, 1)) for i in range(12))
    assert data[:].label.tolist() == rows["label"] and data.info.class_names == ("a", "b", "c")
    assert data.texts == tuple(rows["caption"])
    with pytest.raises(InputError, match="cannot be loaded"):
        images(f"hf:{tmp_path / 'nothing'}")


def test_names_in_hash():
    """Equal pixels under other labels are other data."""
    values, labels = an_array()
    assert npy(str(values)).info.sha256 != npy(str(values), str(labels)).info.sha256
    assert len(hashlib.sha256(b"").hexdigest()) == len(npy(str(values)).info.sha256)


def test_canary_an_order_that_forgets():
    data = webdataset(str(pictures.some_shards()), 6)
    data.stretches = (9, 9, 9, 8)
    breaks(DatasetContract, "test_every_order_is_a_permutation", lambda: data)
