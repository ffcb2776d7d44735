"""Half precision, and memory that runs out: what is skipped, halved, said, and kept."""

import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.small import SETTINGS, Heard, diffusion, points, run_of, same, weights
from unnoise.core.errors import StorageError
from unnoise.evaluation import Evaluation
from unnoise.models import Diffusion, Sampling
from unnoise.tasks.listeners import Evaluations, SampleSheets
from unnoise.training import Began, MetricsLog, Training, Warned, fit
from unnoise.training.events import read_metrics
from unnoise.training.guard import LossScale
from unnoise.training.run import Run


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_half_precision_learns_and_resumes(precision: str, tmp_path):
    """500 steps: no bad number, the losses of float32 within 3 %, the clock in float32 (D17)."""
    seen: list[torch.dtype] = []
    model = diffusion()
    hook = model.network.register_forward_pre_hook(lambda m, args: seen.append(args[1].dtype))
    losses: list[float] = []
    wanted: list[float] = []
    settings: dict[str, Any] = {**SETTINGS, "steps": 500, "precision": precision, "save_every": 250}

    def heard(losses):
        return [lambda event, run: losses.append(event.loss) if hasattr(event, "loss") else None]

    fit(diffusion(), points(), **{**settings, "precision": "float32"}, listeners=heard(wanted))
    fit(model, points(), **settings, out=tmp_path, listeners=heard(losses))
    hook.remove()
    assert set(seen) <= {torch.float32, torch.float64}
    assert all(bool(w.isfinite().all()) for w in model.state_dict().values())
    assert losses != wanted and abs(sum(losses) / sum(wanted) - 1) < 0.03
    shutil.rmtree(tmp_path / "checkpoints" / "step-000500")
    again = diffusion()
    fit(again, points(), **settings, out=tmp_path, resume=True)
    assert same(weights(model), weights(again))


def test_the_scale_changes_no_gradient():
    """A power of two times the loss, and divided out again: the very same bits in float32."""
    plain, scaled = run_of(Training(batch=16)), run_of(Training(batch=16))
    scaled.scale.value = 2.0**16
    for run in (plain, scaled):
        run.backward(0, run.turns[0])
        run.optimisers[0].clip(1e9, run.scale.value)
        run.optimisers[0].step(1e-3)
    assert same(weights(plain.model), weights(scaled.model))


def test_overflow_halves_the_scale_and_skips():
    """Nobody hears of it, nothing is learned from it, and the next scale is half."""
    run = run_of(Training(batch=16, precision="float16"))
    run.scale.value = 2.0**60
    before = weights(run.model)
    for i in range(1, 4):
        outcome = run.advance()
        (loss,) = outcome.losses.values()
        assert math.isfinite(loss) and outcome.skipped == "" and run.scale.value == 2.0 ** (60 - i)
    assert same(weights(run.model), before) and run.guard.skipped == 0 and run.step == 3


def test_canary_without_a_scale_small_gradients_vanish():
    """Gradients of 1e-6 under autocast to float16: lost at scale 1, there at 2^16."""

    def lost(scale: float) -> float:
        run = run_of(Training(batch=16, precision="float16"))
        run.scale.value = scale
        phase = run.model.phases()[0].loss

        def small(x0, cond, noise):
            loss = phase(x0, cond, noise)
            return type(loss)(loss.value * 1e-6, loss.logs)

        run.model.phases = lambda: [type("P", (), {"loss": staticmethod(small)})()]  # pyright: ignore
        run.backward(0, run.turns[0])
        grads = [p.grad for p in run.model.parameters() if p.grad is not None]
        return float(torch.cat([(g == 0).float().flatten() for g in grads]).mean())

    assert lost(1.0) > lost(2.0**16) + 0.05


def test_the_scale_grows_again():
    scale = LossScale(True)
    first = scale.value
    for _ in range(1000):
        scale.went_well()
    assert scale.value == 2 * first
    scale.value = 1.0
    assert not scale.overflowed() and not LossScale(False).overflowed()


# -- memory -------------------------------------------------------------------------------------


def short_of_memory(run_or_model: Any, most: int, error: type[Exception]) -> None:
    """The model computes no more than so many examples at once."""
    inner = run_or_model.loss

    def loss(x0, cond, noise):
        if len(x0) > most:
            raise error("CUDA out of memory. Tried to allocate 2.00 GiB")
        return inner(x0, cond, noise)

    run_or_model.loss = loss


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError, RuntimeError])
def test_fewer_at_once_when_memory_runs_out(error: type[Exception]):
    """16, 8, 4: the weights are those of a training with 4 at a time, and it is said."""
    model, wanted = diffusion(), diffusion()
    short_of_memory(model, 5, error)
    heard: list[str] = []

    def listen(event, run):
        if isinstance(event, Warned):
            heard.append(event.text)

    fit(model, points(), **SETTINGS, listeners=[listen])
    fit(wanted, points(), **{**SETTINGS, "micro_batch": 4})
    assert same(weights(model), weights(wanted))
    assert len(heard) == 1 and "memory ran out with 16" in heard[0] and "4 at a time" in heard[0]


def test_no_memory_at_all():
    model = diffusion()
    short_of_memory(model, 0, MemoryError)
    with pytest.raises(StorageError, match="single example"):
        fit(model, points(), **SETTINGS)


def scarce(model: Diffusion, most: int) -> list[int]:
    """Let sampling of more than so many rows at once fail; the numbers that were tried."""
    plan, tried = model.plan, []

    def short(*words: Any, **how: Any) -> Any:
        tried.append(model.sampling.chunk)
        if model.sampling.chunk > most:
            raise MemoryError
        return plan(*words, **how)

    model.plan = short  # pyright: ignore
    return tried


def test_looks_where_memory_is_short(tmp_path: Path):
    """A sheet and an evaluation are made of fewer at once; training and model are as they were."""
    heard = [Heard(), Heard()]
    models = [diffusion(), diffusion()]
    for model, ear, short in zip(models, heard, (False, True), strict=True):
        model.sampling = Sampling(solver="ddim", steps=2, grid="uniform")
        sampling = model.sampling
        if short:
            calls = scarce(model, 5)
        folder = tmp_path / str(short)
        folder.mkdir()
        looks = [
            SampleSheets(folder, 15),
            Evaluations(
                MetricsLog(folder / "metrics.jsonl"), Evaluation(count=8, likelihood=0), 15
            ),
        ]
        fit(model, points(), **SETTINGS, listeners=[ear, *looks])
        assert model.sampling == sampling
        assert len(list(folder.glob("*.png"))) == 2
        assert len(read_metrics(folder / "metrics.jsonl")) == 2
    assert heard[0].losses() == heard[1].losses() and same(weights(models[0]), weights(models[1]))
    assert calls[:5] == [64, 32, 16, 8, 4] and min(calls) == 4


def test_memory_that_runs_out_later(tmp_path):
    """In the middle of a training; a resumed one goes on with as many."""
    model = diffusion()
    inner, calls = model.loss, [0]

    def loss(x0, cond, noise):
        calls[0] += 1
        if calls[0] > 12 and len(x0) > 8:
            raise MemoryError
        return inner(x0, cond, noise)

    model.loss = loss  # pyright: ignore
    fit(model, points(), **SETTINGS, out=tmp_path)
    seen: list[int] = []
    fit(diffusion(), points(), **SETTINGS, out=tmp_path, resume=True,
        listeners=[lambda e, r: seen.append(r.micro_batch)])  # fmt: skip
    assert set(seen) == {8}


def test_other_errors_pass():
    model = diffusion()
    inner = model.loss
    model.loss = lambda *a: (_ for _ in ()).throw(RuntimeError("shapes do not match"))  # pyright: ignore
    with pytest.raises(RuntimeError, match="shapes"):
        fit(model, points(), **SETTINGS)
    assert inner is not model.loss


def test_the_forecast_is_near():
    """Said before the first step; within a factor of three of what it took (a guard, not a law).

    Once in three tries: on a machine that others use one step may take as long as ten.
    """

    def near() -> bool:
        heard: list[Any] = []
        settings = {**SETTINGS, "steps": 300}
        fit(diffusion(width=64), points(), **settings, listeners=[lambda e, r: heard.append(e)])
        began, ended = heard[0], heard[-1]
        assert isinstance(began, Began) and began.memory > 50e6
        return ended.seconds / 5 < began.seconds < 3 * ended.seconds

    assert any(near() for _ in range(3))


def test_trials_change_nothing():
    run: Run = run_of(Training(batch=16))
    before = weights(run.model)
    run.trial()
    run.trial()
    assert same(weights(run.model), before) and run.step == 0
    assert all(p.grad is None for p in run.model.parameters())
