"""``save`` makes the check that ``load`` makes, and ``fit(out=...)`` before the first step."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from tests.small import SETTINGS, Heard, diffusion, pictures, points
from unnoise.catalogue import registry
from unnoise.catalogue.registry import spec
from unnoise.core.errors import InputError, NumbersError
from unnoise.data import TensorDataset
from unnoise.models import Diffusion, files, load, save
from unnoise.networks import MLP
from unnoise.networks.base import Network
from unnoise.training import fit
from unnoise.training.checkpoints import steps_of


class Unregistered(Network):
    """A network of somebody else's, as it is before it has a name."""

    def __init__(self) -> None:
        super().__init__()
        self.shape, self.classes, self.reads = (2,), None, frozenset()
        self.inner = nn.Linear(2, 2)

    def compute(self, x, clock, cond):
        return self.inner(x)


def halved(model: Diffusion) -> None:
    model.bfloat16()


def doubled(model: Diffusion) -> None:
    model.double()


def parametrised(model: Diffusion) -> None:
    parametrizations.weight_norm(model.network.out)  # pyright: ignore


def longer(model: Diffusion) -> None:
    model.network.more = nn.Linear(2, 2)


def shorter(model: Diffusion) -> None:
    del model.network.out


def wider(model: Diffusion) -> None:
    model.network.out = nn.Linear(16, 3)


def told_oddly(model: Diffusion) -> None:
    model.recipe = {"data": {1, 2}}


def described_oddly(model: Diffusion) -> None:
    model.info = replace(points().info, mean=torch.zeros(3))


SPOILED: list[tuple[Callable[[Diffusion], None], str]] = [
    (halved, "bfloat16; files hold float32"),
    (doubled, r"call model.to\(torch.float32\)"),
    (parametrised, "undo what was done"),
    (longer, "is not in the model that its recipe builds"),
    (shorter, "is gone"),
    (wider, r"has shape \(3,\); its recipe builds \(2,\)"),
    (told_oddly, "cannot be written to a file"),
    (described_oddly, "description of the data"),
]


@pytest.mark.parametrize(("spoil", "words"), SPOILED, ids=lambda v: getattr(v, "__name__", ""))
def test_what_could_not_be_read_is_not_written(
    spoil: Callable[[Diffusion], None], words: str, tmp_path: Path
):
    model = diffusion()
    spoil(model)
    with pytest.raises(InputError, match=words) as caught:
        model.save(str(tmp_path / "m.safetensors"))
    assert all(len(line) <= 200 for line in str(caught.value).splitlines())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("spoil", [halved, doubled, parametrised, longer])
def test_training_into_a_folder_says_so_first(spoil: Callable[[Diffusion], None], tmp_path: Path):
    model, heard = diffusion(), Heard()
    spoil(model)
    before = model.info, model.recipe
    with pytest.raises(InputError):
        fit(model, points(), **SETTINGS, out=tmp_path / "run", listeners=[heard])
    assert heard.events == [] and not (tmp_path / "run").exists()
    assert (model.info, model.recipe) == before


@pytest.mark.parametrize("spoil", [parametrised, longer])
def test_training_without_a_folder_asks_nothing(spoil: Callable[[Diffusion], None]):
    model = diffusion()
    spoil(model)
    assert fit(model, points(), **SETTINGS) is model


def test_unregistered(tmp_path: Path):
    model = Diffusion(Unregistered())
    fit(model, points(), **SETTINGS)  # nothing is kept, so nothing is asked
    with pytest.raises(InputError, match=r'@unnoise.register\("network"'):
        fit(model, points(), **SETTINGS, out=tmp_path / "run")
    with pytest.raises(InputError, match="not registered"):
        save(model, tmp_path / "m.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore")  # of torch's own compiler
def test_compiled_networks_have_plain_names(tmp_path: Path):
    """torch.compile puts _orig_mod into every name; files and checkpoints do not have it."""
    plain, model = diffusion(), diffusion()
    model.denoiser.network = torch.compile(model.denoiser.network, backend="eager")  # pyright: ignore
    fit(model, points(), **SETTINGS, out=tmp_path / "run")
    fit(plain, points(), **SETTINGS)
    save(model, tmp_path / "m.safetensors")
    for path in (tmp_path / "run", tmp_path / "m.safetensors"):
        again = load(path)
        assert spec(again) == spec(plain) and again.state_dict().keys() == plain.state_dict().keys()
        assert torch.allclose(again.sample(3), plain.sample(3), atol=1e-5)


def test_a_module_of_that_name_keeps_it(tmp_path: Path):
    """A network's own part may be called ``module``; only what a wrapper put there is left out."""
    model = diffusion()
    model.network.module = nn.Linear(2, 2)
    with pytest.raises(InputError, match=r"network\.module"):
        save(model, tmp_path / "m.safetensors")


def test_lazy_layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Their weights have no shape before the first call; a file's are then taken as they are."""
    tables = {family: dict(table) for family, table in registry._CATALOGUE.items()}
    monkeypatch.setattr(registry, "_CATALOGUE", tables)

    @registry.register("network", "lazy")
    class Lazy(Unregistered):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.LazyLinear(2)

    model, path = Diffusion(Lazy()), tmp_path / "m.safetensors"
    with pytest.raises(InputError, match="no shape yet"):
        save(model, path)
    x = model.sample(2)
    save(model, path)
    assert torch.equal(load(path).sample(2), x)


def test_nan_is_not_saved(tmp_path: Path):
    model = diffusion()
    with torch.no_grad():
        model.network.out.weight[0, 0] = torch.nan  # pyright: ignore
    with pytest.raises(NumbersError, match=r"network\.out\.weight"):
        model.save(str(tmp_path / "m.safetensors"))
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_computes_in_float64(tmp_path: Path):
    """torch.set_default_dtype and a default device are the caller's; a file has neither."""
    model = diffusion()
    save(model, tmp_path / "m.safetensors")
    torch.set_default_dtype(torch.float64)
    try:
        save(model, tmp_path / "again.safetensors")
        assert next(load(tmp_path / "m.safetensors").parameters()).dtype == torch.float32
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    with torch.device("meta"):
        assert load(tmp_path / "m.safetensors").device.type == "cpu"


@pytest.mark.parametrize("names", [("\udcb0\udced", "b"), ("고양이", "개")])
def test_class_names_of_any_bytes(names: tuple[str, ...], tmp_path: Path):
    rows = pictures()
    labels = rows.labels % 2 if rows.labels is not None else None
    data = TensorDataset("mine", rows.stored, labels, levels=5, class_names=names)
    model = Diffusion(MLP(shape=(1, 4, 4), width=8, classes=2))
    fit(model, data, **SETTINGS, out=tmp_path)
    assert load(tmp_path).info.class_names == names and steps_of(tmp_path) == [30]


def test_canary_no_check(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Without it a model of bfloat16 is written, and refused when it is read."""
    model = diffusion().bfloat16()
    monkeypatch.setattr(files, "_weights", lambda model, wanted: model.state_dict())
    save(model, tmp_path / "m.safetensors")
    with pytest.raises(InputError, match="not those that its recipe describes"):
        load(tmp_path / "m.safetensors")
