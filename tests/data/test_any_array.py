"""Arrays of any type, byte order, layout and shape: the right values come out, or one sentence."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.pictures import pixels
from tests.refusals import one_line
from unnoise.core.errors import LONGEST
from unnoise.data import TensorDataset, array_labels, arrays, npy
from unnoise.data.array_labels import classes_of

quick = settings(deadline=None, max_examples=80)


def read(folder: Path, array: np.ndarray, **settings: Any) -> TensorDataset:
    np.save(folder / "a.npy", array)
    return npy(str(folder / "a.npy"), held_out=0.0, **settings)


def values(data: TensorDataset) -> np.ndarray:
    return data.info.to_stored(data[:].x).numpy()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("arrays")


# -- types, orders, layouts ------------------------------------------------------------------------

FLOATS = ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8", np.longdouble]
WHOLE = ["u1", "i1", "<i2", ">i2", "<u2", ">u4", "<i8", ">i8", "?"]
OTHERS = ["<c8", ">c16", "<U3", "S4", "<M8[s]", "<m8[D]", "V5", [("a", "<f4")]]
SHAPES = st.sampled_from([(5, 3), (4, 2, 3), (4, 1, 3, 3), (4, 3, 2, 2), (3, 2, 2, 2, 2)])


@quick
@given(data=st.data(), shape=SHAPES, order=st.sampled_from("CF"), kind=st.sampled_from(FLOATS))
def test_floats(data: Any, shape: tuple[int, ...], order: str, kind: Any, place: Path):
    """The same values, whatever their width, byte order and layout."""
    plain = data.draw(hnp.arrays(np.float16, shape, elements=st.floats(-9, 9, width=16)))
    array = np.asarray(plain.astype(kind), order=order)
    assert np.allclose(values(read(place, array)), plain, atol=1e-4)


@quick
@given(data=st.data(), shape=SHAPES, order=st.sampled_from("CF"), kind=st.sampled_from(WHOLE))
def test_whole_numbers(data: Any, shape: tuple[int, ...], order: str, kind: str, place: Path):
    """Bytes and truth values have levels of their own; of others the user says how many."""
    top = 1 if kind == "?" else 9
    plain = data.draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, top)))
    array = np.asarray(plain.astype(kind), order=order)
    own = {"u1": 256, "?": 2}.get(kind)
    if own is None:
        np.save(place / "a.npy", array)
        assert "say how many levels" in one_line(lambda: npy(str(place / "a.npy")))
    found = read(place, array, **({} if own else {"levels": 10}))
    channel = len(shape) == 3 and own is not None
    assert found.info.levels == (own or 10)
    assert np.array_equal(values(found), plain[:, None] if channel else plain)
    if own != 2:
        np.save(place / "a.npy", np.where(array == array.max(), top + 2, array).astype(kind))
        said = one_line(lambda: npy(str(place / "a.npy"), levels=top + 2, held_out=0.0))
        assert "accepted are 0 to" in said


@pytest.mark.parametrize("kind", OTHERS, ids=str)
def test_other_types_are_refused(kind: Any, place: Path):
    np.save(place / "a.npy", np.zeros((4, 3), kind))
    assert "accepted are uint8, bool" in one_line(lambda: npy(str(place / "a.npy")))
    assert one_line(lambda: npy(str(place / "a.npy"), levels=4))


def test_byte_order_is_no_part_of_the_data(place: Path):
    plain = np.linspace(-1, 1, 12).reshape(4, 3)
    hashes = {read(place, plain.astype(kind)).info.sha256 for kind in ("<f4", ">f4")}
    assert len(hashes) == 1


# -- shapes ----------------------------------------------------------------------------------------


def test_shapes_of_pictures(place: Path):
    grey = np.stack([pixels(k, 6, 1)[..., 0] for k in range(4)])
    assert read(place, grey).info.shape == (1, 6, 6)
    assert np.array_equal(values(read(place, grey))[:, 0], grey)
    assert read(place, grey / 255).info.shape == (6, 6)  # a signal: channels of a length
    for channels, cure in ((1, "array"), (3, "array"), (4, "array[..., :3]")):
        for kind in (np.uint8, np.float32):
            np.save(place / "a.npy", np.zeros((4, 6, 6, channels), kind))
            said = one_line(lambda: npy(str(place / "a.npy")))
            assert f"channels last; save {cure}.transpose(0, 3, 1, 2)" in said
    np.save(place / "a.npy", np.zeros((5, 4, 4, 3), np.uint8))
    assert "channels last" in one_line(lambda: npy(str(place / "a.npy")))
    for shape in ((3, 3, 6, 3), (3, 4, 6, 4), (3, 1, 5, 3)):
        assert read(place, np.zeros(shape, np.float32)).info.shape == shape[1:]
    for shape in ((), (4,), (0, 3), (4, 0)):
        np.save(place / "a.npy", np.zeros(shape, np.uint8))
        assert "it must be (N, *event)" in one_line(lambda: npy(str(place / "a.npy")))


@quick
@given(
    at=st.tuples(st.integers(0, 4), st.integers(0, 2)),
    odd=st.sampled_from([np.nan, np.inf, -np.inf]),
    kind=st.sampled_from(["<f2", ">f4", "<f8", np.longdouble]),
)
def test_what_is_no_number_is_named_by_its_place(
    at: tuple[int, int], odd: float, kind: Any, place: Path
):
    array = np.zeros((5, 3), kind)
    array[at] = odd
    np.save(place / "a.npy", array)
    said = one_line(lambda: npy(str(place / "a.npy"), held_out=0.0))
    called = "NaN" if np.isnan(odd) else "an infinite number"
    assert f"holds {called} at [{at[0]}, {at[1]}]" in said


def test_values_too_large_for_any_computation(place: Path):
    for array in (np.full((4, 3), 1e300), np.full((4, 3), np.longdouble("1e400"))):
        np.save(place / "a.npy", array)
        assert "holds an infinite number at [0, 0]" in one_line(lambda: npy(str(place / "a.npy")))


def test_fractions_are_no_levels():
    for x in (torch.rand(20, 1, 8, 8), torch.full((4, 2), 0.5)):
        assert "holds fractions" in one_line(lambda x=x: TensorDataset("a", x, levels=256))
    assert TensorDataset("a", torch.ones(4, 2), levels=2).info.levels == 2


# -- labels ----------------------------------------------------------------------------------------

LABELS: dict[str, tuple[Any, tuple[str, ...], list[int]]] = {
    "from 0": ([0, 1, 2, 1], ("0", "1", "2"), [0, 1, 2, 1]),
    "from 1": ([1, 2, 3, 2], ("1", "2", "3"), [0, 1, 2, 1]),
    "gaps": ([0, 7, 12, 7], ("0", "7", "12"), [0, 1, 2, 1]),
    "floats": ([1.0, 2.0, 10.0, 2.0], ("1", "2", "10"), [0, 1, 2, 1]),
    "a column": ([[3], [4], [3], [4]], ("3", "4"), [0, 1, 0, 1]),
    "truth values": ([True, False, True, True], ("0", "1"), [1, 0, 1, 1]),
    "words": (["img10", "img2", "cat", "img2"], ("cat", "img2", "img10"), [2, 1, 0, 1]),
    "bytes": ([b"b", b"a", b"\xff", b"a"], ("\\xff", "a", "b"), [2, 1, 0, 1]),
}


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("order", "<>")
def test_labels(name: str, order: str, place: Path):
    given, names, numbers = LABELS[name]
    array = np.array(given)
    np.save(place / "l.npy", array.astype(array.dtype.newbyteorder(order)))
    data = read(place, np.zeros((4, 2), np.float32), labels=str(place / "l.npy"))
    assert data.info.class_names == names and data[:].label.tolist() == numbers
    assert data.told.startswith(f"4 examples 2 of float32, {len(names)} classes: {names[0]} ")


WRONG_LABELS: dict[str, tuple[Any, str]] = {
    "NaN": ([0, 1, np.nan, 1], "label nan in row 2"),
    "a fraction": ([0, 1.5, 2, 1], "label 1.5 in row 1"),
    "negative": ([0, 1, 2, -1], "label -1 in row 3"),
    "infinite": ([0, np.inf, 1, 1], "label inf in row 1"),
    "too many": ([0, 1, 2, 1, 0], "one class number for each of 4 rows"),
    "one-hot": (np.eye(4), "one class number for each of 4 rows"),
    "complex": ([0j, 1, 2, 1], "one class number for each of 4 rows"),
    "huge": ([0, 1, 2**62, 1], "class numbers are below 1,000,000"),
}


@pytest.mark.parametrize("name", WRONG_LABELS)
def test_labels_that_are_none(name: str, place: Path):
    given, said = WRONG_LABELS[name]
    np.save(place / "l.npy", np.array(given))
    array = np.zeros((4, 2), np.float32)
    assert said in one_line(lambda: read(place, array, labels=str(place / "l.npy")))


@quick
@given(hnp.arrays(st.sampled_from(["i1", "<i4", ">f8", "?", "u1"]), 6))
def test_any_labels(given: np.ndarray):
    """Rows of equal labels have equal classes, and the names say the labels."""
    said = one_line(lambda: classes_of("l.npy", given, 6))
    if said == "":
        names, numbers = classes_of("l.npy", given, 6)
        assert [int(names[k]) for k in numbers.tolist()] == [int(value) for value in given]
    else:
        assert "l.npy" in said


def test_held_out_rows_keep_the_numbers_of_the_whole(place: Path):
    np.save(place / "a.npy", np.zeros((10, 2), np.float32))
    np.save(place / "l.npy", np.array([3, 5] * 4 + [9, 5]))
    path, labels = str(place / "a.npy"), str(place / "l.npy")
    train, test = (npy(path, labels, split=split, held_out=0.2) for split in ("train", "test"))
    assert train.info.class_names == test.info.class_names == ("3", "5", "9")
    assert test[:].label.tolist() == [2, 1] and train.info.class_counts == (4, 4, 0)


# -- archives of arrays ----------------------------------------------------------------------------

X, Y = np.arange(24, dtype=np.float32).reshape(8, 3), np.arange(8) % 3 + 1


@pytest.mark.parametrize(
    ("held", "labelled"),
    [
        ({"anything": X}, False), ({"x": X, "y": Y}, True), ({"q": X, "labels": Y}, True),
        ({"data": X, "label": Y, "weights": Y}, True), ({"arr_0": X, "arr_1": Y}, False),
    ],
)  # fmt: skip
def test_npz(held: dict[str, np.ndarray], labelled: bool, place: Path):
    for save in (np.savez, np.savez_compressed):
        save(place / "a.npz", **held)
        data = npy(str(place / "a.npz"), held_out=0.0)
        assert np.allclose(values(data), X, atol=1e-5)
        assert data.info.class_names == (("1", "2", "3") if labelled else None)


def test_npz_with_a_test_part(place: Path):
    """As Keras keeps MNIST: what is called test is held out."""
    grey = np.stack([pixels(k, 6, 1)[..., 0] for k in range(6)])
    np.savez(place / "a.npz", x_train=grey[:4], y_train=Y[:4], x_test=grey[4:], y_test=Y[1:3])
    for held_out in (0.0, 0.5):
        train = npy(str(place / "a.npz"), held_out=held_out)
        test = npy(str(place / "a.npz"), split="test", held_out=held_out)
        assert np.array_equal(values(train)[:, 0], grey[:4])
        assert np.array_equal(values(test)[:, 0], grey[4:]) and test[:].label.tolist() == [1, 2]
        assert "4 examples 1 x 6 x 6 of 256 levels, 3 classes: 1 2, 2 1, 3 1; 2 more" in train.told
    np.savez(place / "a.npz", x_train=grey[:4], y_train=Y[:4], x_test=grey[4:], y_test=Y[1:3] + 9)
    said = one_line(lambda: npy(str(place / "a.npz"), split="test"))
    assert "a class '11' that is not trained on" in said


def test_samples_are_data(place: Path):
    """What ``unnoise sample -o x.npz`` writes: images (N, H, W, C), values, labels."""
    colours = np.stack([pixels(k) for k in range(4)])
    np.savez(place / "a.npz", images=colours, labels=np.array([0, 1, 0, 1]))
    data = npy(str(place / "a.npz"), held_out=0.0)
    assert np.array_equal(values(data), colours.transpose(0, 3, 1, 2))
    assert data[:].label.tolist() == [0, 1, 0, 1]
    np.savez(place / "a.npz", values=X)
    assert np.allclose(values(npy(str(place / "a.npz"), held_out=0.0)), X, atol=1e-5)


def test_what_is_held_out_is_standardised_by_what_is_trained_on(place: Path):
    """One map for both parts: a stored value is the same modelled one. Canary: its own map."""
    np.save(place / "a.npy", X * 7 + 3)
    train, test = (
        npy(str(place / "a.npy"), split=split, held_out=0.5) for split in ("train", "test")
    )
    assert test.info.scale == train.info.scale and test.info.offset == train.info.offset
    assert np.allclose(values(test), X[4:] * 7 + 3, atol=1e-4)
    assert abs(float(train[:].x.mean())) < 1e-5 < abs(float(test[:].x.mean()))


def test_npz_that_are_refused(place: Path):
    def said(content: bytes) -> str:
        (place / "a.npz").write_bytes(content)
        return one_line(lambda: npy(str(place / "a.npz")))

    def packed(**held: Any) -> bytes:
        stream = io.BytesIO()
        np.savez(stream, **held)
        return stream.getvalue()

    whole = packed(x=X)
    assert "holds a, b; call the examples x" in said(packed(a=X, b=X))
    assert "no .npz file" in said(packed(x=np.array([{}], dtype=object)))  # which is a pickle
    assert "holds nothing" in said(packed()) and "a.npz" in said(b"") and "a.npz" in said(b"x" * 99)
    for place_ in range(0, len(whole), 7):
        damaged = whole[:place_] + bytes([whole[place_] ^ 255]) + whole[place_ + 1 :]
        said(damaged)
    assert "a.npz" in said(whole[:-30])
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("x.npy", b"\x80\x04pickle")
    assert "a.npz holds |S8" in said(stream.getvalue())
    assert "cannot read" in one_line(lambda: npy(str(place / "none.npz")))


def test_an_array_that_unpacks_to_more_than_memory(place: Path, monkeypatch: pytest.MonkeyPatch):
    from unnoise.data import array_files

    np.savez_compressed(place / "a.npz", x=np.zeros((100, 1000)))
    monkeypatch.setattr(array_files, "installed", lambda: 1_000_000)
    assert "more than half of this machine's memory" in one_line(lambda: npy(str(place / "a.npz")))


def test_the_line(place: Path):
    labels = np.arange(500)
    np.save(place / "l.npy", labels)
    data = read(place, np.zeros((500, 2), np.float32), labels=str(place / "l.npy"))
    assert len(data.told) <= LONGEST and data.told.endswith(", ...")


def test_canaries(monkeypatch: pytest.MonkeyPatch, place: Path):
    for where, name, broken, test in (
        (arrays, "_first_odd", lambda rows: None, lambda: test_what_is_no_number_is_named(place)),
        (array_labels, "natural", lambda word: word, lambda: test_labels("words", "<", place)),
        (array_labels, "_whole", lambda p, g: g.astype(int), lambda: fraction(place)),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(where, name, broken)
            with pytest.raises(AssertionError):
                test()


def test_what_is_no_number_is_named(place: Path):
    np.save(place / "a.npy", np.array([[1.0, np.nan]]))
    assert "NaN at [0, 1]" in one_line(lambda: npy(str(place / "a.npy"), held_out=0.0))


def fraction(place: Path) -> None:
    test_labels_that_are_none("a fraction", place)
