"""Files that call themselves arrays: their heads are Python's own words, and may be anything."""

from pathlib import Path

import numpy as np
import pytest

from tests.refusals import one_line
from unnoise.data import npy

HEAD = "{'descr': '|u1', 'fortran_order': False, 'shape': (4, 3), }"


def an_array(head: str, version: int = 1) -> bytes:
    text = head.encode() + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(2 * version, "little") + text


ARRAYS = {
    "empty": b"",
    "magic alone": b"\x93NUMPY",
    "text": b"some text that is no array" * 9,
    "pickle": b"\x80\x04\x95\x0b" + bytes(90),
    "9,000 brackets": an_array("(" * 9000),
    "9,000 brackets, version 2": an_array("(" * 9000, 2),
    "tables in tables": an_array("{'a':" * 2000),
    "indented": an_array("  \n\t("),
    "a zero": an_array("\0"),
    "negative": an_array(HEAD.replace("(4, 3)", "(-4, -3)")),
    "huge": an_array(HEAD.replace("(4, 3)", f"({10**25}, 3)")),
    "5,000 digits": an_array(HEAD.replace("(4, 3)", f"({'9' * 5000}, 3)")),
    "a truth": an_array(HEAD.replace("(4, 3)", "(True, 12)")),
    "no type": an_array(HEAD.replace("|u1", "zz")),
    "complex": an_array(HEAD.replace("|u1", "<c8")) + bytes(96),
    "dates": an_array(HEAD.replace("|u1", "<M8[s]")) + bytes(96),
    "a record": an_array(HEAD.replace("'|u1'", "[('a', '<f4')]")) + bytes(48),
    "objects": an_array(HEAD.replace("|u1", "|O")) + bytes(96),
    "too short": an_array(HEAD) + bytes(3),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_files_that_are_no_arrays(name: str, tmp_path: Path):
    (tmp_path / "a.npy").write_bytes(ARRAYS[name])
    assert "a.npy" in one_line(lambda: npy(str(tmp_path / "a.npy")))


def test_an_archive_of_arrays(tmp_path: Path):
    np.savez(tmp_path / "a.npz", a=np.zeros((4, 3), np.uint8))
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    assert "no .npy file" in one_line(lambda: npy(str(tmp_path / "a.npy")))
    assert "cannot read" in one_line(lambda: npy(str(tmp_path / "b.npy")))


@pytest.mark.parametrize(("most", "said"), [(2**62, "below 1,000,000"), (-1, "one label")])
def test_labels_beyond_all_classes(most: int, said: str, tmp_path: Path):
    np.save(tmp_path / "a.npy", np.zeros((4, 3), np.uint8))
    np.save(tmp_path / "l.npy", np.array([0, 1, 2, most]))
    assert said in one_line(
        lambda: npy(str(tmp_path / "a.npy"), str(tmp_path / "l.npy"), held_out=0.0)
    )


def test_canary_numpy_alone_raises_all_sorts(tmp_path: Path):
    raised: set[type] = set()
    for content in ARRAYS.values():
        (tmp_path / "a.npy").write_bytes(content)
        try:
            np.load(tmp_path / "a.npy", mmap_mode="r", allow_pickle=False)
        except Exception as error:
            raised.add(type(error))
    assert raised - {ValueError, OSError}
