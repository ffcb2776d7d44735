"""The loop: what it tells, what it does not change, and when it gives up."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.small import SETTINGS, diffusion, pictures, points, same, trained, weights
from unnoise.core.errors import InputError, NumbersError, StorageError
from unnoise.core.noise import Noise
from unnoise.data import Batch, Dataset
from unnoise.evaluation import features
from unnoise.models import load
from unnoise.recipes import Evaluation
from unnoise.recipes.listeners import Evaluations, SampleSheets
from unnoise.training import (
    Began,
    Ended,
    Event,
    MetricsLog,
    Run,
    Saved,
    Stepped,
    Training,
    Warned,
    checkpoints,
    fit,
)
from unnoise.training.events import read_metrics


class Heard:
    """A listener that keeps everything."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event, run: Run) -> None:
        self.events.append(event)

    def losses(self) -> list[float]:
        return [event.loss for event in self.events if isinstance(event, Stepped)]


def run_of(settings: Training, **model: Any) -> Run:
    run = Run(diffusion(pictures(), **model), pictures(), settings, None)
    run.model.train()
    return run


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
    x = features(data.info, model.sample(90, guidance=1.0)).reshape(90, 4, 4)
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
    ten = [Stepped] * 10 + [Saved]
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
            Evaluations(tmp_path / "metrics.jsonl", measure, 10),
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
    loss, _ = whole.backward(0, 0)
    other, logs = parts.backward(0, 0)
    assert torch.allclose(loss, other, rtol=1e-5)
    assert all(len(value) == 16 for value in logs.values())
    for a, b in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        assert a.grad is not None and b.grad is not None
        assert torch.allclose(a.grad, b.grad, rtol=1e-4, atol=1e-6)
    # Canary: the gradient of another step is another.
    parts.optimisers[0].zero_grad()
    parts.backward(1, 0)
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
    assert "--set training.lr=0.0003" in text
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
    assert run.advance()[2] is None
    before, average = weights(run.model), {k: v.clone() for k, v in run.average.state().items()}
    data.bad, data.asked = {1: float("nan")}, 1
    loss, _, warning = run.advance()
    assert math.isnan(loss) and warning is not None and run.step == 2
    assert same(weights(run.model), before) and same(run.average.state(), average)
    assert (run.guard.row, run.guard.skipped) == (1, 1)
    data.bad = {}
    assert run.advance()[2] is None and (run.guard.row, run.guard.skipped) == (0, 1)
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
    layer = run.model.network.blocks[0]

    def break_forward(module: object, given: object, answer: torch.Tensor) -> torch.Tensor:
        return answer * torch.nan

    def break_backward(module: object, given: object, answer: torch.Tensor) -> None:
        if answer.requires_grad:
            answer.register_hook(lambda grad: grad * torch.inf)

    layer.register_forward_hook(break_forward if where == "forward" else break_backward)
    warning = run.advance()[2]
    assert warning is not None
    if where == "forward":
        assert (
            "the loss became NaN" in warning
            and "first the layer denoiser.network.blocks.0" in warning
        )
    else:
        assert "the gradient became NaN" in warning
        assert "first the gradient of denoiser.network.blocks.0" in warning


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
