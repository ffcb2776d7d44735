"""Trainings of several phases, and of models that begin by their data: bits, kills, NaN, logs."""

import copy
import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.commands import good
from tests.guests import ToyFlow, ToyGan
from tests.small import SETTINGS, points, same, weights
from tests.training.test_together import ended, state, together
from unnoise.core.errors import InputError
from unnoise.models import Model, load
from unnoise.tasks.held_out import HeldOut
from unnoise.tasks.listeners import progress_line
from unnoise.training import MetricsLog, Run, Stepped, Training, fit
from unnoise.training.events import read_metrics
from unnoise.training.layout import Sharded
from unnoise.training.optim import SGD, Optimising

RECIPE = """
[data]
kind = "moons"
count = 101
[model]
kind = "toy-{}"
[training]
steps = 30
batch = 16
save_every = 10
half_lives = [64.0]
{}
"""
MODELS: list[type[Any]] = [ToyGan, ToyFlow]


def run_of(model: Model, **changes: Any) -> Run:
    settings = {key: value for key, value in SETTINGS.items() if key != "threads"}
    return Run(model, points(), Training(**{**settings, **changes}), None)


# -- bits ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["gan", "flow"])
def test_two_processes_are_one_in_micro_batches(kind: str, tmp_path: Path):
    recipe = tmp_path / "guest.toml"
    recipe.write_text(RECIPE.format(kind, "label_dropout = 0.0"))
    plugin = tmp_path / "plugin.py"
    plugin.write_text("import tests.guests\n")
    words = ["train", recipe, "--plugin", plugin, "--device", "cpu", "--out"]
    ended(together(2, *words, tmp_path / "two"))
    good(*words, tmp_path / "one", "--threads", 1, "--set", "training.micro_batch=8")
    one, two = (state(tmp_path / run, 30) for run in ("one", "two"))
    assert one.keys() == two.keys() and len(one) > 15
    assert all(torch.equal(one[name], two[name]) for name in one)
    lines = [read_metrics(tmp_path / run / "metrics.jsonl") for run in ("one", "two")]
    told = [
        [(each["loss"], each.get("phases")) for each in run if each["event"] == "step"]
        for run in lines
    ]
    assert told[0] == told[1] and len(told[0]) == 3


def test_canary_each_process_with_a_sum_of_its_own(tmp_path: Path):
    """Where the gradient of half the batch is taken for the whole, the weights are others."""
    whole, half = (run_of(ToyGan(), micro_batch=8) for _ in range(2))
    half.layout.divisor = lambda share: share // 2  # pyright: ignore[reportAttributeAccessIssue]
    for run in (whole, half):
        for _ in range(3):
            run.advance()
    assert not same(weights(whole.model), weights(half.model))


@pytest.mark.parametrize("wrong", [{"name": "critic"}, {"repeats": 0}])
def test_phases_without_a_name_or_step_of_their_own(wrong: dict[str, Any]):
    model = ToyGan()
    first, second = model.phases()
    model.phases = lambda: [first, replace(second, **wrong)]  # pyright: ignore
    with pytest.raises(InputError, match=r"phases \['critic', .*: give each its own name"):
        run_of(model)


class Killed:
    """Kills its own process after some steps, as often as it is told to."""

    def __init__(self, at: int) -> None:
        self.at = at

    def __call__(self, event: object, run: object) -> None:
        if isinstance(event, Stepped) and event.step == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("kind", MODELS)
def test_resumed_after_kills(kind: type[Any], tmp_path: Path):
    settings = {**SETTINGS, "save_every": 4}
    fit(kind(), points(), **settings, out=tmp_path / "whole")
    for at in (6, 17):
        child = os.fork()
        if not child:
            fit(
                kind(),
                points(),
                **settings,
                out=tmp_path / "killed",
                resume=at > 6,
                listeners=[Killed(at)],
            )
            os._exit(3)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    seen: list[int] = []

    def hear(event: object, run: object) -> None:
        if isinstance(event, Stepped):
            seen.append(event.step)

    fit(kind(), points(), **settings, out=tmp_path / "killed", resume=True, listeners=[hear])
    assert seen == [*range(17, 31)]  # it went on from the checkpoint, and did not begin anew
    whole, killed = (state(tmp_path / run, 30) for run in ("whole", "killed"))
    assert all(torch.equal(whole[name], killed[name]) for name in whole)


# -- a step that is left out -----------------------------------------------------------------------


def everything(run: Run) -> dict[str, Tensor]:
    found = {n: v.clone() for n, v in run._parts().items() if not n.startswith("guard")}
    return found


@pytest.mark.parametrize("bad", ["critic", "generator"])
def test_nan_in_any_phase_leaves_the_whole_step_out(bad: str):
    model = ToyGan()
    model.register_buffer("seen", torch.zeros(()))
    run = run_of(model)
    run.advance()
    before, phases = everything(run), model.phases

    def broken() -> list[Any]:
        made = phases()
        for i, phase in enumerate(made):
            loss = phase.loss

            def spoilt(
                x0: Any, cond: Any, noise: Any, loss: Any = loss, name: str = phase.name
            ) -> Any:
                model.seen.add_(1)
                found = loss(x0, cond, noise)
                return type(found)(found.value * (float("nan") if name == bad else 1.0), found.logs)

            made[i] = type(phase)(phase.name, phase.module, spoilt)
        return made

    model.phases = broken  # pyright: ignore[reportAttributeAccessIssue]
    outcome = run.advance()
    assert outcome.skipped and run.guard.skipped == 1
    after = everything(run)
    assert all(torch.equal(before[name], after[name]) for name in before)
    model.phases = phases
    assert run.advance().skipped is None
    changed = everything(run)  # the canary: a good step changes weights of both phases
    assert not any(
        torch.equal(before[f"weights.{n}.0.weight"], changed[f"weights.{n}.0.weight"])
        for n in ("critic", "generator")
    )


# -- values and logs -------------------------------------------------------------------------------


def test_every_phase_is_logged(tmp_path: Path):
    log, lines = MetricsLog(tmp_path / "metrics.jsonl"), list[str]()

    def hear(event: Any, run: Any) -> None:
        if isinstance(event, Stepped):
            lines.append(progress_line(event))

    held = HeldOut(log, points(), 10, lambda *_: None)
    fit(ToyGan(), points(), **SETTINGS, listeners=[log, hear, held])
    found = read_metrics(tmp_path / "metrics.jsonl")
    steps = [line for line in found if line["event"] == "step"]
    assert steps and all(line["phases"].keys() == {"critic", "generator"} for line in steps)
    assert all(line["loss"] == line["phases"]["critic"]["loss"] for line in steps)
    assert steps[0]["phases"]["critic"]["logs"].keys() == {"real", "fake"}
    assert "critic" in lines[0] and "generator" in lines[0] and "loss" not in lines[0]
    looks = [line for line in found if line["event"] == "held out"]
    assert len(looks) == 3 and looks[0]["phases"]["critic"] == looks[0]["loss"]
    assert looks[0]["phases"]["generator"] != looks[0]["loss"]


def test_a_single_phase_is_logged_as_ever(tmp_path: Path):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    fit(ToyFlow(), points(), **SETTINGS, listeners=[log])
    assert all("phases" not in line for line in read_metrics(tmp_path / "metrics.jsonl"))


def test_settings_of_a_phase_are_its_own():
    run = run_of(ToyGan(), lr=1e-2, warmup=0)
    critic, generator = run.optimisers
    assert (critic.betas, critic.weight_decay) == ((0.5, 0.9), 0.01)
    assert (generator.betas, generator.weight_decay) == ((0.9, 0.99), 0.0)
    run.advance()
    counts = [int(each.memory["count"][0]) for each in run.optimisers]
    assert counts == [2, 1] and [turn.repeat for turn in run.turns] == [0, 1, 0]


def test_other_phases_get_no_gradient():
    run = run_of(ToyGan())
    run.backward(0, run.turns[2])
    assert all(p.grad is not None for p in run.model.generator.parameters())  # pyright: ignore
    assert all(p.grad is None for p in run.model.critic.parameters())  # pyright: ignore
    assert all(p.requires_grad for p in run.model.parameters())


def test_streams_of_repeats_differ():
    run = run_of(ToyGan())
    noise = run.batch(0)[1]
    drawn = [turn.streams(noise).normal(torch.empty(16, 2)) for turn in run.turns]
    assert torch.equal(drawn[0], noise.child("objective").normal(torch.empty(16, 2)))
    assert not any(torch.equal(drawn[i], drawn[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


@pytest.mark.parametrize("model", [ToyGan(), ToyFlow()])
def test_sharding_is_refused(model: Model):
    with pytest.raises(InputError, match=r"sharded = true: a model with .* Set training\.sharded"):
        Sharded(model, torch.device("cpu"))


# -- data-dependent first values -------------------------------------------------------------------


def begun(**changes: Any) -> tuple[ToyFlow, list[int]]:
    """A flow after some steps, and how often it began."""
    model, calls = ToyFlow(), list[int]()
    begin = model.begin
    model.begin = lambda x, cond: (calls.append(len(x)), begin(x, cond))[0]  # pyright: ignore
    fit(model, points(), **{**SETTINGS, **changes})
    return model, calls


def test_a_model_begins_once_in_its_life(tmp_path: Path):
    model, calls = begun(steps=1, out=tmp_path / "run")
    assert calls == [16] and bool(model.begun)
    fit(model, points(), **SETTINGS)
    assert calls == [16]
    assert bool(load(tmp_path / "run").begun)
    again = ToyFlow()
    again.begin = lambda *_: pytest.fail("begun again")  # pyright: ignore
    fit(again, points(), **{**SETTINGS, "steps": 1}, out=tmp_path / "run", resume=True)


def test_averages_start_at_the_first_values():
    model = ToyFlow()
    run = run_of(model, ema_half_life=1e9)
    run.begin()
    x = points().batch(torch.arange(100)).x
    assert float((model.loc - x.mean(0)).detach().abs().max()) < 0.5
    assert float(model.loc.detach().abs().max()) > 0
    held = run.average.state()
    assert torch.equal(held["loc"], model.loc) and torch.equal(held["log_scale"], model.log_scale)


def test_a_trial_leaves_buffers_alone():
    model = ToyFlow()
    run = run_of(model)
    run.begin()
    model.register_buffer("calls", torch.zeros(()))
    loss = model.loss
    model.loss = lambda *a: (model.calls.add_(1), loss(*a))[1]  # pyright: ignore
    before = copy.deepcopy(model.state_dict())
    run.trial()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


# -- optimisers ------------------------------------------------------------------------------------


def test_sgd_is_torchs():
    own, theirs = (nn.Linear(3, 2) for _ in range(2))
    theirs.load_state_dict(own.state_dict())
    mine = Optimising(SGD(), dict(own.named_parameters()))
    other = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9)
    for step in range(5):
        for net in (own, theirs):
            net.zero_grad()
            net(torch.full((4, 3), float(step))).square().sum().backward()
        mine.step(0.01)
        other.param_groups[0]["lr"] = 0.01
        other.step()
    assert all(
        torch.allclose(a, b) for a, b in zip(own.parameters(), theirs.parameters(), strict=True)
    )


def test_sgd_has_no_betas(tmp_path: Path):
    with pytest.raises(InputError, match=r"betas = \(0.5, 0.9\): sgd has none"):
        fit(ToyFlow(), points(), **SETTINGS, optimiser="sgd", betas=(0.5, 0.9))
    with pytest.raises(InputError, match="sgd has none"):
        fit(ToyGan(), points(), **SETTINGS, optimiser="sgd")
    model = ToyFlow()
    fit(
        model,
        points(),
        **SETTINGS,
        optimiser={"kind": "sgd", "momentum": 0.5},
        out=tmp_path / "run",
    )
    document = json.loads(json.dumps(load(tmp_path / "run").recipe))
    assert document.get("training", {}).get("optimiser", {"kind": "sgd"})["kind"] == "sgd"
    assert not same(weights(model), weights(ToyFlow()))
