"""Files of format 1, kept as they were written, are read and come to the same numbers as then.

What they are and how they were made stands in format1/README.md.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from tests.commands import POINTS, good, refused, train
from tests.commands import unnoise as command
from unnoise import Diffusion, Noise, load
from unnoise.core.errors import DamagedFileError
from unnoise.data import prepared
from unnoise.denoisers import Constant

FILES = Path(__file__).parent / "format1"
MODEL = FILES / "model.safetensors"
EXPECTED = FILES / "expected.safetensors"
WANTED = load_file(EXPECTED)


def here_as_then() -> bool:
    """Whether torch and CPU are those that made the files, so that bits can be promised."""
    with safe_open(EXPECTED, "pt") as file:
        then = file.metadata()
    return then == {"torch": torch.__version__, "cpu": torch.backends.cpu.get_cpu_capability()}


def agree(found: Tensor, wanted: Tensor) -> bool:
    """To the bit where that is promised; elsewhere up to some thirty times the rounding seen."""
    if here_as_then():
        return torch.equal(found, wanted)
    return torch.allclose(found.double(), wanted.double(), rtol=1e-4, atol=1e-4)


def all_agree(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> bool:
    return all(name in found and agree(found[name], wanted[name]) for name in wanted)


# -- a model file ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model() -> Diffusion:
    return load(MODEL)


def samples(model: Diffusion, shift: int = 0) -> Tensor:
    label = [(i + shift) % 10 for i in range(20)]
    return model.sample(20, label=label, seed=1)


def test_what_the_model_knows(model: Diffusion):
    info = model.info
    assert info is not None and info.covariance is not None
    assert (info.name, info.shape, info.classes, info.levels) == ("digits", (1, 8, 8), 10, 17)
    assert info.count == 1200 and info.licence.startswith("CC BY 4.0")
    assert (model.sampling.steps, model.sampling.guidance) == (4, Constant(1.5))


def test_samples(model: Diffusion):
    assert agree(samples(model), WANTED["samples"])


def test_canary_other_labels(model: Diffusion):
    assert not agree(samples(model, shift=1), WANTED["samples"])


def test_log_prob(model: Diffusion):
    found = model.log_prob(WANTED["x"], label=WANTED["label"], steps=16, divergence="hutchinson")
    assert agree(found, WANTED["log_prob"])


def test_canary_other_likelihood(model: Diffusion):
    found = model.log_prob(WANTED["x"], label=WANTED["label"].flip(0), steps=16)
    assert not agree(found, WANTED["log_prob"])


def test_commands(tmp_path: Path):
    file = Path(shutil.copy(MODEL, tmp_path))
    good("sample", file, "-n", 4, "--label", 3, "-o", tmp_path / "threes.npz")
    good("evaluate", file)
    figures = json.loads((tmp_path / "metrics.json").read_text("utf-8"))
    assert figures["count"] == 20 and figures["likelihood_count"] == 3
    good("likelihood", file, "-n", 2)
    figures = json.loads((tmp_path / "likelihood.json").read_text("utf-8"))
    assert figures["likelihood_count"] == 2 and 0 < figures["bits_per_dim"] < 10


@pytest.mark.parametrize("place", [0.02, 0.1, 0.5, 0.9])
def test_canary_a_flipped_bit(place: float, tmp_path: Path):
    content = bytearray(MODEL.read_bytes())
    content[int(place * len(content))] ^= 4
    file = tmp_path / "model.safetensors"
    file.write_bytes(content)
    with pytest.raises(DamagedFileError):
        load(file)
    assert "damaged" in refused("sample", file)


# -- a run, killed half done ----------------------------------------------------------------------


def resumed(folder: Path) -> Path:
    """A copy of the run, gone on with to its end; where torch is another, that is warned of."""
    run = shutil.copytree(FILES / "half-done", folder / "run")
    ended = command("train", run / "recipe.toml", "--out", run, "--resume", "--device", "cpu")
    assert ended.code == 0, ended.err
    assert "resumed at step 20 of 30" in ended.out
    assert not here_as_then() or ended.err == ""
    return run


def losses(run: Path) -> Tensor:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    found = [line["loss"] for line in lines if line["event"] == "step"]
    return torch.tensor(found, dtype=torch.float64)


def test_the_run_goes_on(tmp_path: Path):
    run = resumed(tmp_path)
    assert all_agree(load_file(run / "model.safetensors"), load_file(MODEL))
    assert agree(losses(run), WANTED["losses"])
    assert agree(samples(load(run)), WANTED["samples"])


def test_canary_ten_steps_less():
    run = FILES / "half-done"
    assert not all_agree(load_file(run / "model.safetensors"), load_file(MODEL))
    assert len(losses(run)) == 2


# -- prepared pictures ----------------------------------------------------------------------------


def pictures(seed: int = 0) -> Tensor:
    return prepared(str(FILES / "prepared")).batch(torch.arange(12), Noise(seed, range(12))).x


def test_prepared_pictures():
    data = prepared(str(FILES / "prepared"))
    assert len(data) == 13 and len(prepared(str(FILES / "prepared"), split="test")) == 3
    assert data.info.class_names == ("lying", "upright") and data.info.licence == "CC0-1.0"
    cond = data.batch(torch.arange(12), Noise(0, range(12))).cond
    assert cond is not None and cond.label is not None
    assert torch.equal(cond.label, WANTED["classes"])
    assert agree(pictures(), WANTED["pictures"])


def test_canary_other_pictures():
    """Of another seed they lie elsewhere in their levels, by less than 1/128."""
    assert not agree(pictures(seed=1), WANTED["pictures"])


def test_prepared_pictures_are_trained_on(tmp_path: Path):
    data = f'kind = "prepared"\npath = {json.dumps(str(FILES / "prepared"))}'
    text = POINTS.replace('kind = "moons"\ncount = 100', data)
    model = load(train(tmp_path, text, "--steps", 2))
    assert model.info.class_names == ("lying", "upright") and model.info.levels == 256
    assert bool(model.sample(2, label=[0, 1]).isfinite().all())
