"""What our own files say is checked before it is believed: whatever is wrong ends in a sentence."""

import importlib
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.commands import refused
from tests.pictures import a_preparation, some_shards
from tests.refusals import one_line
from unnoise.core.errors import InputError
from unnoise.data import TensorDataset, base, digits, info_fields, info_from, prepared, webdataset
from unnoise.data.pictures.prepared import file_hash
from unnoise.evaluation import Judge, cached_judge
from unnoise.system.files import pack, unpack

# By its name, because `prepared` is the function of that name, too.
module = importlib.import_module("unnoise.data.pictures.prepared")

VALUES, TENSORS = info_fields(digits().info)
DOCUMENT = {**VALUES, "class_names": [f"c{k}" for k in range(10)]}

NUMBERS = {
    "3": 3,
    "0": 0,
    "-1": -1,
    "1.5": 1.5,
    "1e308": 1e308,
    "10^30": 10**30,
    "NaN": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
    "true": True,
}
WORDS = {"word": "x", "empty": "", "half": "\udcff", "long": "x\ny" * 10**5, "digit": "3"}
ODD: dict[str, Any] = {
    **NUMBERS,
    **WORDS,
    "null": None,
    "[]": [],
    "{}": {},
    "[[]]": [[]],
    "[word]": ["a"],
    "[-1]": [-1],
    "[0]": [0],
    "[1.5]": [1.5],
    "[true]": [True],
    "[2^40]": [2**40],
    "{[]}": {"a": [1]},
    "many": list(range(1000)),
    "ten halves": ["\ud800"] * 10,
}
DIGITS: dict[str, Any] = {"digits": 10**5000, "[digits]": [10**5000]}  # no JSON is read so far
SOME = {"3", "0", "1.5", "1e308", "10^30"}
MAY_BE: dict[str, set[str]] = {
    "name": set(WORDS),
    "sha256": set(WORDS),
    "licence": set(WORDS),
    "levels": {"3", "null"},
    "offset": SOME | {"-1"},
    "scale": (SOME | {"-1"}) - {"0"},
    "variance": SOME,
    "count": {"3", "0"},
    "classes": {"null"},
    "class_names": {"null", "ten halves"},
    "shape": set(),
}


# -- the description of the data -------------------------------------------------------------------


@pytest.mark.parametrize("field", MAY_BE)
def test_any_value_of_any_field(field: str):
    taken: set[str] = set()
    for name, value in {**ODD, **DIGITS}.items():
        said = one_line(lambda value=value: info_from({**DOCUMENT, field: value}, TENSORS))
        if said == "":
            taken.add(name)
        else:
            assert said.startswith("the description of the data is damaged: ") and field in said
    assert taken == MAY_BE[field]


@pytest.mark.parametrize("name", [*ODD, *DIGITS])
def test_a_description_that_is_no_table(name: str):
    value = {**ODD, **DIGITS}[name]
    assert "the description of the data" in one_line(lambda: info_from(value, TENSORS))


def test_fields_that_are_there_or_not():
    for field in VALUES:
        rest = {name: value for name, value in DOCUMENT.items() if name != field}
        said = one_line(lambda rest=rest: info_from(rest, TENSORS))
        optional = field in ("classes", "levels", "class_names", "class_counts")
        assert said == "" if optional else f"{field} is missing" in said
    assert "colour is not known" in one_line(lambda: info_from({**DOCUMENT, "colour": 3}, TENSORS))


MEAN, COVARIANCE = TENSORS["mean"], TENSORS["covariance"]
WRONG_TENSORS: dict[str, dict[str, Tensor]] = {
    "mean is missing": {"covariance": COVARIANCE},
    "mean must be": {"mean": MEAN[0]},
    "mean must be finite": {"mean": torch.full_like(MEAN, math.nan)},
    "mean must be finite numbers": {"mean": MEAN.long()},
    "covariance must be": {"mean": MEAN, "covariance": COVARIANCE[:10]},
    "covariance must be finite": {"mean": MEAN, "covariance": COVARIANCE * math.inf},
    "tensor 'weight' is not known": {**TENSORS, "weight": MEAN},
}


@pytest.mark.parametrize("said", WRONG_TENSORS)
def test_tensors_that_do_not_belong(said: str):
    assert said in one_line(lambda: info_from(DOCUMENT, WRONG_TENSORS[said]))


def test_what_does_not_fit_together():
    for changes, said in (
        ({"class_names": ["a"]}, "class_names must be as many as classes, 10, not 1"),
        ({"scale": 0}, "scale not 0"),
        ({"offset": 1e308, "scale": 1e308}, "finite"),
        ({"class_names": ["x" * (9 << 20)] * 10}, "class_names must have at most"),
    ):
        assert said in one_line(lambda c=changes: info_from({**DOCUMENT, **c}, TENSORS))


def test_it_comes_back_as_it_was():
    for values in (VALUES, json.loads(json.dumps(VALUES))):
        again = info_from(values, TENSORS)
        assert info_fields(again)[0] == VALUES
        assert all(torch.equal(info_fields(again)[1][k], v) for k, v in TENSORS.items())


def test_canary_a_description_that_is_believed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(base, "checked", lambda kind, value, what: value)
    for test in (lambda: test_any_value_of_any_field("levels"), test_fields_that_are_there_or_not):
        with pytest.raises((TypeError, OverflowError, KeyError, AssertionError)):
            test()


def test_data_that_cannot_be_described_is_refused_at_once():
    """Not only when a model's file is written."""
    x, labels = torch.zeros(4, 2), torch.tensor([0, 1, 2, 3])
    for work, said in (
        (lambda: TensorDataset("a", x.long(), levels=1), "at least 2"),
        (lambda: TensorDataset("a", x, labels, class_names=("a", "b")), "only 2 class_names"),
        (lambda: TensorDataset("a", x + 1e25 * labels[:, None], standardize=False), "too large"),
        (lambda: TensorDataset("a", x, labels, class_names=("x" * (9 << 20),) * 4), "too long"),
    ):
        assert said in one_line(work)


# -- prepared data ---------------------------------------------------------------------------------


@pytest.fixture
def ready(tmp_path: Path) -> Path:
    shutil.copytree(a_preparation(), tmp_path / "ready")
    return tmp_path / "ready"


def resealed(folder: Path, file: str, content: bytes) -> None:
    """Another content, and the manifest agrees."""
    (folder / file).write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"][file] = file_hash(folder / file)
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "field", ["format", "kind", "source", "look", "counts", "classes", "sha256", "colour"]
)
def test_any_value_in_a_manifest(field: str, ready: Path):
    whole = json.loads((ready / "manifest.json").read_text())
    told = 0
    for value in ODD.values():
        (ready / "manifest.json").write_text(json.dumps({**whole, field: value}))
        told += one_line(lambda: prepared(str(ready))) != ""
    assert told == len(ODD) - {"source": len(WORDS), "classes": 4}.get(field, 0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b'{"format": ' + b"1" * 5000 + b"}", "too many digits"),
        (b"\xff\xfe{}", "utf-8"),
        (b"", "damaged"),
        (b'{"kind": "pictures", "format": 2, "new": 1}', "has format 2; this version reads 1"),
        (b'{"kind": "sounds", "format": 1}', "does not describe prepared pictures"),
        (b'{"kind": "pictures", "format": 1}', "is missing"),
    ],
)
def test_manifests_of_all_sorts(content: bytes, said: str, ready: Path):
    (ready / "manifest.json").write_bytes(content)
    assert said in one_line(lambda: prepared(str(ready)))
    assert said in refused("train", "digits", "--data", ready, "--out", ready.parent / "run")


@pytest.mark.parametrize(
    "counts", [{}, {"train": -1}, {"train": True}, {"train": "x"}, {"train": 10**30}, {"valid": 3}]
)
def test_counts(counts: dict[str, Any], ready: Path):
    whole = json.loads((ready / "manifest.json").read_text())
    (ready / "manifest.json").write_text(json.dumps({**whole, "counts": counts}))
    assert "counts" in one_line(lambda: prepared(str(ready)))


LINES = [
    b"[]",
    b"3",
    b'{"name": "a", "label": 3, "text": null}',
    b'{"name": "a", "label": "cat"}',
    b'{"name": "a", "label": "cat", "text": null, "more": 1}',
    b'{"name": "a", "label": "horse", "text": null}',
    b'{"name": "a", "label": null, "text": null}',
    b"[" * 100_000,
    b"\xff",
    b"",
]


@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
def test_lines_of_prepared_data(line: bytes, ready: Path):
    whole = (ready / "train.jsonl").read_bytes().split(b"\n")
    resealed(ready, "train.jsonl", b"\n".join([line, *whole[1:]]))
    assert "train.jsonl" in one_line(lambda: prepared(str(ready)))


def test_files_that_do_not_belong_together(ready: Path):
    """All of them sealed, so only their sizes tell."""
    pixels = np.load(ready / "train-00000.npy")
    lines = (ready / "train.jsonl").read_bytes()
    for file, content in (
        ("train.jsonl", lines + lines.split(b"\n")[0] + b"\n"),
        ("train.safetensors", (ready / "test.safetensors").read_bytes()),
    ):
        whole = (ready / file).read_bytes()
        resealed(ready, file, content)
        assert "do not fit together" in one_line(lambda: prepared(str(ready)))
        resealed(ready, file, whole)
    for array in (pixels[:-1], pixels[:, :1], pixels.astype(np.int8), np.uint8(3), pixels[:0]):
        np.save(ready / "other.npy", array)
        resealed(ready, "train-00000.npy", (ready / "other.npy").read_bytes())
        assert "do not fit together" in one_line(lambda: prepared(str(ready)))


def test_a_sealed_description_that_lies(ready: Path):
    document, tensors = unpack(ready / "train.safetensors")
    for data in (3, {}, {**document["data"], "levels": "x"}):
        resealed(ready, "train.safetensors", pack({"kind": "data", "data": data}, tensors))
        assert "description of the data" in one_line(lambda: prepared(str(ready)))
    resealed(ready, "train.safetensors", pack({"kind": "data"}, tensors))
    assert "description of the data" in one_line(lambda: prepared(str(ready)))


def test_canary_a_manifest_that_is_believed(ready: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "checked", lambda kind, value, what, more=False: value)
    for test in (
        lambda: test_any_value_in_a_manifest("sha256", ready),
        lambda: test_lines_of_prepared_data(LINES[1], ready),
    ):
        with pytest.raises((TypeError, AttributeError, AssertionError)):
            test()


# -- an index of shards ----------------------------------------------------------------------------


def test_any_value_in_an_index(tmp_path: Path):
    shard = {"url": "part-0000.tar", "nsamples": 9}
    for value in ODD.values():
        for document in (
            value,
            {"shardlist": value},
            {"shardlist": [value]},
            {"shardlist": [{**shard, "url": value}]},
            {"shardlist": [{**shard, "nsamples": value}]},
            {"shardlist": [{**shard, "sha256": value}]},
            {"shardlist": [shard], "classes": value},
        ):
            (tmp_path / "index.json").write_text(json.dumps(document))
            one_line(lambda: webdataset(str(tmp_path / "index.json"), 6, labels=False))


def test_what_others_write_into_an_index(tmp_path: Path):
    """WebDataset's own tools write more than we read."""
    shutil.copytree(some_shards(), tmp_path, dirs_exist_ok=True)
    document = {
        "__kind__": "wids-shard-index-v1",
        "wids_version": 1,
        "name": "train",
        "shardlist": [{"url": "part-0000.tar", "nsamples": 9, "filesize": 20480}],
        "classes": [0, "1", 2],
    }
    (tmp_path / "index.json").write_text(json.dumps(document))
    assert webdataset(str(tmp_path), 6).info.class_names == ("0", "1", "2")


# -- a judge's cache -------------------------------------------------------------------------------


def test_a_judge_that_does_not_fit(tmp_path: Path):
    """Refused when it is read, and trained anew where it is a cache."""
    features, labels = torch.eye(6, dtype=torch.float64), torch.arange(6) % 3
    judge = Judge.train(features, labels)
    path = tmp_path / "judge"
    judge.save(path, "abc")
    document, tensors = unpack(path)
    wrong = [({**document, "gamma": value}, tensors) for value in ("x", -1, 0, True, None, 10**400)]
    wrong += [({**document, "data": 3}, tensors), ({**document, "more": 3}, tensors)]
    wrong += [({"format": document["format"]}, tensors), (document, {})]
    for name, value in (
        ("centres", tensors["centres"].float()),
        ("centres", tensors["centres"][0]),
        ("centres", tensors["centres"] * math.nan),
        ("weights", tensors["weights"][:3]),
        ("weights", tensors["weights"][:, :2]),
        ("classes", tensors["classes"].float()),
        ("classes", tensors["classes"][:, None]),
        ("other", tensors["classes"]),
    ):
        wrong.append((document, {**tensors, name: value}))
    for other, values in wrong:
        path.write_bytes(pack(other, values))
        with pytest.raises(InputError, match="the judge in"):
            Judge.load(path, "abc")
        assert torch.equal(cached_judge(path, features, labels, "abc").weights, judge.weights)
    assert isinstance(Judge.load(path, "abc"), Judge)


def test_canary_a_judge_that_is_believed(tmp_path: Path):
    features = torch.eye(6, dtype=torch.float64)
    judge = Judge(features, torch.zeros(3, 2).double(), torch.arange(2), 1.0)
    with pytest.raises(RuntimeError):
        judge.predict(features)
