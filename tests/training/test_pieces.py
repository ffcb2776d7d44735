"""The engine's parts, one by one: optimiser, average, order, schedule, threads."""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from tests.small import points
from unnoise.catalogue.registry import build, names
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.training import Training, resources
from unnoise.training.averages import Average, exponential
from unnoise.training.feed import examples
from unnoise.training.optim import AdamW, Optimising

# -- AdamW ----------------------------------------------------------------------------------------


def gradients(steps: int, like: list[nn.Parameter]) -> list[list[Tensor]]:
    """Gradients of very different sizes, always the same."""
    noise = Noise(0, [0])
    found: list[list[Tensor]] = []
    for step in range(steps):
        size = 10.0 ** (step % 7 - 4)
        drawn = [noise.child(step).child(i).normal(p[None])[0] for i, p in enumerate(like)]
        found.append([size * g for g in drawn])
    return found


def parameters() -> list[nn.Parameter]:
    return [nn.Parameter(torch.linspace(-1, 1, 12).reshape(3, 4)), nn.Parameter(torch.ones(5))]


def walk(
    weights: list[nn.Parameter], step: Callable[[float], None], settings: Training
) -> list[nn.Parameter]:
    for i, grads in enumerate(gradients(200, weights)):
        for weight, grad in zip(weights, grads, strict=True):
            weight.grad = grad.clone()
        step(settings.rate(i))
    return weights


def ours(settings: Training, decay: float, epsilon: float = 1e-8) -> list[nn.Parameter]:
    weights = parameters()
    named = {str(i): w for i, w in enumerate(weights)}
    return walk(weights, Optimising(AdamW(epsilon), named, weight_decay=decay).step, settings)


def theirs(settings: Training, decay: float, fused: bool) -> list[nn.Parameter]:
    weights = parameters()
    optimiser = torch.optim.AdamW(
        weights, lr=1.0, betas=(0.9, 0.99), weight_decay=decay, fused=fused
    )

    def step(lr: float) -> None:
        optimiser.param_groups[0]["lr"] = lr
        optimiser.step()

    return walk(weights, step, settings)


def distance(a: list[nn.Parameter], b: list[nn.Parameter]) -> float:
    return max(float((x - y).detach().abs().max()) for x, y in zip(a, b, strict=True))


SETTINGS = Training(steps=200, warmup=20, lr=0.05)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adamw_is_torchs(decay: float):
    assert distance(ours(SETTINGS, decay), theirs(SETTINGS, decay, fused=True)) == 0
    # Canaries: another decay, another epsilon.
    assert distance(ours(SETTINGS, decay + 0.01), theirs(SETTINGS, decay, fused=True)) > 1e-3
    assert distance(ours(SETTINGS, decay, 1e-3), theirs(SETTINGS, decay, fused=True)) > 1e-3


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adamw_without_the_kernel(decay: float, monkeypatch: pytest.MonkeyPatch):
    expected = theirs(SETTINGS, decay, fused=False)
    monkeypatch.delattr(torch, "_fused_adamw_")
    found = ours(SETTINGS, decay)
    assert distance(found, expected) <= 2e-6
    monkeypatch.undo()
    assert distance(found, ours(SETTINGS, decay)) <= 2e-6


@pytest.mark.parametrize("kernel", [True, False])
def test_adamw_leaves_alone_what_has_no_gradient(kernel: bool, monkeypatch: pytest.MonkeyPatch):
    if not kernel:
        monkeypatch.delattr(torch, "_fused_adamw_")
    used, idle = parameters()
    optimiser = Optimising(AdamW(), {"used": used, "idle": idle}, weight_decay=0.1)
    used.grad = torch.ones_like(used)
    before = idle.detach().clone()
    optimiser.step(0.1)
    assert torch.equal(idle, before) and float(optimiser.state()["idle.count"]) == 0
    assert not torch.equal(used, parameters()[0]) and float(optimiser.state()["used.count"]) == 1


@pytest.mark.parametrize("kernel", [True, False])
@pytest.mark.parametrize(("most", "scale"), [(1.0, 1.0), (1e-3, 4.0), (1e9, 4.0)])
def test_clipping_is_torchs(
    kernel: bool, most: float, scale: float, monkeypatch: pytest.MonkeyPatch
):
    """Gradients that are ``scale`` times too long, some of them longer than ``most``."""
    expected = parameters()
    optimiser = torch.optim.AdamW(expected, lr=0.01, betas=(0.9, 0.99), weight_decay=0.1)

    def step(rate: float) -> None:
        torch.nn.utils.clip_grad_norm_(expected, most)
        optimiser.step()

    walk(expected, step, SETTINGS)
    if not kernel:
        monkeypatch.delattr(torch, "_fused_adamw_")
    for limit in (most, 1e9):  # the second is the canary: not shrunk at all
        found = parameters()
        named = {str(i): w for i, w in enumerate(found)}
        own = Optimising(AdamW(), named, weight_decay=0.1)

        def clipped(rate: float, own: Optimising = own, limit: float = limit) -> None:
            for weight in own.parameters:
                weight.grad = None if weight.grad is None else weight.grad * scale
            own.clip(limit, scale)
            own.step(0.01)

        walk(found, clipped, SETTINGS)
        assert (distance(found, expected) < 1e-4) == (limit == most)


# -- the average ----------------------------------------------------------------------------------


def distance_left(half_life: float, batch: int, first: int, steps: int) -> float:
    """How far the average still is from weights that jumped from 0 to 1 and stay there."""
    weight = nn.Parameter(torch.zeros(3, dtype=torch.float64))
    average = Average({"w": weight}, exponential(half_life))
    with torch.no_grad():
        weight.fill_(1.0)
    for step in range(first, first + steps):
        average.update(step, batch)
    return 1 - float(average.state()["w"][0])


@pytest.mark.parametrize(("batch", "half_life"), [(16, 1600.0), (128, 12800.0), (1, 50.0)])
def test_half_the_distance_is_left_after_a_half_life(batch: int, half_life: float):
    """Far from the start, where the ramp is over."""
    steps = round(half_life / batch)
    assert distance_left(half_life, batch, 10**6, steps) == pytest.approx(0.5, rel=1e-6)
    assert distance_left(half_life, batch, 10**6, 3 * steps) == pytest.approx(0.125, rel=1e-6)
    # Canary: twice the half-life is another law.
    assert distance_left(2 * half_life, batch, 10**6, steps) > 0.7


def test_the_ramp_forgets_the_first_weights():
    """decay = (1 + n) / (10 + n): their product is left, for any half-life."""
    for steps in (1, 10, 100):
        left = math.prod((1 + n) / (10 + n) for n in range(steps))
        assert distance_left(1e9, 16, 0, steps) == pytest.approx(left, rel=1e-9)
    assert distance_left(1e9, 16, 10**9, 100) > 0.99  # canary: no ramp


def test_no_half_life_no_delay():
    assert distance_left(0.0, 16, 0, 1) == 0
    assert distance_left(0.0, 16, 1000, 1) == 0


def test_swapping_twice_is_nothing():
    weight = nn.Parameter(torch.ones(3))
    average = Average({"w": weight}, exponential(100.0))
    kept = average.state()["w"].clone()
    with torch.no_grad():
        weight.copy_(torch.tensor([2.0, 3.0, 4.0]))
    average.swap()
    assert weight.tolist() == kept.tolist() and average.state()["w"].tolist() == [2, 3, 4]
    average.swap()
    assert weight.tolist() == [2, 3, 4] and torch.equal(average.state()["w"], kept)


# -- order ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("batch", "count"), [(16, 100), (7, 10), (10, 10), (25, 10), (1, 3)])
def test_every_epoch_is_a_permutation(batch: int, count: int):
    steps, data = 5 * count // math.gcd(batch, count), points(count)
    order = torch.cat([examples(3, step, batch, data) for step in range(steps)])
    epochs = order[: len(order) // count * count].reshape(-1, count)
    assert len(epochs) >= 5
    assert torch.equal(epochs.sort(1).values, torch.arange(count).expand_as(epochs))
    different = len({tuple(epoch) for epoch in epochs.tolist()})
    assert different == len(epochs) or count < 5


def test_order_is_a_pure_function():
    data = points(100)
    first = examples(3, 8, 16, data)
    for step in (0, 80, 3):
        examples(4, step, 16, data)
    assert torch.equal(examples(3, 8, 16, data), first)
    assert not torch.equal(examples(4, 8, 16, data), first)
    assert not torch.equal(examples(3, 9, 16, data), first)


# -- the learning rate ----------------------------------------------------------------------------


def test_warm_up_and_cosine():
    settings = Training(steps=110, warmup=10, lr=2.0)
    rates = [settings.rate(step) for step in range(110)]
    assert rates[:10] == pytest.approx([0.2 * (i + 1) for i in range(10)])
    assert rates[10] == pytest.approx(2.0)
    assert rates[60] == pytest.approx(2.0 * (0.02 + 0.98 * 0.5))
    assert rates[109] == pytest.approx(2.0 * 0.02, rel=0.02)
    assert all(a >= b for a, b in pairwise(rates[10:]))


def test_other_schedules():
    flat = Training(steps=50, warmup=5, lr=0.1, schedule=build("schedule", "constant"))
    assert [flat.rate(step) for step in (5, 20, 49)] == [0.1, 0.1, 0.1]
    assert Training(steps=3, warmup=0, lr=0.1).rate(0) == pytest.approx(0.1)
    assert Training(steps=3, warmup=10, lr=0.1).rate(2) == pytest.approx(0.03)


def test_inverse_square_root():
    """Half of the peak at four times where it was left."""
    schedule = build("schedule", {"kind": "inverse-sqrt", "hold": 0.2})
    assert [schedule(p) for p in (0.0, 0.1, 0.2)] == [1.0, 1.0, 1.0]
    assert schedule(0.8) == pytest.approx(0.5) and schedule(1.0) == pytest.approx(5**-0.5)


@pytest.mark.parametrize("name", names("schedule"))
def test_every_schedule_starts_at_its_peak_and_stays_below(name: str):
    schedule = build("schedule", name)
    shares = [schedule(i / 100) for i in range(101)]
    assert shares[0] == pytest.approx(1.0)
    assert all(0 <= share <= 1 + 1e-12 for share in shares)


def test_settings_that_cannot_be():
    for change in ({"betas": (0.9, 1.0)}, {"lr": 0.0}, {"batch": 0}, {"label_dropout": 1.5}):
        with pytest.raises(InputError):
            Training(**change)


# -- threads --------------------------------------------------------------------------------------


class Machine:
    """A clock, a load and a step, all told."""

    def __init__(self, seconds: float, load: float, cores: int) -> None:
        self.seconds, self.load, self.cores, self.now, self.steps = seconds, load, cores, 0.0, 0

    def step(self) -> None:
        self.steps += 1
        # The first step pays for memory and kernels; it must not count.
        self.now += self.seconds if self.steps > 1 else 100 * self.seconds

    def choose(self, patch: pytest.MonkeyPatch, asked: int | None = None) -> tuple[int, str]:
        with patch.context() as inside:
            inside.setattr(resources.time, "perf_counter", lambda: self.now)
            inside.setattr(resources.os, "getloadavg", lambda: (self.load, 0.0, 0.0))
            inside.setattr(
                resources.os, "sched_getaffinity", lambda _: range(self.cores), raising=False
            )
            before = torch.get_num_threads()
            try:
                chosen, why, seconds = resources.choose(self.step, asked)
                assert torch.get_num_threads() == chosen
                assert seconds == pytest.approx(self.seconds)
            finally:
                torch.set_num_threads(before)
        return chosen, why


@pytest.mark.parametrize(
    ("machine", "count", "reason"),
    [
        (Machine(0.005, 0.0, 8), 1, "too short to share"),
        (Machine(0.019, 0.0, 8), 1, "too short to share"),
        (Machine(0.2, 0.1, 2), 2, "1.9 of 2 cores are idle"),
        (Machine(0.2, 0.1, 4), 4, "3.9 of 4 cores are idle"),
        (Machine(0.2, 1.9, 2), 1, "busy (load 1.9 on 2 cores)"),
        (Machine(0.2, 40.0, 8), 1, "busy"),
        (Machine(0.2, 0.0, 1), 1, "busy"),
    ],
)
def test_threads_are_chosen(
    machine: Machine, count: int, reason: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    chosen, why = machine.choose(monkeypatch)
    assert chosen == count and reason in why
    assert machine.steps == 3  # whatever was chosen: others may step along


def test_threads_that_were_asked_for(monkeypatch: pytest.MonkeyPatch):
    machine = Machine(0.2, 0.0, 8)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert machine.choose(monkeypatch, asked=2) == (2, "asked for")
    assert machine.choose(monkeypatch) == (3, "OMP_NUM_THREADS")
    assert machine.steps == 4
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert machine.choose(monkeypatch)[0] > 1
