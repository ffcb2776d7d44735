"""Torch's modes around any call: the same numbers, and the modes as they were."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.small import diffusion, fill, pictures
from unnoise import MLP, VP, ScoreDiffusion
from unnoise.models import Diffusion, Measurement
from unnoise.operators import Mask
from unnoise.system import modes
from unnoise.system.modes import evaluating, plain_modes
from unnoise.training import fit


@contextmanager
def by_default(dtype: torch.dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


MODES: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "inference": torch.inference_mode,
    "float64": lambda: by_default(torch.float64),
    "no gradients": torch.no_grad,
    "gradients": torch.enable_grad,
}


def calls() -> dict[str, Callable[[Diffusion], Tensor]]:
    x = pictures()[:3].x
    shown = torch.ones(1, 4, 4)
    shown[:, :2] = 0
    return {
        "sample": lambda m: m.sample(3, steps=3),
        "guided": lambda m: m.sample(3, label=0, guidance=2.0, steps=3),
        "walk": lambda m: list(m.walk(3, steps=3))[-1].x,
        "vary": lambda m: m.vary(x, 0.6, steps=3),
        "given": lambda m: m.sample(3, given=Measurement(Mask(shown), shown * x), steps=3),
        "log_prob": lambda m: m.log_prob(x, label=0, steps=4),
        "elbo": lambda m: m.elbo(x, label=0, steps=3).total,
        "encode": lambda m: m.encode(x),
        "decode": lambda m: m.decode(x),
    }


@pytest.fixture(scope="module")
def model() -> Diffusion:
    return diffusion(pictures())


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
@pytest.mark.parametrize("call", calls().values(), ids=calls())
def test_a_mode_changes_nothing(call: Any, mode: Any, model: Diffusion):
    wanted = call(model)
    with mode():
        found = call(model)
    assert torch.equal(found.clone(), wanted) and found.dtype == wanted.dtype


def test_data_of_inference_mode(model: Diffusion):
    """Tensors that were made there are refused by autograd."""
    with torch.inference_mode():
        x = pictures()[:2].x * 1.0
        assert x.is_inference()
    assert model.log_prob(x, label=0, steps=3).isfinite().all()
    assert model.vary(x, steps=2).isfinite().all()
    assert (
        model.sample(2, given=Measurement(Mask(torch.ones(1, 4, 4)), x), steps=2).isfinite().all()
    )


def test_training_in_any_mode():
    def weights(mode: Any) -> Tensor:
        model = diffusion(pictures())
        with mode():
            fit(model, pictures(), steps=3, batch=8, threads=1)
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    plain = weights(torch.enable_grad)
    for mode in MODES.values():
        assert torch.equal(weights(mode), plain)


@pytest.mark.parametrize("kind", [torch.float64, torch.float16, torch.bfloat16])
def test_models_of_other_types(kind: torch.dtype):
    """The same samples up to the rounding of the type."""
    model = diffusion(pictures())
    x = pictures()[:3].x
    before = model.sample(3, steps=3), model.log_prob(x, label=0, steps=8)
    model.to(kind)
    after = model.sample(3, steps=3), model.log_prob(x, label=0, steps=8)
    assert after[0].dtype == torch.float32
    slack = 1e-4 if kind == torch.float64 else 0.1
    assert torch.allclose(before[0], after[0], atol=slack)
    assert torch.allclose(before[1], after[1], atol=50 * slack)


def test_modes_are_put_back():
    """Also from an error, and of each part of a module by itself."""
    module = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.Dropout())
    module.train()
    module[1].eval()  # frozen by its user
    seen: list[Any] = []

    def fails() -> None:
        with evaluating(module, "cpu", 1):
            seen.extend([module.training, torch.get_default_dtype()])
            seen.extend([torch.is_autocast_enabled("cpu"), torch.is_grad_enabled()])
            raise ZeroDivisionError

    with by_default(torch.float64), torch.autocast("cpu"), pytest.raises(ZeroDivisionError):
        fails()
    assert seen == [False, torch.float32, False, False]
    assert torch.is_grad_enabled() and torch.get_default_dtype() == torch.float32
    assert [each.training for each in module.modules()] == [True, True, False]


def test_threads_that_sample_at_once():
    """The first in sets, the last out puts back."""
    model, before = diffusion(pictures()), torch.get_num_threads()
    model.train()
    inside, out = threading.Barrier(3), threading.Barrier(3)

    def work() -> None:
        with evaluating(model, "cpu", 1):
            inside.wait(20)
            assert not model.training
        out.wait(20)

    workers = [threading.Thread(target=work) for _ in range(2)]
    [worker.start() for worker in workers]
    with evaluating(model, "cpu", 1):
        inside.wait(20)
    out.wait(20)
    [worker.join() for worker in workers]
    assert model.training and torch.get_num_threads() == before
    assert not modes._SHARED.modules and not modes._SHARED.inside  # pyright: ignore


def test_canary_a_guard_that_owns_nothing(model: Diffusion, monkeypatch: pytest.MonkeyPatch):
    """Without it autocast changes likelihoods."""
    wanted = model.log_prob(pictures()[:3].x, label=0, steps=4)

    @contextmanager
    def nothing(*_: Any):
        with torch.no_grad():
            yield

    monkeypatch.setattr("unnoise.models.ode_model.evaluating", nothing)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = model.log_prob(pictures()[:3].x, label=0, steps=4)
    assert not torch.equal(found, wanted)


def test_nested_calls_keep_the_outer_threads():
    before = torch.get_num_threads()
    with plain_modes("cpu", 1):
        with plain_modes("cpu", 2):
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_a_score_of_an_sde_too():
    """ScoreDiffusion stands behind the same guard."""
    model = ScoreDiffusion(MLP((2,), width=8, depth=1), VP())
    fill(model.score_model.network.out)  # pyright: ignore
    x = torch.ones(3, 2) / 4
    calls = (lambda: model.sample(3, steps=4), lambda: model.likelihood(x, steps=3).log_prob)
    for call in calls:
        wanted = call()
        for mode in MODES.values():
            with mode():
                found = call()
            assert torch.equal(found.clone(), wanted)
    assert model.training
