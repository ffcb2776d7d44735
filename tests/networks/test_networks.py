"""The laws of networks over the registry, and what is special to ours."""

import pytest
import torch
from torch import nn

from tests.kinds import breaks, make
from unnoise.catalogue.registry import names
from unnoise.core.condition import Condition
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.networks import MLP, ClassifierNetwork, HalfUNet, Network, UNet
from unnoise.networks.embeddings import fourier
from unnoise.networks.patches import join, split
from unnoise.testing import ClassifierContract, NetworkContract


class TestRegistered(NetworkContract):
    @pytest.fixture(autouse=True, params=names("network"))
    def kind(self, request: pytest.FixtureRequest) -> None:
        self.name = request.param

    def make(self):
        return make("network", self.name)


class TestUNetOfSignals(NetworkContract):
    def make(self):
        return UNet((2, 16), width=8, multipliers=(1, 2, 3))


class TestUNetOfPatches(NetworkContract):
    def make(self):
        return UNet((2, 8, 12), width=8, patch=2)


class TestUNetOfPatchesOfSignals(NetworkContract):
    def make(self):
        return UNet((1, 32), width=8, multipliers=(1, 2), patch=4)


class TestRegisteredClassifiers(ClassifierContract):
    @pytest.fixture(autouse=True, params=names("classifier"))
    def kind(self, request: pytest.FixtureRequest) -> None:
        self.name = request.param

    def make(self):
        return make("classifier", self.name)


class TestHalfUNetOfSignals(ClassifierContract):
    def make(self):
        return HalfUNet((2, 32), 3, width=8, multipliers=(1, 2), patch=2)


class TestMLPOfPoints(NetworkContract):
    def make(self):
        return MLP((2,), width=32, depth=1)


@pytest.mark.parametrize("kind", sorted({*names("network")} - {"foreign"}))
def test_seeds_differ(kind: str):
    one, other = make("network", kind), type(make("network", kind))(shape=(1, 8, 8), seed=1)
    first, second = (next(p for p in each.parameters() if p.ndim > 1) for each in (one, other))
    assert not torch.equal(first.flatten()[:9], second.flatten()[:9])


def test_fourier_keeps_a_thousand_clocks_apart_under_autocast():
    clock = torch.linspace(-20, 20, 1000)
    with torch.autocast("cpu", torch.bfloat16):
        features = fourier(clock, 64)
    assert features.dtype == torch.float32
    assert torch.equal(features, fourier(clock, 64))
    near = torch.cdist(features, features) + 10 * torch.eye(1000)
    assert float(near.min()) > 1e-3  # no level is taken for another
    assert len(features.bfloat16().unique(dim=0)) == 1000  # what a Linear sees under autocast


@pytest.mark.parametrize("kind", [MLP, UNet])
def test_training_tells_the_null_condition_from_labels(kind: type[Network]):
    """Trained on label 0 -> -1, label 1 -> +1, hidden -> 0, it says so."""
    network = kind((1, 4, 4), width=16, classes=2)
    x = Noise(0, range(48)).normal(torch.empty(48, 1, 4, 4))
    label, keep = torch.arange(48) % 2, torch.arange(48) % 3 > 0
    cond, clock = Condition(label=label, keep=keep), torch.zeros(48)
    target = torch.where(keep, 2.0 * label - 1, 0.0).reshape(-1, 1, 1, 1).expand_as(x)
    optimiser = torch.optim.Adam(network.parameters(), lr=5e-3)
    for _ in range(60):
        optimiser.zero_grad()
        (network(x, clock, cond) - target).square().mean().backward()
        optimiser.step()
    said = network(x, clock, cond).mean((1, 2, 3)).detach()
    assert float((said - target.mean((1, 2, 3))).abs().max()) < 0.3


def test_dropout_draws_only_in_training():
    network = MLP((4,), width=32, depth=2, dropout=0.5)
    nn.init.ones_(network.out.weight)
    for block in network.trunk.blocks:
        nn.init.ones_(block.out.weight)
    x, clock = torch.ones(64, 4), torch.zeros(64)
    network.eval()
    assert len(network(x, clock).detach().unique(dim=0)) == 1
    network.train()
    with torch.random.fork_rng():
        assert len(network(x, clock).detach().unique(dim=0)) > 32


def test_patches_are_pixels_in_another_order():
    x = Noise(0, range(2)).normal(torch.empty(2, 3, 8, 12))
    assert torch.equal(split(x, 2), nn.functional.pixel_unshuffle(x, 2))
    assert torch.equal(join(split(x, 4), 4), x) and torch.equal(split(x, 1), x)
    signal = torch.arange(12.0).reshape(1, 1, 12)
    assert split(signal, 3)[0].tolist() == [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]
    assert torch.equal(join(split(signal, 3), 3), signal)
    assert not torch.equal(split(x, 2), x.reshape(2, 12, 4, 6))  # the canary


def test_patches_see_where_a_pixel_is():
    """One output pixel of a patch follows its own input pixel, not the patch as a whole."""
    network = UNet((1, 8, 8), width=16, patch=2)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    x = Noise(0, range(64)).normal(torch.empty(64, 1, 8, 8))
    for _ in range(150):
        optimiser.zero_grad()
        (network(x, torch.zeros(64)) - x).square().mean().backward()
        optimiser.step()
    away = (network(x, torch.zeros(64)) - x).detach().square().mean()
    assert float(away) < 0.1  # blind to where in a patch: 0.75


def test_unet_refuses_shapes_that_do_not_halve():
    for shape in ((1, 7, 8), (3,), (1, 2, 3, 4)):
        with pytest.raises(InputError, match=r"divide by 2.*MLP"):
            UNet(shape, width=8)
    with pytest.raises(InputError, match=r"divide by 4.*smaller patch"):
        UNet((1, 8, 10), width=8, patch=2)


# ------------------------------------------------------------------------------------ canaries


class Bad(Network):
    """A linear network with one thing wrong at a time."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.shape, self.reads = how, (4,), frozenset({"label"})
        with torch.random.fork_rng():
            if how != "unseeded":
                torch.manual_seed(0)
            self.clock, self.label = nn.Linear(1, 16), nn.Embedding(3, 16)
            self.into, self.out = nn.Linear(4, 16), nn.Linear(16, 4)
            self.unused = nn.Linear(2, 2) if how == "unused" else None
        if how == "global draws":
            torch.randn(1)
        self.norm = nn.BatchNorm1d(16)

    def compute(self, x, clock, cond):
        clock = clock.bfloat16().float() if self.how == "rounded clock" else clock
        keep = cond.kept() if self.how != "never null" else torch.ones(len(x)).bool()
        h = self.into(x) + self.label(torch.where(keep, cond.label % 2, 2))
        if self.how != "deaf":
            h = h + self.clock(clock[:, None].to(x.dtype))
        if self.how == "batch norm":
            h = self.norm(h)
        h = self.out(torch.relu(0 * h if self.how == "blind" else h))
        return h.float() if self.how == "single" else h


class Blur(ClassifierNetwork):
    """A classifier that cannot see where a number is, and has opinions before it has learned."""

    def __init__(self) -> None:
        super().__init__()
        self.shape, self.classes = (4,), 3
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.out = nn.Linear(1, 3)

    def compute(self, x, clock):
        return self.out(x.mean(1, keepdim=True))


@pytest.mark.parametrize("law", ["test_begins_without_an_opinion", "test_sees_where_a_number_is"])
def test_canary_classifier(law: str):
    breaks(ClassifierContract, law, Blur)


class Flat(Network):
    """Gives one number where an event is wanted."""

    def __init__(self) -> None:
        super().__init__()
        self.shape, self.reads, self.classes = (4,), frozenset(), None
        self.out = nn.Linear(4, 1)

    def compute(self, x, clock, cond):
        return self.out(x)


def test_canary_events():
    breaks(NetworkContract, "test_gives_events", Flat)


@pytest.mark.parametrize(
    ("law", "how"),
    [
        ("test_gradients_reach_every_weight", "unused"),
        ("test_listens_to_the_clock", "deaf"),
        ("test_thousand_clocks_stay_apart", "rounded clock"),
        ("test_labels_and_their_absence_differ", "never null"),
        ("test_weights_come_from_the_seed", "unseeded"),
        ("test_weights_come_from_the_seed", "global draws"),
        ("test_rows_are_independent", "batch norm"),
        ("test_learns_a_batch_by_heart", "blind"),
        ("test_float64", "single"),
    ],
)
def test_canary_network(law: str, how: str):
    with torch.random.fork_rng():
        breaks(NetworkContract, law, lambda: Bad(how))


def test_canary_refusals():
    class Lenient(nn.Module):
        shape, reads, classes = (4,), frozenset({"label"}), 2
        guided = reads

        def forward(self, x, clock, cond=None):
            return x

    breaks(NetworkContract, "test_refuses_other_shapes", Lenient)
    breaks(NetworkContract, "test_refuses_a_missing_label", Lenient)
