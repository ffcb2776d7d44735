"""Every field of the documents in our files, replaced by values of every wrong type: one sentence.

The seals are right: these are files of somebody who knows the format, or of a version that nobody
has written yet.
"""

import copy
import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.small import SETTINGS, diffusion, pictures, points, trained
from unnoise.core.errors import InputError, UnnoiseError
from unnoise.models import Diffusion, files, load
from unnoise.system.files import pack, unpack
from unnoise.training import checkpoints, fit, read_average

WRONG: list[Any] = [
    *(None, True, -1, 0, 3, 10**9, 10**30, 0.5, 1e308, "", "x", "x" * 5000, "\udcff"),
    *([], [1], ["a"], [[]], {}, {"a": 1}, {"kind": "vp"}, {"kind": []}),
]


def fields(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to everything in a document."""
    items = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        items = enumerate(value[:2])
    for key, inner in items:
        yield (*path, key)
        yield from fields(inner, (*path, key))


def altered(
    document: dict[str, Any], every: int = 1
) -> Iterator[tuple[tuple[Any, ...], Any, dict[str, Any]]]:
    """The document with one field changed: every how-manyth of the wrong values, in turn."""
    for first, path in enumerate(fields(copy.deepcopy(document))):
        for wrong in WRONG[first % every :: every]:
            changed = copy.deepcopy(document)
            here: Any = changed
            for key in path[:-1]:
                here = here[key]
            if here[path[-1]] != wrong or type(here[path[-1]]) is not type(wrong):
                here[path[-1]] = wrong
                yield path, wrong, changed
        changed = copy.deepcopy(document)
        here = changed
        for key in path[:-1]:
            here = here[key]
        del here[path[-1]]
        yield path, "gone", changed


def told(work: Any, path: object, wrong: object) -> bool:
    """Whether it is refused; anything but a sentence fails."""
    began = time.monotonic()
    try:
        work()
        refused = False
    except UnnoiseError as error:
        lines = str(error).splitlines()
        assert lines and all(0 < len(line) <= 200 for line in lines), (path, wrong, lines)
        refused = True
    except Exception as error:
        raise AssertionError(f"{path} = {str(wrong)[:60]}: {type(error).__name__}") from error
    assert time.monotonic() - began < 5, (path, wrong)  # a guard against hanging
    return refused


def use(path: Path) -> None:
    """What a command does with a model file."""
    model: Diffusion = load(path)
    chunk = model.sampling.chunk if model.sampling else 1
    model.sample(1, exact=chunk < 1000, label=0 if model.classes else None)


@pytest.mark.parametrize("every", [6, pytest.param(1, marks=pytest.mark.slow)])
def test_a_model_file(every: int, tmp_path: Path):
    path = tmp_path / "m.safetensors"
    model = trained(pictures(), steps=2)
    model.recipe = {"name": "r", "plugins": ["x.py"], "training": {}, "evaluation": {}, "data": {}}
    model.save(str(path))
    document, tensors = unpack(path)
    counts = {True: 0, False: 0}
    for where, wrong, changed in altered(document, every):
        path.write_bytes(pack(changed, tensors))
        counts[told(lambda: use(path), where, wrong)] += 1
    assert counts[True] > 1000 / every


@pytest.mark.parametrize(
    "name", ["data.mean", "data.covariance", "model.denoiser.network.out.bias"]
)
def test_tensors_of_other_kinds(name: str, tmp_path: Path):
    path = tmp_path / "m.safetensors"
    trained(points(), steps=2).save(str(path))
    document, tensors = unpack(path)
    others = [torch.zeros(()), torch.zeros(0), torch.zeros(3, 3), torch.full((2,), torch.nan)]
    others += [torch.zeros(2, dtype=torch.int64), torch.zeros(2, dtype=torch.bool)]
    for wrong in others:
        path.write_bytes(pack(document, {**tensors, name: wrong}))
        assert told(lambda: use(path), name, wrong)


def run(out: Path, **more: Any) -> None:
    settings = {**SETTINGS, "steps": 4, "save_every": 2, "half_lives": (9.0,)}
    fit(diffusion(), points(), **settings, power_averages=(0.1,), out=out, **more)


def test_a_state(tmp_path: Path):
    """Resumed from a state whose document is wrong: refused, or passed over."""
    run(tmp_path)
    folder = tmp_path / "checkpoints/step-000004"
    (tmp_path / "checkpoints/step-000002/manifest.json").unlink()
    document, tensors = unpack(folder / "state.safetensors")
    manifest = json.loads((folder / "manifest.json").read_text())
    refused = 0
    settings = {k: document["training"][k] for k in ("steps", "half_lives")}
    few = {k: v for k, v in document.items() if k not in ("model", "training")}
    for where, wrong, changed in altered({**few, "training": settings}, 3):
        if "training" in changed and isinstance(changed["training"], dict):
            changed["training"] = {**document["training"], **changed["training"]}
        content = pack({**changed, "model": document["model"]}, tensors)
        (folder / "state.safetensors").write_bytes(content)
        manifest["sha256"]["state.safetensors"] = hashlib.sha256(content).hexdigest()
        (folder / "manifest.json").write_text(json.dumps(manifest))
        refused += told(lambda: run(tmp_path, resume=True), where, wrong)
    assert refused > 40


def test_a_manifest(tmp_path: Path):
    run(tmp_path)
    (tmp_path / "checkpoints/step-000002/manifest.json").unlink()
    file = tmp_path / "checkpoints/step-000004/manifest.json"
    document, refused = json.loads(file.read_text()), 0

    def read() -> None:
        checkpoints.read(tmp_path, lambda text: None)

    for where, wrong, changed in altered(document):
        file.write_text(json.dumps(changed))
        refused += told(read, where, wrong)
    assert refused > 80
    for text in ("[" * 100_000, "9" * 5000, "", "\0", "null", "3", '{"format": 1}'):
        file.write_text(text)
        assert told(read, "the whole", text[:9])
    file.write_text(json.dumps(document))
    assert not told(read, "nothing", "changed")


def test_a_snapshot(tmp_path: Path):
    run(tmp_path)
    file = max((tmp_path / "snapshots").iterdir())
    document, tensors = unpack(file)
    for where, wrong, changed in altered(document):
        file.write_bytes(pack(changed, tensors))
        told(lambda: read_average(tmp_path, width=0.1), where, wrong)
    for name in ("x", "9.denoiser", "-1.x", "0.no.such.weight"):
        file.write_bytes(pack(document, {**tensors, name: torch.zeros(1)}))
        told(lambda: read_average(tmp_path, width=0.1), "tensors", name)


def test_canary_unchecked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Without the schema a header that says recipe = 3 ends in another error."""
    monkeypatch.setattr(files, "checked", lambda kind, value, what: value)
    with pytest.raises(AssertionError):
        test_a_model_file(6, tmp_path)
    with pytest.raises(InputError):
        load(tmp_path / "nothing.safetensors")
