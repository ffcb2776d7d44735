"""Networks that read anything but labels: sampled, varied, measured, guided, trained."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.small import points
from unnoise.core.condition import Condition
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise, seeded
from unnoise.data import Batch, Dataset
from unnoise.models import Diffusion, Measurement
from unnoise.networks import Network
from unnoise.operators import Mask
from unnoise.testing import NetworkContract
from unnoise.training import Run, Training, fit

SLOTS = ("label", "local", "tokens", "vector")


class Reader(Network):
    """Reads every slot; its text encoder is run once a walk.

    Arguments:
        reads: slots.
        guided: what guidance hides.
    """

    def __init__(self, reads: tuple[str, ...] = SLOTS, guided: tuple[str, ...] = SLOTS) -> None:
        super().__init__()
        self.shape, self.classes = (2,), 3 if "label" in reads else None
        self.reads, self.guided = frozenset(reads), frozenset(guided)
        self.encoded = 0  # how often the text was read
        with seeded(0, "weights"):
            self.label = nn.Embedding(3, 64)
            self.text = nn.Embedding(5, 64, padding_idx=0)
            self.local, self.vector = nn.Linear(4, 64), nn.Linear(3, 64)
            self.into, self.out = nn.Linear(3, 64), nn.Linear(64, 2)

    def null(self, n: int) -> Condition:
        every = {
            "label": torch.zeros(n, dtype=torch.int64),
            "tokens": torch.zeros(n, 1, dtype=torch.int64),
            "local": torch.zeros(n, 4),
            "vector": torch.zeros(n, 3),
        }
        return Condition(**{slot: every[slot] for slot in self.reads})

    def prepare(self, cond: Condition) -> Tensor:
        self.encoded += 1
        nothing = torch.zeros(len(cond), 1, dtype=torch.int64)
        tokens = nothing if cond.tokens is None else cond.tokens
        return self.text(tokens).sum(1)

    def compute(self, x: Tensor, clock: Tensor, cond: Condition | None) -> Tensor:
        assert cond is not None and cond.prepared is not None
        h = self.into(torch.cat([x, clock[:, None] / 20], 1))
        if cond.tokens is not None:
            h = h + cond.prepared * cond.kept("tokens")[:, None]
        for slot in self.reads - {"tokens"}:
            seen = getattr(self, slot)(getattr(cond, slot))
            h = h + seen * cond.kept(slot)[:, None]
        return self.out(nn.functional.silu(h))


class TestReader(NetworkContract):
    make = Reader


class SeesWhatIsHidden(Network):
    """A network that heeds no mask: the contract must say so."""

    shape, classes, reads = (2,), 3, frozenset({"label"})

    def __init__(self) -> None:
        super().__init__()
        self.inner = Reader(("label",))

    def compute(self, x: Tensor, clock: Tensor, cond: Condition | None) -> Tensor:
        assert cond is not None
        return self.inner(x, clock, Condition(label=cond.label))


def test_canary_hidden():
    contract = NetworkContract()
    contract.make = SeesWhatIsHidden
    with pytest.raises(AssertionError):
        contract.test_what_is_hidden_changes_nothing()


def conditions(n: int, seed: int = 0) -> Condition:
    noise = Noise(seed, range(n))
    return Condition(
        label=torch.arange(n) % 3,
        tokens=1 + torch.arange(2 * n).reshape(n, 2) % 4,
        local=noise.child("local").normal(torch.empty(n, 4)),
        vector=noise.child("vector").normal(torch.empty(n, 3)),
    )


def told(reads: tuple[str, ...], cond: Condition) -> Condition:
    return Condition(**{slot: getattr(cond, slot) for slot in reads})


@pytest.fixture(params=[*[(slot,) for slot in SLOTS], SLOTS], ids="+".join)
def model(request: pytest.FixtureRequest) -> Diffusion:
    return Diffusion(Reader(request.param))


def test_a_network_that_reads_anything_is_sampled_varied_and_measured(model: Diffusion):
    cond = told(tuple(model.network.reads), conditions(5))
    x = model.sample(5, cond, steps=4)
    assert torch.equal(model.sample(2, cond[3:], first=3, steps=4), x[3:])
    # Without a condition labels come in turn, as here; all else is left open.
    assert torch.equal(model.sample(5, steps=4), x) == (model.network.reads == {"label"})
    assert model.vary(x, 0.5, steps=4).shape == (5, 2)
    assert model.encode(x, cond).shape == (5, 2) and model.encode(x).shape == (5, 2)
    for asked in (cond, None):
        assert torch.isfinite(model.log_prob(x, asked, steps=4)).all()
    assert torch.isfinite(model.elbo(x, cond, steps=4, draws=1).total).all()
    seen = Measurement(Mask(torch.tensor([True, False])), x[:, :2] * torch.tensor([1.0, 0.0]))
    assert torch.equal(model.sample(5, given=seen, steps=4)[:, 0], x[:, 0])


def test_guidance_hides_what_the_network_says(model: Diffusion):
    slots = model.network.reads
    cond = told(tuple(slots), conditions(4))
    plain, none, strong = (model.sample(4, cond, guidance=g, steps=4) for g in (1, 0, 3))
    assert not torch.equal(plain, strong)
    assert torch.equal(none, model.sample(4, cond.null(slots), guidance=1, steps=4))


def test_what_is_not_guided_is_never_hidden():
    model = Diffusion(Reader(("label", "local"), guided=("label",)))
    cond = told(("label", "local"), conditions(4))
    hidden = cond.null(["label"])
    assert torch.equal(
        model.sample(4, cond, guidance=0, steps=4), model.sample(4, hidden, guidance=1, steps=4)
    )


def test_the_text_is_read_once_a_walk():
    model = Diffusion(Reader())
    cond = conditions(4)
    model.sample(4, cond, steps=8, guidance=2.0)
    assert model.network.encoded == 1  # pyright: ignore[reportAttributeAccessIssue]
    model.log_prob(torch.zeros(4, 2), cond, steps=4)
    assert model.network.encoded == 2  # pyright: ignore[reportAttributeAccessIssue]


class Silent(Reader):
    """It reads a vector and does not say what stands for none."""

    null = None  # pyright: ignore[reportAssignmentType,reportIncompatibleMethodOverride]


def test_without_a_word_for_nothing_a_condition_is_asked_for():
    model = Diffusion(Silent(("vector",)))
    for ask in (lambda: model.sample(3, steps=2), lambda: model.log_prob(torch.zeros(3, 2))):
        with pytest.raises(InputError, match="reads vector of the condition; give cond"):
            ask()
    cond = told(("vector",), conditions(3))
    assert model.sample(3, cond, steps=2).shape == (3, 2)


def test_labels_are_asked_for_beside_other_slots():
    model = Diffusion(Reader())
    label = torch.tensor([2, 0])
    cond = model.network.null(2)  # pyright: ignore[reportAttributeAccessIssue,reportCallIssue]
    cond = cond.null(["tokens", "local", "vector"])
    asked = Condition(label, cond.tokens, cond.local, cond.vector, keep=cond.keep)
    assert torch.equal(model.sample(2, label=label, steps=3), model.sample(2, asked, steps=3))


class Captioned(Dataset):
    """Points with a condition of every slot."""

    def __init__(self) -> None:
        self.inner = points(64)
        self.info = self.inner.info

    def __len__(self) -> int:
        return len(self.inner)

    def batch(self, index: Tensor, noise: Noise | None = None) -> Batch:
        return Batch(self.inner.batch(index, noise).x, conditions(len(self))[index])


def test_each_slot_is_hidden_by_its_own_draw(tmp_path: Path):
    data = Captioned()
    model = Diffusion(Reader(guided=("label", "tokens", "local")))
    run = Run(model, data, Training(batch=64, label_dropout=0.5), None)
    cond = run.batch(0)[0].cond
    assert cond is not None and cond.kept("vector").all()
    masks = [cond.kept(slot) for slot in ("label", "tokens", "local")]
    assert all(10 < int(mask.sum()) < 54 for mask in masks)  # false alarm below 1e-7
    assert not any(torch.equal(masks[i], masks[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    fit(model, data, Training(steps=2, batch=8))
