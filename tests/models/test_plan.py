"""A request checks itself; a plan is made once and walks any of its rows to the same bits."""

import dataclasses
import importlib
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.small import diffusion, pictures
from unnoise.core.distributions import Normal
from unnoise.core.errors import InputError
from unnoise.denoisers import GaussianDenoiser
from unnoise.models import Diffusion, Plan, SampleRequest, Sampling
from unnoise.solvers import DDIM

plans = importlib.import_module("unnoise.models.plan")


@pytest.fixture
def model() -> Diffusion:
    model = diffusion(pictures())
    model.sampling = Sampling(steps=3, chunk=4, guidance=1.5)
    return model


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"sed": 1}, "no argument 'sed'. Did you mean 'seed'?"),
        ({"temperature": 1}, "no argument 'temperature'. Known: n, cond"),
        ({"n": 0}, "n = 0"),
        ({"first": -1}, "first = -1"),
        ({"seed": 0.5}, "seed = 0.5"),
        ({"solver": "heum"}, "Did you mean 'heun'?"),
        ({"guidance": -1.0}, "guidance"),
        ({"near": 3}, "near = 3"),
        ({"given": 3}, "given = 3"),
    ],
)
def test_a_request_checks_itself(wrong: dict[str, Any], said: str):
    keywords: Any = {"n": 4, **wrong}
    with pytest.raises(InputError) as caught:
        SampleRequest.of(keywords.pop("n"), None, keywords)
    assert said in str(caught.value) and len(str(caught.value)) <= 200


def test_a_request_is_read_once():
    request = SampleRequest(3, solver="ddim", guidance=2)
    assert request.solver == DDIM() and request.n == 3
    with pytest.raises(dataclasses.FrozenInstanceError):
        request.seed = 1  # pyright: ignore[reportAttributeAccessIssue]


def test_any_rows_have_the_bits_of_all(model: Diffusion):
    plan = model.plan(SampleRequest(11, seed=3, first=5))
    x = plan.sample()
    assert torch.equal(x, model.sample(11, seed=3, first=5))
    assert torch.equal(plan.sample([6, 5, 15]), x[[1, 0, 10]])
    *_, last = plan.walk(range(9, 12))
    assert torch.equal(last.x, x[4:7]) and len(plan) == 3 == last.index + 1
    for wrong in ([4], [16], []):
        with pytest.raises(InputError, match="from 5 to 15"):
            plan.sample(wrong)


def test_a_plan_is_made_once(model: Diffusion, monkeypatch: pytest.MonkeyPatch):
    made: list[int] = []
    real = DDIM.plan

    def counted(self: DDIM, *arguments: Any) -> Any:
        made.append(1)
        return real(self, *arguments)

    monkeypatch.setattr(type(DDIM()), "plan", counted)
    plan = model.plan(SampleRequest(100, solver="ddim"))
    plan.sample()
    *_, _last = plan.walk()
    assert len(made) == 1


def tensors(plan: Plan) -> list[Tensor]:
    held = [getattr(plan, f.name) for f in dataclasses.fields(plan)]
    held += list(vars(plan.request).values()) + list(vars(plan.conditions).values())
    return [each for each in held if isinstance(each, Tensor)]


def test_a_plan_draws_nothing_and_holds_no_rows(model: Diffusion, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        "unnoise.core.noise.Noise.normal", lambda *_: pytest.fail("drawn before the walk")
    )
    plan = model.plan(SampleRequest(1_000_000))
    assert all(each.numel() < 1000 for each in tensors(plan))
    # The canary: what the user gave has its rows.
    plan = model.plan(SampleRequest(5000, label=torch.zeros(5000, dtype=torch.int64)))
    assert any(len(each) == 5000 for each in tensors(plan))


def test_a_sample_keeps_one_step_of_its_walk(model: Diffusion, monkeypatch: pytest.MonkeyPatch):
    """However many steps there are: of large pictures each would take its memory."""
    alive: list[int] = []
    seen: list[weakref.ref[Tensor]] = []
    real = plans.trajectory

    def watched(*arguments: Any, **how: Any) -> Iterator[Any]:
        for step in real(*arguments, **how):
            seen.append(weakref.ref(step.x))
            alive.append(sum(each() is not None for each in seen))
            yield step

    monkeypatch.setattr(plans, "trajectory", watched)
    plan = model.plan(SampleRequest(4, steps=12))
    plan.sample()
    assert len(alive) == 12 and max(alive) <= 3
    alive.clear()
    seen.clear()
    kept = list(plan._begin([0, 1, 2, 3]))  # the canary: who keeps every step has them all
    assert len(kept) == max(alive) == 12


def test_a_plan_takes_a_request(model: Diffusion):
    with pytest.raises(InputError, match=r"plan takes a SampleRequest\(n, ...\); given 3"):
        model.plan(3)  # pyright: ignore[reportArgumentType]


class Counting(GaussianDenoiser):
    """Shares nothing, but says how often it was asked."""

    def __init__(self, inner: GaussianDenoiser) -> None:
        super().__init__()
        self.inner, self.process, self.asked = inner, inner.process, 0

    def forward(self, x: Tensor, t: Tensor, cond: Any = None) -> Normal:
        self.asked += 1
        return self.inner(x, t, cond)


def test_another_denoiser_may_stand_in(model: Diffusion):
    ear = Counting(model.denoiser)
    x = model.plan(SampleRequest(4), ear).sample()
    assert torch.equal(x, model.sample(4)) and ear.asked == 3


def test_the_chunk_goes_by_the_size_of_an_event():
    assert [
        Diffusion(_net(shape)).sampling.chunk
        for shape in ((2,), (1, 64), (1, 8, 8), (3, 16, 16), (3, 32, 32), (3, 64, 64), (3, 99, 99))
    ] == [64, 64, 64, 16, 4, 1, 1]
    model = Diffusion(_net((3, 32, 32)))
    model.sampling = Sampling(chunk=64)
    assert model.sampling.chunk == 64


def _net(shape: tuple[int, ...]) -> Any:
    from unnoise.networks import MLP

    return MLP(shape=shape, width=4, depth=1, context=4)
