"""Same seed, same bits: for every n, every first, every solver, whoever calls."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.small import diffusion, pictures, points
from unnoise.catalogue.registry import names
from unnoise.core.condition import Condition
from unnoise.core.errors import InputError
from unnoise.models import Diffusion, Sampling
from unnoise.networks import MLP
from unnoise.solvers import DDIM, LangevinPaper, PredictorCorrector, Solver

SIZES = [1, 2, 3, 5, 8, 16, 32, 64, 65, 130]
SOLVERS = names("solver")


def model_of_pictures() -> Diffusion:
    model = diffusion(pictures())
    model.sampling = Sampling(steps=3, guidance=1.5)
    return model


def differs(draw: Callable[[int], Tensor], sizes: list[int] = SIZES) -> list[int]:
    """The sizes whose samples are not the first ones of the largest."""
    every = draw(max(sizes))
    return [n for n in sizes if not torch.equal(draw(n), every[:n])]


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("guidance", [0.0, 1.0, 2.5])
def test_samples_do_not_depend_on_n(solver: str, guidance: float):
    model = model_of_pictures()
    assert differs(lambda n: model.sample(n, solver=solver, guidance=guidance)) == []


@pytest.mark.parametrize("solver", SOLVERS)
def test_sample_k_alone(solver: str):
    model = model_of_pictures()
    every = model.sample(70, seed=3, solver=solver)
    for k in (0, 17, 63, 64, 69):
        assert torch.equal(model.sample(1, seed=3, solver=solver, first=k)[0], every[k])
    assert torch.equal(model.sample(9, seed=3, solver=solver, first=60), every[60:69])


def patched(monkeypatch: pytest.MonkeyPatch, more: Callable[[Tensor], Tensor | float]) -> Diffusion:
    """A model whose network adds something."""
    compute = MLP.compute
    monkeypatch.setattr(
        MLP, "compute", lambda self, x, clock, cond: compute(self, x, clock, cond) + more(x)
    )
    return model_of_pictures()


def test_the_size_of_a_batch_may_leak_into_the_network(monkeypatch: pytest.MonkeyPatch):
    """As rounding does; the chunks are of one size, so nobody sees it."""
    model = patched(monkeypatch, lambda x: 1e-3 * len(x))
    assert differs(model.sample) == []
    # Canary: one batch of n, and chunks that follow n.
    assert differs(lambda n: model.sample(n, exact=False)) == SIZES[:-1]

    def own_chunks(n: int) -> Tensor:
        model.sampling = replace(model.sampling, chunk=min(n, 64))
        return model.sample(n)

    assert differs(own_chunks) == SIZES[:7]


def test_canary_a_network_that_looks_at_its_neighbours(monkeypatch: pytest.MonkeyPatch):
    model = patched(monkeypatch, lambda x: 0.1 * x.mean())
    assert differs(model.sample) != []


def test_fast_is_the_same_up_to_rounding():
    model = diffusion(pictures(), width=256)
    exact, fast = model.sample(65, steps=5), model.sample(65, steps=5, exact=False)
    assert torch.allclose(exact, fast, atol=1e-4)
    assert not torch.allclose(exact, model.sample(65, steps=5, seed=1), atol=0.1)


def test_seeds_solvers_and_steps():
    model = model_of_pictures()
    assert torch.equal(model.sample(8, seed=5), model.sample(8, seed=5))
    for other in ({"seed": 6}, {"steps": 4}, {"solver": "ancestral"}, {"grid": "uniform"}):
        assert not torch.equal(model.sample(8, seed=5), model.sample(8, **{"seed": 5, **other}))


def test_defaults_are_the_models_own():
    model = model_of_pictures()
    model.sampling = Sampling(steps=4, guidance=2.0)
    spelled = {"steps": 4, "guidance": 2.0, "solver": "auto", "grid": "auto"}
    assert torch.equal(model.sample(5), model.sample(5, **spelled))
    assert not torch.equal(model.sample(5), model.sample(5, guidance=1.0))
    assert not torch.equal(model.sample(5), model.sample(5, guidance=0.0))


def test_labels_in_turn():
    model = model_of_pictures()
    turn = model.sample(7, label="uniform")
    assert torch.equal(turn, model.sample(7, label=[0, 1, 2, 0, 1, 2, 0]))
    assert torch.equal(turn, model.sample(7, Condition(label=torch.arange(7) % 3)))
    later = model.sample(4, label=[2, 0, 1, 2], first=5)
    assert torch.equal(model.sample(4, first=5, label="uniform"), later)
    two = model.sample(7, label=2)
    assert torch.equal(two, model.sample(7, label=torch.full((7,), 2)))
    same = [torch.equal(a, b) for a, b in zip(turn, two, strict=True)]
    assert same == [False, False, True, False, False, True, False]


def test_the_walk_ends_in_the_sample():
    model = model_of_pictures()
    steps = list(model.walk(70, steps=5, seed=2))
    assert torch.equal(steps[-1].x, model.sample(70, steps=5, seed=2))
    assert [s.index for s in steps] == [0, 1, 2, 3, 4]
    assert all(a.s == b.t for a, b in pairwise(steps))
    assert float(steps[-1].s) == 0
    assert all(s.belief is not None and len(s.belief.mean) == 70 for s in steps)


# -- what sampling leaves as it was ---------------------------------------------------------------


@pytest.mark.parametrize("training", [True, False])
def test_nothing_else_changes(training: bool):
    model = model_of_pictures()
    model.sampling = Sampling(steps=3, threads=2)
    model.train(training)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    seen: list[tuple[int, bool, bool]] = []
    model.network.register_forward_hook(
        lambda *_: seen.append(
            (torch.get_num_threads(), model.network.training, torch.is_grad_enabled())
        )
    )
    for _ in model.walk(3):
        # Between two steps the world is the caller's.
        assert torch.get_num_threads() == threads
        assert model.training == training and torch.is_grad_enabled()
    assert set(seen) == {(2, False, False)}
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


def test_all_is_put_back_after_an_error(monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> Tensor:
        raise ZeroDivisionError

    model = model_of_pictures()
    model.sampling = Sampling(steps=3, threads=2)
    model.train()
    threads = torch.get_num_threads()
    monkeypatch.setattr(MLP, "compute", fail)
    with pytest.raises(ZeroDivisionError):
        model.sample(3)
    assert torch.get_num_threads() == threads
    assert model.training and torch.is_grad_enabled()


def test_the_global_generator_has_no_say():
    model = model_of_pictures()
    first = model.sample(4, solver="ancestral")
    torch.rand(5)
    assert torch.equal(model.sample(4, solver="ancestral"), first)


# -- what is refused, and before any work ---------------------------------------------------------

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"n": 0}, "n = 0: give a whole number"),
    ({"n": -3}, "n = -3"),
    ({"n": 10**12}, "n = 1000000000000: give a whole number of samples, 1 to 10,000,000"),
    ({"n": True}, "n = True"),
    ({"n": 2.5}, "n = 2.5"),
    ({"n": "4"}, "n = '4'"),
    ({"first": -1}, "first = -1: give a whole number, 0 to"),
    ({"first": 0.5}, "first = 0.5"),
    ({"seed": 1.5}, "seed = 1.5"),
    ({"seed": "1"}, "seed = '1'"),
    ({"label": 3}, "label 3: this model knows labels 0 to 2"),
    ({"label": -1}, "label -1"),
    ({"label": 1.0}, "label = 1.0: give one whole number, or 4 of them"),
    ({"label": True}, "label = True"),
    ({"label": [0, 1]}, "or 4 of them"),
    ({"label": [[0, 1, 2, 0]]}, "or 4 of them"),
    ({"label": [0, 1, 2, 3]}, "label 3"),
    ({"label": "3"}, "label 3: this model knows labels 0 to 2"),
    ({"label": "drei"}, "label 'drei'"),
    ({"label": 1, "cond": Condition(label=torch.zeros(4).long())}, "either cond or label"),
    ({"cond": Condition(label=torch.zeros(3).long())}, "4 samples but 3 conditions"),
    ({"cond": Condition(vector=torch.zeros(4, 2))}, "reads label"),
    ({"guidance": -1.0}, "guidance.scale = -1.0: input should be greater"),
    ({"guidance": float("nan")}, "guidance.scale = nan"),
    ({"guidance": float("inf")}, "guidance.scale = inf"),
    ({"guidance": "2"}, "no such guidance"),
    ({"solver": "huen"}, "no such solver. Did you mean 'heun'"),
    ({"solver": 5}, "5 is no solver"),
    ({"solver": "v"}, "no such solver"),
    ({"steps": 0}, "steps = 0: give a whole number, 1 to 100,000"),
    ({"steps": 2.5}, "steps = 2.5"),
    ({"steps": True}, "steps = True"),
    ({"grid": "kerras"}, "no such grid. Did you mean 'karras'"),
    ({"grid": [0.0, 1.0]}, "times must fall"),
    ({"grid": [1.5, 0.0]}, "accepted are 1 to 0"),
    ({"grid": [1.0]}, "at least two"),
]


@pytest.mark.parametrize(("how", "sentence"), REFUSED, ids=lambda v: str(v)[:30])
def test_refused_before_the_first_network_call(how: dict[str, Any], sentence: str):
    model = model_of_pictures()
    calls: list[object] = []
    model.network.register_forward_pre_hook(lambda *_: calls.append(1))
    with pytest.raises(InputError) as caught:
        model.sample(**{"n": 4, **how})
    assert sentence in str(caught.value) and "\n" not in str(caught.value)
    if "reads label" not in sentence:  # that one is the network's own complaint
        assert calls == []


def test_a_model_without_labels():
    model = diffusion(points(), classes=None)
    assert model.classes is None
    assert differs(lambda n: model.sample(n, steps=3)) == []
    with pytest.raises(InputError, match="trained without labels"):
        model.sample(3, label=1)
    with pytest.raises(InputError, match="knows no labels to guide towards"):
        model.sample(3, guidance=2.0)
    assert torch.equal(model.sample(3, steps=3, guidance=1), model.sample(3, steps=3))


def test_guidance_calls_the_network_only_as_often_as_it_must():
    model = model_of_pictures()
    rows: list[int] = []
    model.network.register_forward_pre_hook(lambda _, given: rows.append(len(given[0])))
    for guidance, expected in ((1.0, 64), (0.0, 64), (2.0, 128)):
        rows.clear()
        model.sample(3, guidance=guidance, solver="ddim", steps=2)
        assert rows == [expected, expected]


def test_a_solver_that_couples_the_batch_must_be_asked_for():
    model, solver = model_of_pictures(), PredictorCorrector(DDIM(), LangevinPaper())
    with pytest.raises(InputError, match="say exact=False"):
        model.sample(3, solver=solver)
    assert torch.isfinite(model.sample(3, solver=solver, exact=False)).all()


def test_a_plan_is_made_once(monkeypatch: pytest.MonkeyPatch):
    """For all chunks together, not once in each."""
    model, made = model_of_pictures(), []
    plan = Solver.plan
    monkeypatch.setattr(Solver, "plan", lambda self, *a: made.append(1) or plan(self, *a))
    model.sample(3 * model.sampling.chunk)
    assert len(made) == 1
