"""What a run may touch in a folder, and what counts as a run."""

import pytest

from tests.small import diffusion, points
from unnoise.core.errors import InputError
from unnoise.tasks import train
from unnoise.training import fit
from unnoise.training.checkpoints import steps_of

TINY = {
    "name": "tiny",
    "data": {"kind": "moons", "count": 50},
    "model": {"kind": "diffusion", "network": {"kind": "mlp", "width": 8, "depth": 1}},
    "training": {"steps": 6, "batch": 4, "save_every": 2},
}


def test_files_of_the_users_stay(tmp_path):
    kept = tmp_path / "checkpoints" / "step-best"
    kept.mkdir(parents=True)
    (kept / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="already holds a run"):
        fit(diffusion(points()), points(), steps=2, batch=4, out=tmp_path)
    with pytest.raises(InputError, match="exists already"):
        train(TINY, tmp_path)
    run = tmp_path / "run"
    train(TINY, run)
    (run / "checkpoints" / "step-best").mkdir()
    (run / "checkpoints" / "step-best" / "notes.txt").write_text("mine")
    (run / "checkpoints" / "step-000004" / "notes.txt").write_text("mine")
    train({**TINY, "training": {**TINY["training"], "steps": 6}}, run, resume=True)
    assert (run / "checkpoints" / "step-best" / "notes.txt").read_text() == "mine"
    assert (run / "checkpoints" / "step-000004" / "notes.txt").read_text() == "mine"


def test_nothing_is_no_run(tmp_path):
    with pytest.raises(InputError, match="leave resume=True out"):
        train(TINY, tmp_path / "typo", resume=True)
    assert not (tmp_path / "typo").exists()
    with pytest.raises(InputError, match="nothing to resume without a folder"):
        fit(diffusion(points()), points(), steps=2, batch=4, resume=True)


def test_damaged_checkpoints_do_not_count_among_those_kept(tmp_path):
    train(TINY, tmp_path / "run")
    newest = tmp_path / "run" / "checkpoints" / "step-000006"
    (newest / "state.safetensors").write_bytes(b"damaged")
    train(TINY, tmp_path / "run", resume=True)
    assert steps_of(tmp_path / "run") == [6, 4]
    assert newest.with_name("damaged-step-000006").is_dir()


def test_a_shipped_recipes_name_resumes_the_runs_own_copy(tmp_path):
    """Line 2 of the README's pair: no --set has to be remembered."""
    changes = {"training.steps": 3, "model.network.width": 8, "training.batch": 4}
    train("moons", tmp_path / "run", changes=changes)
    train("moons", tmp_path / "run", resume=True)
    assert steps_of(tmp_path / "run") == [3]
    with pytest.raises(InputError, match="is a run of 'moons', not of 'digits'"):
        train("digits", tmp_path / "run", resume=True)


def test_a_run_of_very_few_steps_ends_well(tmp_path):
    """Its loss curve has nothing to draw: that is no error."""
    small = {**TINY, "training": {"steps": 1, "batch": 4}}
    train(small, tmp_path / "run")
    assert (tmp_path / "run" / "model.safetensors").exists()


def test_the_environment_does_not_change_the_numbers(tmp_path, monkeypatch):
    """Accelerate reads its settings from the environment too; ours are said outright."""
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "1000")
    changed = fit(diffusion(points()), points(), steps=3, batch=4, seed=1).state_dict()
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION")
    monkeypatch.delenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS")
    plain = fit(diffusion(points()), points(), steps=3, batch=4, seed=1).state_dict()
    assert all((changed[name] == plain[name]).all() for name in plain)
