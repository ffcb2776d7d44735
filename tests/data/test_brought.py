"""Data as users have it becomes a data set; what cannot is refused in one sentence."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils import data as torch_data

from tests.pictures import pixels, png
from unnoise import MLP, VP, Diffusion, InputError
from unnoise.core.noise import Noise
from unnoise.data import Dataset, TensorDataset, as_dataset, digits, moons
from unnoise.training import fit

X = Noise(0, range(24)).normal(torch.empty(24, 3))
LABEL = torch.arange(24) % 3
BYTES = (Noise(1, range(12)).uniform(torch.empty(12, 1, 4, 4)) * 256).to(torch.uint8)


class MapStyle(torch_data.Dataset[Any]):
    """Items by number; counts how often each is read."""

    def __init__(self, item: Callable[[int], Any], count: int = 24) -> None:
        self.item, self.count, self.reads = item, count, [0] * count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        self.reads[index] += 1
        return self.item(index)


class Stream(torch_data.IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        yield X[:10], LABEL[:10]
        yield X[10:], LABEL[10:]


LABELLED: dict[str, Callable[[], Any]] = {
    "pair": lambda: (X, LABEL),
    "pair of arrays": lambda: (X.numpy(), LABEL.numpy().astype(np.float32)),
    "list of two": lambda: [X, LABEL.tolist()],
    "TensorDataset": lambda: torch_data.TensorDataset(X, LABEL),
    "pairs by number": lambda: MapStyle(lambda i: (X[i], int(LABEL[i]))),
    "tensors by number": lambda: MapStyle(lambda i: (X[i], LABEL[i])),
    "arrays by number": lambda: MapStyle(lambda i: (X[i].numpy(), np.int64(LABEL[i]))),
    "tables by number": lambda: MapStyle(lambda i: {"x": X[i], "label": int(LABEL[i]), "id": i}),
    "a list": lambda: [(X[i], int(LABEL[i])) for i in range(24)],
    "a subset": lambda: torch_data.Subset(torch_data.TensorDataset(X, LABEL), range(24)),
    "a loader": lambda: torch_data.DataLoader(torch_data.TensorDataset(X, LABEL), 5),
    "a loader of tables": lambda: torch_data.DataLoader(
        MapStyle(lambda i: {"image": X[i], "labels": int(LABEL[i])}), 7
    ),
    "batches": lambda: [(X[:10], LABEL[:10]), (X[10:], LABEL[10:])],
    "a generator": lambda: ((X[i : i + 6], LABEL[i : i + 6]) for i in range(0, 24, 6)),
    "a stream": Stream,
    "ours": lambda: TensorDataset("data", X, LABEL),
    "ours in a loader": lambda: torch_data.DataLoader(
        TensorDataset("data", X, LABEL, standardize=False),
        6,  # pyright: ignore
    ),
}
PLAIN: dict[str, Callable[[], Any]] = {
    "tensor": lambda: X,
    "with gradient": lambda: X.clone().requires_grad_(),
    "array": lambda: X.numpy(),
    "double": lambda: X.double(),
    "big-endian": lambda: X.numpy().astype(">f4"),
    "TensorDataset": lambda: torch_data.TensorDataset(X),
    "by number": lambda: MapStyle(lambda i: X[i]),
    "tuples of one": lambda: MapStyle(lambda i: (X[i],)),
    "batches": lambda: iter([X[:9], X[9:]]),
}


@pytest.mark.parametrize("brought", LABELLED.values(), ids=LABELLED)
def test_values_with_labels(brought: Callable[[], Any]):
    data, wanted = as_dataset(brought()), TensorDataset("data", X, LABEL)
    assert torch.equal(data[:].x, wanted[:].x) and torch.equal(data[3:7].label, LABEL[3:7])
    assert data.info.class_counts == (8, 8, 8) and data.info.sha256 == wanted.info.sha256
    assert torch.allclose(data.info.covariance, wanted.info.covariance)


@pytest.mark.parametrize("brought", PLAIN.values(), ids=PLAIN)
def test_values_alone(brought: Callable[[], Any]):
    data = as_dataset(brought())
    assert torch.allclose(data[:].x, TensorDataset("data", X)[:].x, atol=1e-6)
    assert data.info.classes is None and len(data) == 24


def test_bytes_are_levels():
    wanted = TensorDataset("data", BYTES, levels=256)
    grey = [Image.fromarray(each[0].numpy()) for each in BYTES]
    for brought in (
        BYTES,
        BYTES.numpy(),
        BYTES[:, 0],
        list(BYTES),
        MapStyle(lambda i: grey[i], 12),
    ):
        data = as_dataset(brought)
        assert data.info.levels == 256 and torch.equal(data[:].x, wanted[:].x)
    colour = as_dataset([image.convert("RGB") for image in grey])
    assert colour.info.shape == (3, 4, 4) and torch.equal(colour[:].x[:, :1], wanted[:].x)


def test_events_as_plain_numbers():
    """Lists of numbers are events, tuples (values, label) pairs; one image with no label is one."""
    wanted = TensorDataset("data", X)[:].x
    for brought in (X.tolist(), [tuple(row) for row in X.tolist()]):
        assert torch.allclose(as_dataset(brought)[:].x, wanted, atol=1e-6)
    pairs = as_dataset([(row, i % 2) for i, row in enumerate(X.tolist())])
    assert pairs.info.classes == 2 and pairs.info.shape == (3,)
    deep = X.reshape(12, 1, 2, 3)
    assert as_dataset(deep.tolist()).info.shape == (1, 2, 3)
    assert as_dataset([(image, None) for image in deep]).info.shape == (1, 2, 3)
    assert as_dataset(X.bfloat16()).info.levels is None


def test_items_by_the_rules_of_arrays_and_files():
    """Channels last, no channel; of 16 bits 65535 is white, what is transparent shows white."""
    colour = BYTES[:, 0, :, :, None].repeat(1, 1, 1, 3).numpy()
    assert as_dataset(list(colour)).info.shape == (3, 4, 4)
    assert as_dataset(list(BYTES[:, 0].numpy())).info.shape == (1, 4, 4)
    deep = Image.fromarray(np.array([[0, 32768], [65535, 257]], dtype=np.uint16))
    found = as_dataset([deep, deep.rotate(90)])
    assert found.info.to_stored(found[:1].x).flatten().tolist() == [0, 128, 255, 1]
    clear = Image.new("RGBA", (2, 2), (9, 9, 9, 0))
    found = as_dataset([clear, Image.new("RGB", (2, 2))])
    assert found.info.to_stored(found[:1].x).unique().tolist() == [255]


def test_read_once_and_then_by_number():
    source = MapStyle(lambda i: (X[i], int(LABEL[i])))
    data = as_dataset(source)
    assert set(source.reads[1:]) == {1} and source.reads[0] <= 2  # the first says the shape
    data.batch(torch.tensor([5, 7, 5]))
    assert source.reads[5] == 3 and source.reads[7] == 2 and source.reads[6] == 1


def test_names_of_classes():
    source = MapStyle(lambda i: (X[i], int(LABEL[i])))
    source.classes = ["cat", "dog", "owl"]  # pyright: ignore
    assert as_dataset(source).info.class_names == ("cat", "dog", "owl")


def test_hugging_face_tables():
    datasets = pytest.importorskip("datasets")
    kinds = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])}
    )
    rows = {"image": [Image.fromarray(e[0].numpy()) for e in BYTES], "label": [0, 1] * 6}
    data = as_dataset(datasets.Dataset.from_dict(rows, features=kinds))
    assert data.info.class_names == ("a", "b") and data.info.class_counts == (6, 6)
    assert torch.equal(data[:].x, TensorDataset("d", BYTES)[:].x)


def test_a_path(tmp_path: Path):
    np.save(tmp_path / "x.npy", X.numpy())
    assert as_dataset(tmp_path / "x.npy").info.name == "x"
    (tmp_path / "p").mkdir()
    for i in range(4):
        (tmp_path / "p" / f"{i}.png").write_bytes(png(pixels(i)))
    assert as_dataset(str(tmp_path / "p")).info.shape == (3, 6, 6)


def endless() -> Iterator[Tensor]:
    while True:
        yield torch.zeros(1 << 20, 64)


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        5,
        {"x": X},
        b"bytes",
        [],
        iter([]),
        X[:0],
        X[:, 0],
        X * 1j,
        (X, LABEL[:5]),
        ((X, LABEL), (X, LABEL)),
        torch_data.TensorDataset(X[:, 0], LABEL),
        [(X[0], 1, 2), (X[1], 1, 2)],
        [X[0], BYTES[0, 0, 0, :3]],
        [Image.fromarray(np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4))] * 3,
        torch.tensor(3.0),
        MapStyle(lambda i: [][i]),
        MapStyle(lambda i: ()),
        TensorDataset,
        (X, LABEL / 7),
        ["a", "b"],
        [X[0], X[1][:2]],
        [(X[0], 0), (X[1], None)],
        [(X[0], "cat"), (X[1], "dog")],
        [{"colour": X[0]}],
        [X[:4], "end"],
        iter([X[:4], X[:4, :2]]),
        iter([(X[:4], LABEL[:4]), X[4:]]),
        np.array(["a", "b"]),
        X / 0,
        "/no/such/place",
        endless(),
        torch_data.DataLoader(MapStyle(lambda i: X[i, 0]), 4),
    ],
    ids=lambda v: type(v).__name__,
)
def test_what_is_no_data_is_refused(wrong: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("unnoise.data.brought._MOST_BYTES", 1 << 28)
    with pytest.raises(InputError) as caught:
        as_dataset(wrong)
    assert all(len(line) <= 191 for line in str(caught.value).splitlines())


def test_training_takes_them_all():
    """The same numbers, whatever they came in."""

    def weights(data: Any) -> Tensor:
        model = Diffusion(MLP(shape=(3,), classes=3, width=8, depth=1), VP())
        fit(model, data, steps=3, batch=8, threads=1)
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    wanted = weights(TensorDataset("data", X, LABEL))
    for name in ("pair", "pairs by number", "a loader", "a stream"):
        assert torch.equal(weights(LABELLED[name]()), wanted)
    assert not torch.equal(weights((X + 1e-2 * X**2, LABEL)), wanted)  # the canary


def test_a_model_is_needed():
    with pytest.raises(InputError, match="fit takes a model"):
        fit(MLP(shape=(3,)), X)  # pyright: ignore


def test_our_data_in_a_loader_of_torch():
    """Items are (x, label) or (x,), as torch's own TensorDataset gives them."""
    for data in (digits(), moons(count=20)):
        x, label = data[3]
        assert torch.equal(x, data[3:4].x[0]) and torch.equal(label, data[3:4].label[0])
        loader = torch_data.DataLoader(data, batch_size=8)  # pyright: ignore
        first = next(iter(loader))
        assert torch.equal(first[0], data[:8].x) and torch.equal(first[1], data[:8].label)
    alone: Dataset = TensorDataset("x", X)
    assert len(alone[-1]) == 1 and torch.equal(alone[-1][0], alone[23:].x[0])
    assert sum(1 for _ in alone) == 24
    with pytest.raises(IndexError):
        alone[24]
