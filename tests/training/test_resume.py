"""A resumed run is the uninterrupted one, bit for bit, or it is refused with a reason."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.small import SETTINGS, diffusion, pictures, points, same, temporary, weights
from unnoise.core.errors import InputError, StorageError
from unnoise.data import moons
from unnoise.system.files import pack, unpack
from unnoise.training import MetricsLog, Saved, Stepped, Warned, checkpoints, fit
from unnoise.training.events import read_metrics

EVERY_TEN: dict[str, Any] = {**SETTINGS, "save_every": 10}


def run(out: Path, **changes: Any) -> dict[str, torch.Tensor]:
    """Train in a folder; returns the weights."""
    settings = {"dropout": 0.2, **changes}
    model = diffusion(dropout=settings.pop("dropout"))
    metrics = MetricsLog(out / "metrics.jsonl", every=1)
    listeners = [metrics, *settings.pop("listeners", [])]
    fit(model, points(), **{**EVERY_TEN, **settings}, out=out, listeners=listeners)
    return weights(model)


def losses(out: Path) -> list[tuple[int, float]]:
    lines = read_metrics(out / "metrics.jsonl")
    return [(line["step"], line["loss"]) for line in lines if line["event"] == "step"]


class Broken(BaseException):
    """What a test throws into a run."""


def breaking(at: int, kind: type = Stepped) -> Callable[..., None]:
    def listen(event: Any, run: Any) -> None:
        if isinstance(event, kind) and event.step == at:
            raise Broken

    return listen


def broken_run(out: Path, at: int, kind: type = Stepped, **changes: Any) -> None:
    with pytest.raises(Broken):
        run(out, listeners=[breaking(at, kind)], **changes)


def state(out: Path, step: int) -> dict[str, torch.Tensor]:
    return unpack(out / "checkpoints" / f"step-{step:06d}" / "state.safetensors")[1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run, to look at."""
    out = tmp_path_factory.mktemp("whole")
    run(out)
    return out


def assert_equal_runs(out: Path, whole: Path) -> None:
    """Weights, average, optimiser, the model file's bytes, and every line of the log."""
    assert same(state(out, 30), state(whole, 30))
    content = (whole / "model.safetensors").read_bytes()
    assert (out / "model.safetensors").read_bytes() == content
    assert losses(out) == losses(whole)
    assert len(losses(out)) == 30


@pytest.mark.parametrize(
    ("at", "kind"),
    [(0, Stepped), (3, Stepped), (10, Stepped), (10, Saved), (17, Stepped), (29, Stepped)],
)
def test_resumed_from_anywhere(at: int, kind: type, tmp_path: Path, whole: Path):
    if at:
        broken_run(tmp_path, at, kind)
    run(tmp_path, resume=True)
    assert_equal_runs(tmp_path, whole)


def test_broken_many_times(tmp_path: Path, whole: Path):
    broken_run(tmp_path, 12)
    for at in (13, 21, 28):
        broken_run(tmp_path, at, resume=True)
    run(tmp_path, resume=True)
    assert_equal_runs(tmp_path, whole)


def test_canary_a_part_of_the_state_forgotten(tmp_path: Path, whole: Path):
    """The comparison above would notice: here the optimiser starts afresh."""
    broken_run(tmp_path, 17)
    replace_state(
        tmp_path, 10, {k: v * 0 for k, v in state(tmp_path, 10).items() if ".second" in k}
    )
    run(tmp_path, resume=True)
    with pytest.raises(AssertionError):
        assert_equal_runs(tmp_path, whole)


def test_the_newest_two_are_kept(whole: Path):
    assert checkpoints.steps_of(whole) == [30, 20]
    assert temporary(whole) == []
    newest = whole / "checkpoints" / "step-000030"
    content = (newest / "model.safetensors").read_bytes()
    assert (whole / "model.safetensors").read_bytes() == content
    manifest = json.loads((newest / "manifest.json").read_text())
    assert manifest["step"] == 30 and len(manifest["sha256"]) == 2


def test_a_finished_run_is_left_as_it_is(tmp_path: Path, whole: Path):
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    heard: list[Any] = []
    found = run(out, resume=True, listeners=[lambda event, run: heard.append(event)])
    assert not [e for e in heard if isinstance(e, Stepped | Saved)]
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before
    assert same(found, weights(checkpoint_model(out)))


def checkpoint_model(out: Path) -> torch.nn.Module:
    from unnoise.models import load

    return load(out)


def test_what_a_crash_left_half_written_is_put_right(tmp_path: Path, whole: Path):
    """Killed after the last checkpoint and before the run's own model file: that one is old."""
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    old = out / "checkpoints" / "step-000020" / "model.safetensors"
    shutil.copy(old, out / "model.safetensors")
    (out / ".model.safetensors.tmp-123").write_bytes(b"half")
    half = out / "checkpoints" / "step-000025"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"whole")
    (half / ".manifest.json.tmp-123").write_bytes(b"half")
    run(out, resume=True)
    assert_equal_runs(out, whole)
    assert temporary(out) == []


# -- damage ---------------------------------------------------------------------------------------


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def zero(path: Path) -> None:
    path.write_bytes(bytes(len(path.read_bytes())))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def remove(path: Path) -> None:
    path.unlink()


def no_table(path: Path) -> None:
    path.write_text("[1, 2]")


PARTS = ["state.safetensors", "model.safetensors", "manifest.json"]
HARMS = [
    (part, harm)
    for part in PARTS
    for harm in (flip, zero, cut, remove, no_table)
    # A manifest that is not there makes no checkpoint, so nothing is passed over.
    if (part, harm) != ("manifest.json", remove)
]


@pytest.mark.parametrize(("part", "harm"), HARMS)
def test_a_damaged_checkpoint_is_passed_over(
    part: str, harm: Callable[[Path], None], tmp_path: Path, whole: Path
):
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    harm(out / "checkpoints" / "step-000030" / part)
    heard: list[Any] = []
    run(out, resume=True, listeners=[lambda event, run: heard.append(event)])
    warnings = [event.text for event in heard if isinstance(event, Warned)]
    assert len(warnings) == 1 and "\n" not in warnings[0]
    assert "step-000030 is passed over" in warnings[0]
    assert [e.step for e in heard if isinstance(e, Stepped)] == list(range(21, 31))
    assert same(state(out, 30), state(whole, 30))


def test_a_checkpoint_without_its_manifest_is_none(tmp_path: Path, whole: Path):
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    remove(out / "checkpoints" / "step-000030" / "manifest.json")
    run(out, resume=True)
    assert_equal_runs(out, whole)


def test_all_damaged_is_refused(tmp_path: Path, whole: Path):
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    for step in (20, 30):
        flip(out / "checkpoints" / f"step-{step:06d}" / "state.safetensors")
    before = {p: p.read_bytes() for p in out.rglob("*.safetensors")}
    with pytest.raises(InputError, match=r"every checkpoint in .* is damaged"):
        run(out, resume=True)
    assert {p: p.read_bytes() for p in out.rglob("*.safetensors")} == before


# -- a state that lacks something -----------------------------------------------------------------


def replace_state(
    out: Path, step: int, tensors: dict[str, Any], document: dict[str, Any] | None = None
) -> None:
    """Change a checkpoint's state (None: take out) and its manifest with it."""
    folder = out / "checkpoints" / f"step-{step:06d}"
    old, held = unpack(folder / "state.safetensors")
    kept = {k: v for k, v in {**held, **tensors}.items() if v is not None}
    known = {k: v for k, v in {**old, **(document or {})}.items() if v is not None}
    content = pack(known, kept)
    (folder / "state.safetensors").write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"]["state.safetensors"] = checkpoints.hashlib.sha256(content).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


def assert_refused(out: Path) -> None:
    with pytest.raises(InputError) as caught:
        run(out, resume=True)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400 + 2 * len(str(out))


def test_every_tensor_of_the_state_is_needed(tmp_path: Path, whole: Path):
    keys = sorted(state(whole, 20))
    assert len(keys) > 40 and {k.split(".")[0] for k in keys} == {
        "weights",
        "average",
        "optimiser",
        "guard",
        "scale",
    }
    out = tmp_path / "run"
    for key in keys:
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(whole, out)
        shutil.rmtree(out / "checkpoints" / "step-000030")
        replace_state(out, 20, {key: None})
        assert_refused(out)


@pytest.mark.parametrize("key", ["training", "model", "data", "threads", "step"])
def test_every_entry_of_the_document_is_needed(key: str, tmp_path: Path, whole: Path):
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    for step in (20, 30):
        replace_state(out, step, {}, {key: None})
    assert_refused(out)


# -- a run under other conditions -----------------------------------------------------------------

CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"lr": 1e-3}, "training.lr was 0.003, now 0.001"),
    ({"steps": 60}, "training.steps was 30, now 60"),
    ({"batch": 8}, "training.batch was 16, now 8"),
    ({"seed": 4}, "training.seed was 0, now 4"),
    ({"label_dropout": 0.2}, "training.label_dropout was 0.1, now 0.2"),
    ({"precision": "bfloat16"}, "training.precision was float32, now bfloat16"),
    ({"dropout": 0.0}, "model.network.dropout was 0.2, now 0.0"),
]


@pytest.mark.parametrize(("change", "sentence"), CHANGES)
def test_changed_settings_are_named(
    change: dict[str, Any], sentence: str, tmp_path: Path, whole: Path
):
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    with pytest.raises(InputError) as caught:
        run(out, resume=True, **change)
    assert sentence in str(caught.value) and "fork=" in str(caught.value)
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


def test_changed_data_is_named(whole: Path, tmp_path: Path):
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    with pytest.raises(InputError, match=r"data was moons \(hash [0-9a-f]+\), now"):
        fit(diffusion(dropout=0.2), moons(count=100, seed=1), **EVERY_TEN, out=out, resume=True)


def test_settings_that_only_write_may_change(tmp_path: Path, whole: Path):
    broken_run(tmp_path, 17)
    run(tmp_path, resume=True, save_every=None)
    assert same(state(tmp_path, 30), state(whole, 30))


@pytest.mark.parametrize(
    ("change", "named"),
    [({"threads": 2}, "threads 2"), ({"micro_batch": 8}, "micro_batch 8")],
)
def test_other_rounding_is_said_aloud(
    change: dict[str, Any], named: str, tmp_path: Path, whole: Path
):
    out = tmp_path / "run"
    broken_run(out, 17) if out.exists() else shutil.copytree(whole, out)
    heard: list[Any] = []
    run(out, resume=True, listeners=[lambda event, run: heard.append(event)], **change)
    warnings = [event.text for event in heard if isinstance(event, Warned)]
    assert len(warnings) == 1 and named in warnings[0] and "rounding" in warnings[0]


def test_another_torch_is_said_aloud(tmp_path: Path, whole: Path):
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    replace_state(out, 30, {}, {"torch": "2.11.0"})
    heard: list[Any] = []
    run(out, resume=True, listeners=[lambda event, run: heard.append(event)])
    (warning,) = (event.text for event in heard if isinstance(event, Warned))
    assert "2.11.0" in warning and torch.__version__ in warning


def test_the_threads_of_the_run_are_taken_up_again(tmp_path: Path):
    with pytest.raises(Broken):
        run(tmp_path, listeners=[breaking(17)], threads=2)
    seen: list[int] = []
    run(tmp_path, resume=True, threads=None, listeners=[lambda e, r: seen.append(r.threads)])
    assert set(seen) == {2}


def test_a_folder_that_holds_a_run_is_not_overwritten(whole: Path):
    before = {p: p.read_bytes() for p in whole.rglob("*") if p.is_file()}
    with pytest.raises(InputError, match="already holds a run"):
        fit(diffusion(), points(), **EVERY_TEN, out=whole)
    assert {p: p.read_bytes() for p in whole.rglob("*") if p.is_file()} == before


def test_a_disk_that_refuses_leaves_the_old_checkpoint(tmp_path: Path):
    broken_run(tmp_path, 17)
    before = {p: p.read_bytes() for p in (tmp_path / "checkpoints").rglob("*") if p.is_file()}
    shutil.rmtree(tmp_path / "checkpoints" / "step-000020", ignore_errors=True)
    (tmp_path / "checkpoints" / "step-000020").write_text("in the way")
    with pytest.raises(StorageError, match=r"cannot make .*step-000020: File exists"):
        run(tmp_path, resume=True)
    (tmp_path / "checkpoints" / "step-000020").unlink()
    after = {p: p.read_bytes() for p in (tmp_path / "checkpoints").rglob("*") if p.is_file()}
    assert after == before


def test_pictures_resume_too(tmp_path: Path):
    """With dequantisation, whose draws belong to the step."""

    def one(out: Path, **more: Any) -> None:
        fit(diffusion(pictures()), pictures(), **{**EVERY_TEN, **more}, out=out)

    one(tmp_path / "whole")
    with pytest.raises(Broken):
        one(tmp_path / "broken", listeners=[breaking(15)])
    one(tmp_path / "broken", resume=True)
    assert same(state(tmp_path / "broken", 30), state(tmp_path / "whole", 30))
