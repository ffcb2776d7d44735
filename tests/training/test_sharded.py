"""Two processes that hold half of everything each (FSDP2) train as two that hold all of it."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.training.test_together import LAUNCHER
from unnoise.models import load
from unnoise.system.files import unpack
from unnoise.training.snapshots import read_average

SEEN = tuple[Path, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> SEEN:
    """The folder of the runs, and what each process saw."""
    out = tmp_path_factory.mktemp("sharded")
    words = ["--nproc-per-node", "2", "-m", "tests.training.two_sharded", str(out)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*LAUNCHER, *words], env=env, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    return out, [json.loads((out / f"said-{rank}.json").read_text()) for rank in (0, 1)]


def state(run: Path, step: int = 30) -> dict[str, Tensor]:
    return unpack(run / "checkpoints" / f"step-{step:06d}" / "state.safetensors")[1]


def away(a: dict[str, Tensor], b: dict[str, Tensor], prefix: str) -> float:
    """Largest relative distance of tensors whose names begin so."""
    names = [name for name in a if name.startswith(prefix)]
    return max(float((a[n] - b[n]).norm() / b[n].norm().clamp(min=1e-9)) for n in names)


def test_halves_learn_what_wholes_learn(seen: SEEN):
    """Weights, averages and optimiser to rounding; the clipped norm is summed in another order."""
    shared, copied = state(seen[0] / "sharded"), state(seen[0] / "replicated")
    assert shared.keys() == copied.keys() and len(shared) > 30
    assert all(shared[name].shape == copied[name].shape for name in shared)
    for part in ("weights.", "average.0.", "average.1.", "optimiser."):
        assert away(shared, copied, part) < 1e-5
    assert away(shared, copied, "weights.") < 1e-6
    assert away(shared, state(seen[0] / "replicated", 15), "weights.") > 1e-3  # the canary


def test_halves_are_halves(seen: SEEN):
    whole, parts = seen[1][0]["held False"], [said["held True"] for said in seen[1]]
    assert sum(parts) == whole and max(parts) < 0.52 * whole


def test_resumed_to_the_bit(seen: SEEN):
    gone_on, never_stopped = state(seen[0] / "resumed"), state(seen[0] / "sharded")
    assert all(torch.equal(gone_on[name], never_stopped[name]) for name in never_stopped)
    assert seen[1][0]["resumed"]["losses"] == seen[1][0]["sharded"]["losses"][15:]


def test_looks_see_the_average(seen: SEEN):
    """In the middle and at the end; the model that stays is the one in the folder, everywhere."""
    first, second = seen[1]
    for a, b in zip(first["sharded"]["looks"], first["replicated"]["looks"], strict=True):
        assert torch.tensor(a) == pytest.approx(torch.tensor(b), abs=1e-4)
    assert first["sharded"]["looks"][1] == first["sharded"]["sample"]
    assert first["sharded"]["looks"][0] != first["sharded"]["looks"][1]  # the canary
    assert second["sharded"]["sample"] == first["sharded"]["sample"]
    kept = load(seen[0] / "sharded").sample(3).flatten().tolist()
    assert kept == pytest.approx(first["sharded"]["sample"], abs=1e-6)


def test_snapshots_are_whole(seen: SEEN):
    a, b = (read_average(seen[0] / name, width=0.1) for name in ("sharded", "replicated"))
    assert away(a.state_dict(), b.state_dict(), "denoiser.") < 1e-5


def test_a_broken_weight_is_named_by_both(seen: SEEN):
    for said in seen[1]:
        assert "weight denoiser.network.out.weight" in said["broken"]
