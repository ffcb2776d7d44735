"""Plain torch modules as networks: trained, guided, asked for likelihoods, saved and loaded."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.small import pictures
from unnoise import VP, Diffusion, InputError, load, register
from unnoise.catalogue.registry import build, spec
from unnoise.core.condition import Condition
from unnoise.networks import Foreign
from unnoise.networks.base import null_condition
from unnoise.training import fit

DATA = pictures()


class Net(nn.Module):
    """What a user has: values and the clock, perhaps a label."""

    def __init__(self, classes: int = 0, width: int = 16) -> None:
        super().__init__()
        self.embed = nn.Embedding(classes, width) if classes else None
        self.into, self.out = nn.Linear(17, width), nn.Linear(width, 16)

    def forward(self, x: Tensor, clock: Tensor, label: Tensor | None = None) -> Tensor:
        h = self.into(torch.cat([x.flatten(1), clock[:, None] / 10], 1))
        if self.embed is not None and label is not None:
            h = h + self.embed(label)
        return self.out(h.tanh()).reshape(x.shape)


class Kept(nn.Module):
    """Notes what it is called with."""

    def __init__(self, answer: Any = None) -> None:
        super().__init__()
        self.seen: list[Any] = []
        self.answer = answer

    def forward(self, x: Tensor, clock: Tensor, label: Tensor) -> Any:
        self.seen.append((x, clock, label))
        return x if self.answer is None else self.answer(x)


def test_trained_guided_and_asked():
    """Classes come from the data; guidance 1 is the plain module, another scale is not."""
    model = Diffusion(Net(4), VP(), shape=(1, 4, 4), reads={"label"})
    assert model.classes is None and model.shape == (1, 4, 4)
    fit(model, DATA, steps=3, batch=8, threads=1)
    assert model.classes == 3
    x = model.sample(3, label=1, steps=3)
    assert not torch.equal(x, model.sample(3, label=1, steps=3, guidance=3.0))
    assert not torch.equal(x, model.sample(3, label=2, steps=3))
    found = model.likelihood(DATA[:2].x, label=DATA[:2].label, steps=4)
    assert found.log_prob.isfinite().all() and found.standard_error.isfinite().all()
    # Canary: a module that ignores labels is not guided.
    deaf = Diffusion(Net(), VP(), shape=(1, 4, 4), reads={"label"})
    fit(deaf, DATA, steps=1, batch=8, threads=1)
    same = [deaf.sample(2, label=k, steps=2) for k in (0, 1)]
    assert torch.equal(*same)


def test_without_a_label():
    model = Diffusion(Net(), VP(), shape=[1, 4, 4])
    fit(model, DATA, steps=2, batch=8, threads=1)
    assert model.classes is None and model.sample(2, steps=2).shape == (2, 1, 4, 4)
    assert model.log_prob(DATA[:2].x, steps=2).isfinite().all()


def test_what_it_is_called_with():
    """Log SNR in float32, and the number of classes for a hidden label."""
    kept = Kept()
    network = Foreign(kept, (1, 4, 4), ("label",), 3)
    cond = Condition(label=torch.tensor([0, 2]), keep=torch.tensor([True, False]))
    network(torch.ones(2, 1, 4, 4), torch.tensor([1.5, -2.0]), cond)
    x, clock, label = kept.seen[0]
    assert label.tolist() == [0, 3] and clock.tolist() == [1.5, -2.0] and x.shape == (2, 1, 4, 4)
    network(torch.ones(2, 1, 4, 4), torch.zeros(2), null_condition(network, 2))
    assert kept.seen[1][2].tolist() == [3, 3]


def test_outputs_of_other_libraries():
    class Output:
        def __init__(self, x: Tensor) -> None:
            self.sample = 2 * x

    x, clock = torch.ones(2, 1, 4, 4), torch.zeros(2)
    cond = Condition(label=torch.zeros(2).long())
    for answer in (Output, lambda x: (2 * x,), lambda x: 2 * x):
        network = Foreign(Kept(answer), (1, 4, 4), ("label",), 3)
        assert torch.equal(network(x, clock, cond), 2 * x)
    for answer in (lambda x: x[:, :, :2], lambda x: None, lambda x: x.flatten(1)):
        with pytest.raises(InputError, match="must return the same shape"):
            Foreign(Kept(answer), (1, 4, 4), ("label",), 3)(x, clock, cond)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Diffusion(Net(), VP()), "give their shape"),
        (lambda: Diffusion(Net(), VP(), shape=(1, 4, 4), reads={"lable"}), "no such slot"),
        (lambda: Diffusion(nn.Linear(2, 2), VP(), shape=(2,)), r"module\(x, clock\)"),
        (lambda: Diffusion(Kept(), VP(), shape=(2,)), r"module\(x, clock\)"),
        (lambda: Diffusion("mlp", VP(), shape=(2,)), "plain torch module"),
        (lambda: Diffusion(3, VP()), "3"),
    ],
)
def test_what_cannot_be_called_is_refused(make: Any, said: str):
    with pytest.raises(InputError, match=said) as caught:
        make()
    assert all(len(line) <= 191 for line in str(caught.value).splitlines())


def test_an_embedding_without_room_for_hidden_labels():
    model = Diffusion(Net(3), VP(), shape=(1, 4, 4), reads={"label"})
    with pytest.raises(InputError, match=r"classes \+ 1 rows"):
        fit(model, DATA, steps=5, batch=16, threads=1, label_dropout=0.9)
    fit(model, DATA, steps=2, batch=16, threads=1, label_dropout=0.0)


def test_a_module_of_nobodys_recipe_is_refused_before_the_first_step(tmp_path: Path):
    """With the two lines to write; nothing is lost, and without a folder it trains."""
    model = Diffusion(Net(4), VP(), shape=(1, 4, 4), reads={"label"})
    with pytest.raises(InputError) as caught:
        fit(model, DATA, steps=2, out=tmp_path / "run")
    assert '@unnoise.register("network", "net") / def net(): return Net(...)' in str(caught.value)
    assert not (tmp_path / "run").exists()
    fit(model, DATA, steps=1, batch=4, threads=1)


def test_saved_by_a_function_that_returns_it(forgotten: None, tmp_path: Path):
    @register("network", "net")
    def net(width: int = 8) -> nn.Module:
        return Net(4, width)

    model = Diffusion(net(width=12), VP(), shape=(1, 4, 4), reads={"label"})
    fit(model, DATA, steps=2, batch=8, threads=1, out=tmp_path / "run")
    again = load(tmp_path / "run")
    assert again.classes == 3 and again.shape == (1, 4, 4)
    assert torch.equal(again.sample(3, steps=2), model.sample(3, steps=2))
    table = spec(model)["network"]
    assert table == {
        "kind": "foreign",
        "module": {"kind": "net", "width": 12},
        "shape": [1, 4, 4],
        "reads": ["label"],
        "classes": 3,
    }
    assert "shape" not in spec(model) and "reads" not in spec(model)


def test_wrapper_arguments_are_no_settings():
    with pytest.raises(InputError, match=r"model\.shape: no such setting"):
        build("model", {"kind": "diffusion", "network": "mlp", "shape": [2]}, "model")
    # And a recipe's own shape does not fill them.
    made = build("model", {"kind": "diffusion", "network": "mlp"}, "model", {"shape": (2,)})
    assert made.shape == (2,)


def test_a_unet_of_diffusers():
    """It says its shape and its labels itself."""
    diffusers = pytest.importorskip("diffusers")
    torch.manual_seed(0)
    unet = diffusers.UNet2DModel(
        sample_size=8,
        in_channels=1,
        out_channels=1,
        block_out_channels=(8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        num_class_embeds=11,
    )
    from unnoise.data import digits

    model = Diffusion(unet, VP())
    assert model.shape == (1, 8, 8) and model.classes == 10
    fit(model, digits(), steps=1, batch=4, threads=1)
    assert model.sample(2, label=3, guidance=2.0, steps=2).isfinite().all()
    assert model.log_prob(digits()[:1].x, label=3, steps=1).isfinite().all()


def test_an_error_of_the_module_stays_its_own():
    """Only a label beyond an embedding is explained as one."""
    network = Foreign(Kept(lambda x: x.unsqueeze(9)), (1, 4, 4), ("label",), 3)
    cond = Condition(label=torch.zeros(2).long())
    with pytest.raises(IndexError, match="Dimension out of range"):
        network(torch.ones(2, 1, 4, 4), torch.zeros(2), cond)
