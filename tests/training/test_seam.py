"""Ten lines from a data set and a network of one's own to a saved model and a picture."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch.utils import data as torch_data

import unnoise
from tests.small import diffusion, pictures, points
from unnoise import InputError, load
from unnoise.core.errors import either, speaking_of_commands
from unnoise.core.noise import Noise
from unnoise.data import TensorDataset
from unnoise.training import fit

SCRIPT = """\
import torch, unnoise
@unnoise.register("network", "mine")
def mine():
    return Net()
class Net(torch.nn.Linear):
    def __init__(self): super().__init__(2, 2)
    def forward(self, x, clock): return super().forward(x)
data = torch.utils.data.TensorDataset(torch.randn(200, 2) * 30 + 500)
model = unnoise.fit(unnoise.Diffusion(mine(), shape=(2,)), data, steps=20, out="run")
unnoise.show(model.sample(64), model).save("picture.png")
"""


def test_ten_lines(tmp_path: Path):
    assert len(SCRIPT.splitlines()) == 10
    (tmp_path / "plug.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "plug.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "picture.png") as image:
        assert min(image.size) > 100
    asked = f"import plug, unnoise; print(unnoise.load({str(tmp_path / 'run')!r}).sample(3).shape)"
    (tmp_path / "plug.py").write_text("\n".join(SCRIPT.splitlines()[:7]))
    again = subprocess.run(
        [sys.executable, "-c", asked], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert "[3, 2]" in again.stdout, again.stderr


FEW = {"training.steps": 2, "training.batch": 8, "model.network.width": 8}


def test_a_recipe_with_data_of_ones_own(tmp_path: Path):
    """A pair, a torch data set, a path; the run says nothing of data that only Python knows."""
    x = Noise(0, range(40)).normal(torch.empty(40, 2))
    pair = (5 * x, torch.arange(40) % 2)
    out = tmp_path / "pair"
    model = unnoise.train("moons", out, data=pair, changes=FEW, device="cpu", progress=False)
    assert model.info.class_counts == (20, 20) and model.info.count == 40
    assert "[data]" not in (out / "recipe.toml").read_text() and load(out).info.shape == (2,)
    again: dict[str, Any] = {"device": "cpu", "progress": False, "resume": True}
    more = unnoise.train(out / "recipe.toml", out, data=pair, **again)
    assert torch.equal(more.sample(3, steps=2), model.sample(3, steps=2))
    with pytest.raises(InputError, match="data: this table is needed"):
        unnoise.train(out / "recipe.toml", out, **again)
    named = torch_data.TensorDataset(*pair)
    other = unnoise.train("moons", tmp_path / "t", data=named, changes=FEW, device="cpu")
    assert torch.equal(other.sample(3, steps=2), model.sample(3, steps=2))


def test_a_run_of_before_goes_on_with_its_own_numbers(tmp_path: Path):
    """Data that was trained on without standardising is not standardised by a resumed run."""
    x = 9 * Noise(0, range(40)).normal(torch.empty(40, 2))
    how: dict[str, Any] = {"steps": 6, "batch": 8, "threads": 1, "save_every": 2}
    plain = TensorDataset("x", x, standardize=False)
    whole = diffusion(points(), classes=None)
    fit(whole, plain, out=tmp_path / "a", **how)
    again = diffusion(points(), classes=None)
    fit(again, TensorDataset("x", x), out=tmp_path / "a", resume=True, **how)
    assert again.info.scale == 1.0
    assert torch.equal(again.sample(2, steps=2), whole.sample(2, steps=2))


def test_messages_speak_of_what_their_reader_wrote(tmp_path: Path):
    """Arguments to Python, options to the command line."""
    assert either("resume=True", "--resume") == "resume=True"
    with speaking_of_commands():
        assert either("resume=True", "--resume") == "--resume"
    assert either("a", "b") == "a"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.toml").write_text("")
    with pytest.raises(InputError) as caught:
        unnoise.train("moons", tmp_path / "run")
    assert "resume=True" in str(caught.value) and "--" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("learning_rate", "lr"), ("batch_size", "batch"), ("epochs", "steps"), ("num_steps", "steps")],
)
def test_settings_of_other_libraries(wrong: str, right: str):
    with pytest.raises(InputError, match=f"Did you mean '{right}'"):
        fit(diffusion(pictures()), pictures(), **{wrong: 1})


def test_a_map_stays_with_the_weights(tmp_path: Path):
    """Of a resumed run whose model file is gone, and of a second training. Canary: a new model."""
    x = 9 * Noise(0, range(40)).normal(torch.empty(40, 2))
    how: dict[str, Any] = {"steps": 4, "batch": 8, "threads": 1}
    model = diffusion(points(), classes=None)
    model.info = None
    fit(model, TensorDataset("x", x, standardize=False), out=tmp_path / "a", **how)
    (tmp_path / "a" / "model.safetensors").unlink()
    again = diffusion(points(), classes=None)
    again.info = None
    fit(again, TensorDataset("x", x), out=tmp_path / "a", resume=True, **how)
    assert again.info.scale == 1.0
    fit(model, x, **how)
    assert model.info.scale == 1.0
    new = diffusion(points(), classes=None)
    new.info = None
    fit(new, x, **how)
    assert new.info.scale != 1.0
