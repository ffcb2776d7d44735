"""The time that is foretold: steps at their pace, and the sheets and evaluations among them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.small import SETTINGS, diffusion, pictures, points
from unnoise.evaluation import Evaluation
from unnoise.models import Diffusion, Sampling
from unnoise.solvers import Heun
from unnoise.tasks import sample
from unnoise.tasks.listeners import Evaluations, SampleSheets
from unnoise.training import Began, Event, MetricsLog, Paused, Run, Stepped, Warned, fit, forecast
from unnoise.training.forecast import Forecast, Looks


class Sheet:
    """A listener that looks every tenth step, for some seconds by a clock of the test's own."""

    def __init__(self, now: list[float], seconds: float, calls: float = 500) -> None:
        self.now, self.seconds, self.each = now, seconds, calls

    def __call__(self, event: Event, run: Any) -> None:
        if isinstance(event, Paused) and event.step % 10 == 0:
            self.now[0] += self.seconds

    def ahead(self, step: int, steps: int) -> int:
        return steps // 10 - step // 10

    def calls(self, run: Any) -> float:
        return self.each


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found = [100.0]
    monkeypatch.setattr(forecast.time, "perf_counter", lambda: found[0])
    return found


def walked(made: Forecast, listener: Any, now: list[float], steps: int, each: float) -> list[float]:
    """Examples a second of steps that take so long, looks between them."""
    rates: list[float] = []
    run: Any = None
    for step in range(1, steps + 1):
        now[0] += each
        rates.append(made.stepped())
        listener(Paused(step, 100), run)
    return rates


def test_steps_and_looks(now: list[float]):
    """By hand: 100 steps of .3 s and ten looks, first reckoned at 5 s, then seen to take 8."""
    sheet, run = Sheet(now, 8.0), None
    assert isinstance(sheet, Looks)
    made = Forecast(100, 10, [sheet])
    made.begin(run, 0.3)  # pyright: ignore[reportArgumentType]
    assert made.left(0, 0) == pytest.approx(100 * 0.3 + 10 * 5)
    rates = walked(made, made.timed(sheet), now, 15, 0.4)
    assert rates == pytest.approx([25.0] * 15)  # no look is in the pace
    assert made.left(15, 15) == pytest.approx(85 * 0.4 + 9 * 8)
    assert made.left(20, 19) == pytest.approx(80 * 0.4 + 9 * 8)  # that of step 20 is to come
    assert made.left(20, 20) == pytest.approx(80 * 0.4 + 8 * 8)
    assert made.left(100, 99) == pytest.approx(8)
    assert made.left(100, 100) == 0


def test_canary_a_listener_that_nobody_foretells(now: list[float]):
    def plain(event: Event, run: Any) -> None:
        Sheet(now, 8.0)(event, run)

    made = Forecast(100, 10, [plain])
    assert made.timed(plain) is plain
    made.begin(None, 0.3)  # pyright: ignore[reportArgumentType]
    assert made.left(0, 0) == pytest.approx(100 * 0.3)
    assert walked(made, plain, now, 11, 0.4)[-1] < 25


def test_a_look_that_is_told_again_says_nothing(now: list[float]):
    """A resumed run tells its last step's look again, which may have been made."""
    sheet = Sheet(now, 0.0)
    made = Forecast(100, 10, [sheet])
    made.begin(None, 0.3)  # pyright: ignore[reportArgumentType]
    made.timed(sheet)(Paused(10, 100, again=True), None)  # pyright: ignore[reportArgumentType]
    assert made.left(10, 10) == pytest.approx(90 * 0.3 + 9 * 5)


@pytest.mark.parametrize("every", [None, 1, 3, 7, 12, 40])
@pytest.mark.parametrize("steps", [1, 12, 21])
def test_looks_ahead_are_those_that_are_due(every: int | None, steps: int):
    sheets = SampleSheets(Path("nowhere"), every)
    evaluations = Evaluations(MetricsLog(Path("nowhere")), Evaluation(), every)
    for step in range(steps + 1):
        later = [Paused(k, steps) for k in range(step + 1, steps + 1)]
        assert sheets.ahead(step, steps) == sum(event.due(every) for event in later)
        due = [event for event in later if every and event.step % every == 0]
        assert evaluations.ahead(step, steps) == len(due)


def rows_of(model: Diffusion, work: Callable[[], object]) -> int:
    """Rows that the network computes meanwhile."""
    seen: list[int] = []
    hook = model.network.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    work()
    hook.remove()
    return sum(seen)


@pytest.mark.parametrize(
    "how",
    [
        {"steps": 5, "chunk": 4, "solver": "ddim"},
        {"steps": 5, "chunk": 8, "solver": "ddim", "guidance": 2.0},
        {"steps": 3, "chunk": 1, "solver": "dpmpp-2m"},
    ],
)
def test_network_calls_of_a_sheet(how: dict[str, Any]):
    model = diffusion(pictures())
    model.sampling = Sampling(**how)
    assert rows_of(model, lambda: model.sample(9)) == sample.calls(model, 9)


def test_network_calls_of_a_solver_of_two_calls():
    """But the last step, into the data, which may have one."""
    model = diffusion(pictures())
    model.sampling = Sampling(steps=5, chunk=4, solver=Heun())
    found = rows_of(model, lambda: model.sample(8))
    assert sample.calls(model, 8) == 80 and 72 <= found <= 80


def test_a_training_foretells_its_sheet(tmp_path: Path):
    """Two steps, and a sheet that costs hundreds of times as much."""

    def began(*listeners: Any) -> float:
        heard: list[Any] = []
        listen = lambda event, run: heard.append(event)  # noqa: E731
        settings = {**SETTINGS, "steps": 2}
        fit(diffusion(), points(), **settings, listeners=[*listeners, listen])
        first, last = heard[0], [event for event in heard if isinstance(event, Stepped)][-1]
        assert isinstance(first, Began)
        assert (last.left > 0) == bool(listeners)  # the sheet is still to come
        return first.seconds

    plain, with_sheet = began(), began(SampleSheets(tmp_path, None))
    assert with_sheet > 5 * plain
    assert (tmp_path / "step-000002.png").exists()


def test_looks_that_cannot_be_reckoned_end_nothing(tmp_path: Path):
    class Odd(Sheet):
        def calls(self, run: Run) -> float:
            raise ZeroDivisionError("nobody knows")

        def __call__(self, event: Event, run: Any) -> None:
            if isinstance(event, Paused):
                raise ZeroDivisionError("nothing")

    heard: list[Event] = []
    odd = Odd([0.0], 0.0)
    fit(diffusion(), points(), **SETTINGS, listeners=[odd, lambda event, run: heard.append(event)])
    warned = [event.text for event in heard if isinstance(event, Warned)]
    assert warned == ["Odd failed, and training goes on: ZeroDivisionError: nothing"]
    assert torch.isfinite(torch.tensor([e.left for e in heard if isinstance(e, Stepped)])).all()
