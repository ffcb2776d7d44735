"""A model's file is complete by itself, and what does not fit together is refused."""

import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import unnoise
from tests.small import diffusion, fill, pictures, points, same, trained, weights
from unnoise.catalogue import registry
from unnoise.core.errors import DamagedFileError, InputError, StorageError
from unnoise.models import Diffusion, Sampling, load, save
from unnoise.networks import MLP
from unnoise.networks.base import Network
from unnoise.spaces import Space
from unnoise.system.files import pack, unpack

PLUGIN = '''
from __future__ import annotations
from torch import nn
import unnoise
from unnoise.networks.base import Network
from unnoise.spaces import Space


@unnoise.register("network", "plugged")
class Plugged(Network):
    """A network of somebody else's."""

    def __init__(self, shape: tuple[int, ...], width: int = 8) -> None:
        super().__init__()
        self.shape, self.classes, self.reads = shape, None, frozenset()
        self.inner = nn.Linear(shape[0], shape[0])

    def compute(self, x, clock, cond):
        return self.inner(x) + clock[:, None]
'''


def saved(model: Diffusion, tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    model.save(str(path))
    return path


def altered(path: Path, document: Mapping[str, Any] = {}, tensors: Mapping[str, Any] = {}) -> Path:
    """The same file with parts of it changed (None: taken out) and a checksum that fits."""
    old, held = unpack(path)
    new = {k: v for k, v in {**old, **document}.items() if v is not None}
    kept: dict[str, Tensor] = {k: v for k, v in {**held, **tensors}.items() if v is not None}
    path.write_bytes(pack(new, kept))
    return path


# -- round trip -----------------------------------------------------------------------------------


def test_the_loaded_model_is_the_saved_one(tmp_path: Path):
    model = trained(pictures())
    model.sampling = Sampling(solver=unnoise.Heun(), steps=4, guidance=1.75, chunk=32)
    model.recipe = {"name": "mine", "training": {"steps": 30}, "data": {"kind": "rows"}}
    found = load(saved(model, tmp_path))
    assert same(weights(found), weights(model))
    assert found.sampling == model.sampling and found.recipe == model.recipe
    for key in (field.name for field in fields(model.info)):
        value = getattr(model.info, key)
        other = getattr(found.info, key)
        assert torch.equal(other, value) if isinstance(value, Tensor) else other == value
    assert registry.spec(found) == registry.spec(model)
    assert torch.equal(found.sample(70), model.sample(70))
    assert not found.training and all(p.device.type == "cpu" for p in found.parameters())


def test_same_model_same_bytes(tmp_path: Path):
    model = trained()
    content = saved(model, tmp_path).read_bytes()
    assert saved(model, tmp_path).read_bytes() == content
    assert saved(load(tmp_path), tmp_path).read_bytes() == content
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] += 1e-6
    assert saved(model, tmp_path).read_bytes() != content


@pytest.mark.parametrize("process", ["vp", "ve", "sub-vp", "cosine", "rectified", "edm"])
def test_every_process_survives(process: str, tmp_path: Path):
    model = Diffusion(MLP(shape=(2,), width=8, depth=1), process, head="v")
    fill(model.network.out)  # pyright: ignore
    found = load(saved(model, tmp_path))
    assert found.process == model.process
    assert torch.equal(found.sample(3, steps=3), model.sample(3, steps=3))
    assert found.info is None


def test_loading_leaves_the_generator_alone(tmp_path: Path):
    path = saved(diffusion(), tmp_path)
    state = torch.get_rng_state()
    load(path)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_folder_or_a_file(tmp_path: Path):
    path = saved(diffusion(), tmp_path)
    assert same(weights(load(tmp_path)), weights(load(path)))
    assert same(weights(unnoise.load(str(path))), weights(load(path)))
    with pytest.raises(InputError, match=r"nothing: no model there"):
        load(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no model there"):
        load(tmp_path / "empty")


# -- what cannot be saved -------------------------------------------------------------------------


class Foreign(Network):
    """A network that nobody registered."""

    def __init__(self) -> None:
        super().__init__()
        self.shape, self.classes, self.reads = (2,), None, frozenset[str]()
        self.inner = torch.nn.Linear(2, 2)

    def compute(self, x: Tensor, clock: Tensor, cond: object) -> Tensor:
        return self.inner(x)


def test_an_unregistered_network_is_refused(tmp_path: Path):
    model = Diffusion(Foreign())
    model.sample(2, steps=2)  # it works, it only cannot be written
    with pytest.raises(InputError, match=r"a Foreign cannot be written .* @unnoise.register"):
        saved(model, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_wrong_suffix_and_missing_folder(tmp_path: Path):
    with pytest.raises(InputError, match=r"saved as a .safetensors file"):
        save(diffusion(), tmp_path / "model.pt")
    with pytest.raises(StorageError, match="No such file or directory"):
        save(diffusion(), tmp_path / "none" / "model.safetensors")


# -- what cannot be loaded ------------------------------------------------------------------------


def test_a_future_format(tmp_path: Path):
    path = altered(saved(diffusion(), tmp_path), {"format": 3})
    with pytest.raises(InputError, match="has format 3; this version of unnoise reads 1 and 2"):
        load(path)


def test_what_training_knew_is_kept(tmp_path: Path):
    """Counts of the classes, and how often a slot was hidden; of older files nobody knows."""
    data = pictures()
    model = trained(data, label_dropout=0.25)
    file = saved(model, tmp_path)
    found = load(file)
    assert unpack(file)[0]["format"] == 2 and found.hidden == {"label": 0.25}
    assert found.info.labels == data.info.labels and found.info.labels.counts == (20, 20, 20)
    assert found.space == data.info.space == model.space
    assert found.info.labels.frequencies.tolist() == [1 / 3] * 3
    old = {k: v for k, v in unpack(file)[0]["data"].items() if k != "class_counts"}
    found = load(altered(file, {"format": 1, "hidden": None, "data": old}))
    assert found.hidden is None and found.info.labels.counts is None
    assert found.info.labels.frequencies is None


def test_the_space_of_a_model_before_its_training():
    model = diffusion()
    model.info = None
    assert model.space == Space((2,)) and model.space.levels is None


@pytest.mark.parametrize("kind", ["state", None])
def test_another_kind_of_file(kind: str | None, tmp_path: Path):
    path = altered(saved(diffusion(), tmp_path), {"kind": kind})
    with pytest.raises(InputError, match="holds no model but a"):
        load(path)


def recipe_with(path: Path, **network: Any) -> dict[str, Any]:
    recipe = unpack(path)[0]["recipe"]
    recipe["model"]["network"].update(network)
    return {"recipe": recipe}


@pytest.mark.parametrize("change", [{"width": 17}, {"depth": 2}, {"classes": 3}, {"width": 60_000}])
def test_weights_of_another_recipe(change: dict[str, int], tmp_path: Path):
    path = saved(diffusion(), tmp_path)
    altered(path, recipe_with(path, **change))
    with pytest.raises(DamagedFileError, match="weights are not those that its recipe describes"):
        load(path)


@pytest.mark.parametrize("width", [10**12, 10**30])
def test_a_recipe_beyond_all_memory(width: int, tmp_path: Path):
    path = saved(diffusion(), tmp_path)
    altered(path, recipe_with(path, width=width))
    with pytest.raises(InputError):
        load(path)


OUT = "model.denoiser.network.out.bias"
WRONG: list[tuple[Any, str]] = [
    (None, "not those that its recipe describes"),
    (torch.zeros(3), "not those that its recipe describes"),
    (torch.zeros(2, dtype=torch.float64), "not those that its recipe describes"),
    (torch.zeros(2, dtype=torch.int64), "not those that its recipe describes"),
    (torch.tensor([0.0, torch.nan]), "out.bias holds NaN"),
    (torch.tensor([-torch.inf, 0.0]), "out.bias holds NaN or infinite"),
]


@pytest.mark.parametrize(("value", "sentence"), WRONG)
def test_wrong_weights(value: Any, sentence: str, tmp_path: Path):
    path = saved(diffusion(), tmp_path)
    assert OUT in unpack(path)[1]
    altered(path, tensors={OUT: value})
    with pytest.raises(DamagedFileError, match=sentence):
        load(path)


def test_a_weight_too_many(tmp_path: Path):
    path = altered(saved(diffusion(), tmp_path), tensors={"model.more": torch.zeros(1)})
    with pytest.raises(DamagedFileError, match="not those that its recipe describes"):
        load(path)


@pytest.mark.parametrize("key", ["shape", "scale", "sha256", "name"])
def test_an_incomplete_description_of_the_data(key: str, tmp_path: Path):
    path = saved(diffusion(), tmp_path)
    data = unpack(path)[0]["data"]
    altered(path, {"data": {k: v for k, v in data.items() if k != key}})
    with pytest.raises(InputError, match="description of the data"):
        load(path)


@pytest.mark.parametrize("recipe", [None, {}, {"model": {}}, {"model": "mlp", "sampling": {}}, 5])
def test_a_recipe_that_is_none(recipe: Any, tmp_path: Path):
    path = altered(saved(diffusion(), tmp_path), {"recipe": recipe})
    with pytest.raises(InputError):
        load(path)


# -- other people's parts -------------------------------------------------------------------------


@pytest.fixture
def forget(monkeypatch: pytest.MonkeyPatch):
    """Makes the process forget the plugin, as a fresh one would not know it."""

    def away() -> None:
        registry._CATALOGUE["network"].pop("plugged", None)  # pyright: ignore
        sys.modules.pop("unnoise_plugin_mine", None)

    yield away
    away()


def test_a_plugin_is_loaded_only_when_named(tmp_path: Path, forget: Any):
    plugin = tmp_path / "mine.py"
    plugin.write_text(PLUGIN)
    registry.load_plugin(plugin)
    model = Diffusion(registry.build("network", {"kind": "plugged", "shape": [2]}))
    model.recipe = {"plugins": [str(plugin)]}
    path = saved(model, tmp_path)
    first = model.sample(3, steps=3)
    forget()
    with pytest.raises(InputError, match=r"'plugged': no such network") as caught:
        load(path)
    assert "mine.py" in str(caught.value) and "plugins=" in str(caught.value)
    assert "\n" not in str(caught.value)
    found = load(path, plugins=(plugin,))
    assert torch.equal(found.sample(3, steps=3), first)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [(None, "no such Python file"), ("def", "SyntaxError"), ("1/0", "ZeroDivisionError")],
)
def test_a_plugin_that_fails(text: str | None, sentence: str, tmp_path: Path):
    plugin = tmp_path / "broken.py"
    if text is not None:
        plugin.write_text(text)
    with pytest.raises(InputError, match=sentence) as caught:
        load(saved(diffusion(points()), tmp_path), plugins=(plugin,))
    assert "\n" not in str(caught.value)
