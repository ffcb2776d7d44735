"""The loop: what it tells, what it does not change, and when it gives up."""

import os
import signal
from pathlib import Path

import pytest
import torch

from tests.small import (
    SETTINGS,
    Heard,
    diffusion,
    pictures,
    points,
    run_of,
    same,
    trained,
    weights,
)
from unnoise.core.errors import InputError, Interrupted, StorageError
from unnoise.data import Dataset
from unnoise.evaluation import Evaluation, features
from unnoise.models import load
from unnoise.tasks.listeners import Evaluations, SampleSheets
from unnoise.training import (
    Began,
    Ended,
    Event,
    MetricsLog,
    Paused,
    Run,
    Saved,
    Stepped,
    Training,
    fit,
)
from unnoise.training.checkpoints import steps_of
from unnoise.training.events import read_metrics

# -- it learns ------------------------------------------------------------------------------------


def test_training_brings_the_samples_nearer_to_the_data():
    data = points(2000)
    model = diffusion(data, width=64, depth=2)

    def distance() -> float:
        x = model.sample(500, guidance=1.0)
        return float((x.mean(0) - data[:].x.mean(0)).norm() + (x.std(0) - data[:].x.std(0)).norm())

    heard = Heard()
    before = distance()
    fit(
        model,
        data,
        steps=300,
        batch=64,
        lr=5e-3,
        ema_half_life=2000.0,
        threads=1,
        listeners=[heard],
    )
    losses = heard.losses()
    assert sum(losses[-50:]) < 0.85 * sum(losses[:50])
    assert distance() < min(0.25, before / 2)


def test_labels_are_learned():
    """Class c of these pictures has c + 1 bright rows."""
    data = pictures(300)
    model = diffusion(data, width=64, depth=2)
    fit(model, data, steps=300, batch=64, lr=5e-3, ema_half_life=2000.0, threads=1)
    x = features(data.info, model.sample(90, label="uniform")).reshape(90, 4, 4)
    rows = (x.mean(2) > 0).sum(1)
    assert float((rows == torch.arange(90) % 3 + 1).double().mean()) > 0.9


def test_same_seed_same_weights():
    first = weights(trained())
    assert same(weights(trained()), first)
    for change in ({"seed": 1}, {"lr": 1e-3}, {"label_dropout": 0.5}, {"ema_half_life": 0.0}):
        assert not same(weights(trained(**change)), first)


def test_the_model_at_the_end_holds_the_average():
    runs: list[Run] = []
    model = diffusion()
    fit(model, points(), **SETTINGS, listeners=[lambda event, run: runs.append(run)])
    raw = runs[-1].average.state()  # they have changed places
    assert not same(raw, dict(model.named_parameters()))
    assert not model.training and all(p.requires_grad for p in model.parameters())
    follows = diffusion()
    fit(follows, points(), **{**SETTINGS, "ema_half_life": 0.0})
    assert same(raw, {k: v.detach() for k, v in follows.named_parameters()})


# -- what is told ---------------------------------------------------------------------------------


def test_events_come_in_order(tmp_path: Path):
    heard = Heard()
    fit(diffusion(), points(), **{**SETTINGS, "save_every": 10}, out=tmp_path, listeners=[heard])
    kinds = [type(event) for event in heard.events]
    # What is saved is saved before anyone looks.
    ten = [Stepped, Paused] * 9 + [Stepped, Saved, Paused]
    assert kinds == [Began, *ten, *ten, *ten, Ended]
    began, *between, ended = heard.events
    assert isinstance(began, Began) and isinstance(ended, Ended)
    assert (began.step, began.steps, began.threads, began.why) == (0, 30, 1, "asked for")
    assert began.parameters == sum(p.numel() for p in diffusion().parameters())
    assert [e.step for e in between if isinstance(e, Stepped)] == list(range(1, 31))
    assert [e.step for e in between if isinstance(e, Saved)] == [10, 20, 30]
    rates = [e.lr for e in between if isinstance(e, Stepped)]
    settings = Training(**{k: v for k, v in SETTINGS.items() if k != "threads"})
    assert rates == [settings.rate(step) for step in range(30)]
    assert ended.step == 30 and ended.seconds > 0


def test_metrics_hold_what_was_heard(tmp_path: Path):
    heard = Heard()
    log = MetricsLog(tmp_path / "metrics.jsonl", every=10)
    fit(diffusion(), points(), **SETTINGS, listeners=[heard, log])
    lines = read_metrics(tmp_path / "metrics.jsonl")
    assert [line["step"] for line in lines] == [10, 20, 30]
    assert [line["loss"] for line in lines] == [heard.losses()[i] for i in (9, 19, 29)]
    for line in lines:
        centres = [centre for centre, _ in line["by_level"]]
        assert centres == sorted(centres) and all(loss > 0 for _, loss in line["by_level"])


def test_threads_are_put_back():
    before = torch.get_num_threads()
    fit(diffusion(), points(), **{**SETTINGS, "steps": 2, "threads": before + 1})
    assert torch.get_num_threads() == before


# -- what looking does not change -----------------------------------------------------------------


def test_looking_changes_nothing(tmp_path: Path):
    """With sheets, evaluations and checkpoints every ten steps, and without any."""
    plain, looked = diffusion(dropout=0.2), diffusion(dropout=0.2)
    silent, heard = Heard(), Heard()
    fit(plain, points(), **SETTINGS, listeners=[silent])
    measure = Evaluation(count=8, likelihood=2, likelihood_steps=1)
    torch.rand(7)  # the global generator is somewhere else
    fit(
        looked,
        points(),
        **{**SETTINGS, "save_every": 10, "sample_every": 10, "eval_every": 10},
        out=tmp_path,
        listeners=[
            heard,
            SampleSheets(tmp_path / "samples", 10),
            Evaluations(MetricsLog(tmp_path / "metrics.jsonl"), measure, 10),
        ],
    )
    assert len(list((tmp_path / "samples").iterdir())) == 3
    assert [line["step"] for line in read_metrics(tmp_path / "metrics.jsonl")] == [10, 20, 30]
    assert heard.losses() == silent.losses()
    assert same(weights(looked), weights(plain))


def test_canary_a_listener_that_meddles():
    def meddle(event: Event, run: Run) -> None:
        if isinstance(event, Stepped) and event.step == 10:
            run.average.swap()

    model = diffusion()
    fit(model, points(), **SETTINGS, listeners=[meddle])
    assert not same(weights(model), weights(trained()))


def test_the_generator_is_left_alone():
    state = torch.get_rng_state()
    fit(diffusion(dropout=0.5), points(), **SETTINGS)
    assert torch.equal(torch.get_rng_state(), state)


def test_averaged_lends_and_takes_back():
    run = run_of(Training(batch=16))
    for _ in range(3):
        run.advance()
    raw, average = weights(run.model), run.average.state()
    with run.averaged() as model:
        assert not model.training and not torch.is_grad_enabled()
        inside = dict(model.named_parameters())
        assert not same(raw, inside)
    assert run.model.training and same(weights(run.model), raw)
    with pytest.raises(ZeroDivisionError), run.averaged():
        raise ZeroDivisionError
    assert same(weights(run.model), raw) and same(run.average.state(), average)


# -- batches --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 5, 8, 16, 100])
def test_micro_batches_have_the_same_gradient(size: int):
    whole, parts = (run_of(Training(batch=16, micro_batch=m)) for m in (None, size))
    loss, _ = whole.backward(0, whole.turns[0])
    other, logs = parts.backward(0, parts.turns[0])
    assert torch.allclose(loss, other, rtol=1e-5)
    assert all(len(value) == 16 for value in logs.values())
    for a, b in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        assert a.grad is not None and b.grad is not None
        assert torch.allclose(a.grad, b.grad, rtol=1e-4, atol=1e-6)
    # Canary: the gradient of another step is another.
    parts.optimisers[0].zero_grad()
    parts.backward(1, parts.turns[0])
    grads = [p.grad for p in parts.model.parameters()]
    assert not all(
        torch.allclose(p.grad, g, rtol=1e-2)  # pyright: ignore
        for p, g in zip(whole.model.parameters(), grads, strict=True)
    )


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_label_dropout(share: float):
    run = run_of(Training(batch=16, label_dropout=share))
    hidden = [~run.batch(step)[0].cond.kept() for step in range(200)]  # pyright: ignore
    found = float(torch.cat(hidden).double().mean())
    error = (share * (1 - share) / 3200) ** 0.5
    assert abs(found - share) <= 4 * error
    if 0 < share < 1:
        assert not torch.equal(hidden[0], hidden[1])


def test_dequantisation_is_drawn_anew():
    data = pictures(16)
    run = Run(diffusion(data), data, Training(batch=16), None)
    first, second = (run.batch(step)[0] for step in (0, 1))
    order = [batch.label.argsort(stable=True) for batch in (first, second)]  # pyright: ignore
    a, b = first.x[order[0]], second.x[order[1]]
    assert not torch.equal(a.sort(0).values, b.sort(0).values)
    assert torch.equal(run.batch(0)[0].x, first.x)
    assert torch.equal(
        data.info.to_stored(a).flatten(1).sum(1).sort().values,
        data.info.to_stored(b).flatten(1).sum(1).sort().values,
    )


def test_bfloat16_trains_and_is_another_computation():
    heard, plain = Heard(), Heard()
    model = diffusion(pictures(), width=32)
    settings = {**SETTINGS, "precision": "bfloat16"}
    fit(model, pictures(), **settings, listeners=[heard])
    fit(diffusion(pictures(), width=32), pictures(), **SETTINGS, listeners=[plain])
    assert all(value.dtype == torch.float32 for value in model.state_dict().values())
    assert all(bool(torch.isfinite(value).all()) for value in model.state_dict().values())
    assert heard.losses() != plain.losses()
    assert heard.losses() == pytest.approx(plain.losses(), rel=0.1)


# -- when it gives up -----------------------------------------------------------------------------


def test_a_full_disk_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def fill(event: Event, run: Run) -> None:
        if isinstance(event, Stepped) and event.step == 15:
            monkeypatch.setattr("os.fsync", full)

    settings = {**SETTINGS, "save_every": 10}
    with pytest.raises(StorageError, match=r"cannot .* No space left on device") as caught:
        fit(diffusion(), points(), **settings, out=tmp_path, listeners=[fill])
    assert str(tmp_path) in str(caught.value)
    monkeypatch.undo()
    first = load(tmp_path)  # the checkpoint of step 10
    model = diffusion()
    fit(model, points(), **settings, out=tmp_path, resume=True)
    assert same(weights(model), weights(trained())) and not same(weights(model), weights(first))


# -- what does not fit together -------------------------------------------------------------------


def test_refused():
    model = diffusion()
    with pytest.raises(InputError, match=r"events of shape \(1, 4, 4\); the model was made for"):
        fit(model, pictures(), **SETTINGS)
    with pytest.raises(InputError, match="the model reads 1 labels; data 'moons' has 2"):
        fit(diffusion(classes=1), points(), **SETTINGS)
    with pytest.raises(InputError, match="Did you mean 'batch'"):
        fit(model, points(), bacth=3)
    with pytest.raises(InputError, match=r"training.steps = 'many'"):
        fit(model, points(), steps="many")
    with pytest.raises(InputError, match="either settings or single entries"):
        fit(model, points(), Training(), steps=3)
    assert same(weights(model), weights(diffusion()))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_middle_of_a_step(tmp_path: Path, number: int):
    """It is not lost, wherever in the step it comes: this step or the next is the last."""

    class Ringing(Dataset):
        def __init__(self) -> None:
            self.inner, self.count = points(), 0
            self.info = self.inner.info

        def __len__(self) -> int:
            return len(self.inner)

        def batch(self, index, noise=None):
            self.count += 1
            if self.count == 7:
                os.kill(os.getpid(), number)
            return self.inner.batch(index, noise)

    with pytest.raises(Interrupted, match="it is saved") as caught:
        fit(diffusion(), Ringing(), **{**SETTINGS, "threads": 1}, out=tmp_path)
    assert caught.value.exit_code == 128 + number
    assert 6 <= steps_of(tmp_path)[0] <= 8


def test_ctrl_c_after_the_last_step_is_not_forgotten(tmp_path: Path):
    """The run ends as if nothing was, all of it written; then the signal is one again."""

    def late(event: Event, run: Run) -> None:
        if isinstance(event, Stepped) and event.step == event.steps:
            signal.raise_signal(signal.SIGINT)

    model, heard = diffusion(), Heard()
    # In the background of a shell it is ignored from the start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            fit(model, points(), **SETTINGS, out=tmp_path, listeners=[late, heard])
    finally:
        signal.signal(signal.SIGINT, before)
    assert isinstance(heard.events[-1], Ended) and (tmp_path / "model.safetensors").is_file()
