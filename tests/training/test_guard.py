"""What happens to a training whose numbers go bad."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.small import SETTINGS, Heard, diffusion, points, run_of, same, weights
from unnoise.core.errors import NumbersError
from unnoise.core.noise import Noise
from unnoise.data import Batch, Dataset
from unnoise.models import load
from unnoise.training import (
    Event,
    MetricsLog,
    Run,
    Stepped,
    Training,
    Warned,
    checkpoints,
    fit,
)
from unnoise.training.events import read_metrics


class Poisoned(Heard):
    """Turns a weight into NaN after a step."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def __call__(self, event: Event, run: Run) -> None:
        if isinstance(event, Stepped) and event.step == self.step:
            with torch.no_grad():
                next(run.model.parameters()).view(-1)[0] = torch.nan


def test_nan_stops_the_run_and_names_the_saved_step(tmp_path: Path):
    settings = {**SETTINGS, "save_every": 10}
    with pytest.raises(NumbersError) as caught:
        fit(diffusion(), points(), **settings, out=tmp_path, listeners=[Poisoned(14)])
    text = str(caught.value)
    assert caught.value.exit_code == 4 and "\n" not in text
    assert "became NaN or infinite at step 14" in text and "state of step 10 is saved" in text
    assert "Try lr=0.0003" in text
    assert all(torch.isfinite(w).all() for w in load(tmp_path).parameters())


def test_nan_without_a_folder():
    with pytest.raises(NumbersError, match=r"at step 3 \(weight .*\)\. Try") as caught:
        fit(diffusion(), points(), **SETTINGS, listeners=[Poisoned(3)])
    assert "saved" not in str(caught.value)


class Faulty(Dataset):
    """Moons, some of whose batches hold NaN or infinity, by how often they were asked for."""

    def __init__(self, bad: dict[int, float]) -> None:
        self.inner, self.bad, self.asked = points(), bad, 0
        self.info = self.inner.info

    def __len__(self) -> int:
        return len(self.inner)

    def batch(self, index: torch.Tensor, noise: Noise | None = None) -> Batch:
        batch = self.inner.batch(index, noise)
        if (value := self.bad.get(self.asked)) is not None:
            batch.x[0] = value
        return batch


class Following(Heard):
    """Tells a faulty data set which step is next."""

    def __init__(self, data: Faulty) -> None:
        super().__init__()
        self.data = data

    def __call__(self, event: Event, run: Run) -> None:
        super().__call__(event, run)
        if isinstance(event, Stepped):
            self.data.asked = event.step


def test_bad_steps_are_left_out_counted_and_named(tmp_path: Path):
    """D17: of 100 trainings with NaN or infinity in random steps no weight ever hears."""
    u = Noise(3, range(100)).uniform(torch.empty(100, 6))
    for row in u.tolist():
        steps = sorted({int(v * 19) for v in row[:3]})
        kinds = [math.nan if v < 0.5 else math.inf for v in row[3:]]
        data = Faulty(dict(zip(steps, kinds, strict=False)))
        heard = Following(data)
        settings = {**SETTINGS, "steps": 20, "batch": 4}
        model = fit(diffusion(), data, **settings, listeners=[heard])
        assert all(bool(w.isfinite().all()) for w in model.parameters())
        told = [e.text for e in heard.events if isinstance(e, Warned)]
        assert [int(text.split()[1]) for text in told] == steps
        assert told[-1].endswith(f"(first the examples themselves); {len(steps)} so far.")


def test_a_step_left_out_changes_nothing():
    data = Faulty({})
    run = Run(diffusion(), data, Training(batch=16), None)
    assert run.advance().skipped is None
    before, average = weights(run.model), {k: v.clone() for k, v in run.average.state().items()}
    data.bad, data.asked = {1: float("nan")}, 1
    outcome = run.advance()
    (loss,), warning = outcome.losses.values(), outcome.skipped
    assert math.isnan(loss) and warning is not None and run.step == 2
    assert same(weights(run.model), before) and same(run.average.state(), average)
    assert (run.guard.row, run.guard.skipped) == (1, 1)
    data.bad = {}
    assert run.advance().skipped is None and (run.guard.row, run.guard.skipped) == (0, 1)
    assert not same(weights(run.model), before)  # the canary: a good step does change them


def test_five_in_a_row_end_the_training_where_it_was_well(tmp_path: Path):
    data = Faulty({s: float("nan") for s in (3, *range(14, 19))})
    model, heard = diffusion(), Following(data)
    settings = {**SETTINGS, "save_every": 10}
    with pytest.raises(NumbersError) as caught:
        fit(model, data, **settings, out=tmp_path, listeners=[heard])
    text = str(caught.value)
    assert caught.value.exit_code == 4 and "at step 18, the 5th time in a row" in text
    assert "The state of step 10 is saved" in text
    assert sum(isinstance(e, Warned) for e in heard.events) == 5
    saved = checkpoints.read(tmp_path, lambda _: None)
    assert saved is not None and saved.step == 10
    kept = {k.removeprefix("weights."): v for k, v in saved.state.items() if "weights." in k}
    assert same(weights(model), kept)


@pytest.mark.parametrize("where", ["forward", "backward"])
def test_the_layer_is_named(where: str):
    run = run_of(Training(batch=16))
    layer = run.model.network.trunk.blocks[0]

    def break_forward(module: object, given: object, answer: torch.Tensor) -> torch.Tensor:
        return answer * torch.nan

    def break_backward(module: object, given: object, answer: torch.Tensor) -> None:
        if answer.requires_grad:
            answer.register_hook(lambda grad: grad * torch.inf)

    layer.register_forward_hook(break_forward if where == "forward" else break_backward)
    warning = run.advance().skipped
    assert warning is not None
    if where == "forward":
        assert (
            "the loss became NaN" in warning
            and "first the layer denoiser.network.trunk.blocks.0" in warning
        )
    else:
        assert "the gradient became NaN" in warning
        assert "first the gradient of denoiser.network.trunk.blocks.0" in warning


def test_a_resumed_log_tells_a_bad_step_once(tmp_path: Path):
    """Stopped after the bad step, continued from before it: the same lines as without a stop."""

    class Stopped(BaseException):
        pass

    def stop(event: Event, run: Run) -> None:
        if isinstance(event, Stepped) and event.step == 14:
            raise Stopped

    def train(out: Path, *more: Any, resume: bool = False) -> None:
        out.mkdir(exist_ok=True)
        data = Faulty({12: math.nan})
        data.asked = 10 if resume else 0
        listeners = [Following(data), MetricsLog(out / "metrics.jsonl", every=1), *more]
        settings = {**SETTINGS, "save_every": 10, "steps": 20}
        fit(diffusion(), data, **settings, out=out, resume=resume, listeners=listeners)

    def told(out: Path) -> list[dict[str, Any]]:
        lines = read_metrics(out / "metrics.jsonl")
        return [{k: v for k, v in line.items() if k != "images_per_second"} for line in lines]

    train(tmp_path / "whole")
    with pytest.raises(Stopped):
        train(tmp_path / "cut", stop)
    train(tmp_path / "cut", resume=True)
    assert told(tmp_path / "cut") == told(tmp_path / "whole")
    assert sum(line["event"] == "warning" for line in told(tmp_path / "cut")) == 1
