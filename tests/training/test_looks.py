"""State is saved before anyone looks, and whoever only looks ends nothing."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from tests.commands import good, refused
from tests.small import SETTINGS, Heard, diffusion, points
from unnoise.catalogue import registry
from unnoise.core.condition import Condition
from unnoise.core.errors import InputError, Interrupted
from unnoise.core.noise import Noise
from unnoise.data import Batch, Dataset
from unnoise.models import Diffusion, load
from unnoise.networks import Network
from unnoise.spaces.display import Table
from unnoise.tasks.listeners import SampleSheets
from unnoise.training import (
    Began,
    Ended,
    Event,
    MetricsLog,
    Paused,
    Run,
    Saved,
    Stepped,
    Warned,
    fit,
)
from unnoise.training.checkpoints import steps_of
from unnoise.training.events import read_metrics

EVENTS = (Began, Stepped, Saved, Paused, Ended)


class Failing:
    """A listener that fails whenever it hears of one kind of event."""

    def __init__(self, kind: type, error: BaseException) -> None:
        self.kind, self.error = kind, error

    def __call__(self, event: Event, run: Run) -> None:
        if isinstance(event, self.kind):
            raise self.error


def warnings(heard: Heard) -> list[str]:
    return [event.text for event in heard.events if isinstance(event, Warned)]


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    "error", [InputError("cannot be drawn."), ZeroDivisionError("nothing"), MemoryError()], ids=repr
)
def test_who_looks_ends_nothing(kind: type, error: BaseException, tmp_path: Path):
    """Whatever it raises and whenever: one warning, and the weights of a run without it."""
    plain, heard = diffusion(), Heard()
    fit(plain, points(), **SETTINGS)
    model = fit(
        diffusion(), points(), **SETTINGS, out=tmp_path, listeners=[Failing(kind, error), heard]
    )
    assert (
        len(warnings(heard)) == 1 and "Failing failed, and training goes on" in warnings(heard)[0]
    )
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), plain.parameters(), strict=True)
    )
    assert steps_of(tmp_path) == [30] and load(tmp_path)


def test_two_that_fail_do_not_warn_each_other_for_ever():
    heard = Heard()
    both = [Failing((Stepped, Warned), ValueError(name)) for name in ("one", "two")]  # pyright: ignore
    fit(diffusion(), points(), **SETTINGS, listeners=[*both, heard])
    assert 2 <= len(warnings(heard)) <= 4


def test_a_listener_may_stop_the_training():
    with pytest.raises(Interrupted, match="enough"):
        fit(
            diffusion(),
            points(),
            **SETTINGS,
            listeners=[Failing(Stepped, Interrupted("enough", 0))],
        )


def test_the_state_is_there_when_anyone_looks(tmp_path: Path):
    found: list[list[int]] = []

    def look(event: Event, run: Run) -> None:
        if isinstance(event, Paused) and event.due(10):
            found.append(steps_of(tmp_path)[:1])

    fit(diffusion(), points(), **SETTINGS, save_every=10, out=tmp_path, listeners=[look])
    assert found == [[10], [20], [30]]


def test_a_look_that_was_killed_is_made_up_for(tmp_path: Path):
    """The process dies while the sheet of a saved step is drawn: the resumed run draws it."""

    class Killed(BaseException):
        pass

    def die(event: Event, run: Run) -> None:
        if isinstance(event, Paused) and event.step == 20:
            raise Killed

    def run(out: Path, *more: Any, resume: bool = False) -> None:
        out.mkdir(exist_ok=True)
        looks = [MetricsLog(out / "metrics.jsonl"), *more, SampleSheets(out / "samples", 10)]
        settings = {**SETTINGS, "save_every": 20}
        fit(diffusion(), points(), **settings, out=out, resume=resume, listeners=looks)

    run(tmp_path / "whole")
    with pytest.raises(Killed):
        run(tmp_path / "killed", die)
    assert not (tmp_path / "killed/samples/step-000020.png").exists()
    # As if it had died before that line, too.
    log = tmp_path / "killed/metrics.jsonl"
    log.write_text("".join(f"{x}\n" for x in log.read_text().splitlines() if "saved" not in x))
    run(tmp_path / "killed", resume=True)
    for name in ("step-000010.png", "step-000020.png", "step-000030.png"):
        one, other = (tmp_path / out / "samples" / name for out in ("whole", "killed"))
        assert one.read_bytes() == other.read_bytes()

    def told(out: str) -> list[tuple[str, int]]:
        return [(e["event"], e["step"]) for e in read_metrics(tmp_path / out / "metrics.jsonl")]

    assert told("killed") == told("whole")


def test_lines_of_others_stay(tmp_path: Path):
    """What somebody else wrote into metrics.jsonl is theirs, if it is JSON."""
    log = tmp_path / "metrics.jsonl"

    def run(**more: Any) -> None:
        settings = {**SETTINGS, "steps": 4, "save_every": 2}
        fit(diffusion(), points(), **settings, out=tmp_path, listeners=[MetricsLog(log, 2)], **more)

    run()
    before = [line for line in read_metrics(log) if line["step"] <= 4]
    log.write_text('{"mine": 1}\n3\n{"cut of' + "\n" + log.read_text())
    run(resume=True)
    assert read_metrics(log) == [{"mine": 1}, *before]


def test_canary_looking_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """The order as it was: whoever looks does so before the state is saved."""

    def old(run: Run, stepped: Stepped, asked: Any, tell: Any) -> int:
        tell(stepped)
        tell(Paused(run.step, run.settings.steps))
        if run.settings.save_due(run.step):
            tell(Saved(run.step, run.save()))
        return asked()

    monkeypatch.setattr(sys.modules[fit.__module__], "_finish", old)
    with pytest.raises(AssertionError):
        test_the_state_is_there_when_anyone_looks(tmp_path)


# -- data of every shape, from the command line ---------------------------------------------------

RECIPE = """
[data]
kind = "npy"
path = "{path}"
[model]
kind = "diffusion"
network = {{ kind = "{network}", width = 16 }}
[training]
steps = 4
batch = 4
sample_every = 2
"""


@pytest.mark.parametrize(
    ("shape", "network"),
    [
        ((1, 64), "unet"),
        ((4, 8, 8), "unet"),
        ((3,), "mlp"),
        ((1, 8, 8), "unet"),
        ((7, 2, 2, 2), "mlp"),
    ],
)
def test_every_shape_has_a_sheet(shape: tuple[int, ...], network: str, tmp_path: Path):
    """A signal, latents, points in space, float pictures: trained and drawn without a warning."""
    rows = Noise(0, range(20)).normal(torch.empty(20, *shape))
    np.save(tmp_path / "data.npy", rows.numpy())
    recipe, run = tmp_path / "r.toml", tmp_path / "run"
    recipe.write_text(RECIPE.format(path=tmp_path / "data.npy", network=network))
    good("train", recipe, "--out", run, "--device", "cpu")
    sheets = sorted((run / "samples").iterdir())
    assert [sheet.name for sheet in sheets] == ["step-000002.png", "step-000004.png"]
    for suffix in (".png", ".gif", ".npz", ""):
        for _ in range(2):  # what is ours may be made anew
            good("sample", run, "-n", 5, "--steps", 3, "-o", tmp_path / f"x{suffix}")
    for path in (*sheets, tmp_path / "x.png", tmp_path / "x.gif"):
        with Image.open(path) as image:
            assert min(image.size) > 16
            assert getattr(image, "n_frames", 1) == (3 if path.suffix == ".gif" else 1)
    model = load(run)
    expected = model.info.to_stored(model.sample(5, steps=3))
    with np.load(tmp_path / "x.npz") as arrays:
        assert (arrays["values"] == expected.numpy()).all()
    each = sorted((tmp_path / "x").iterdir())
    if len(shape) == 3:
        assert [path.name for path in each] == [f"0000{i}.png" for i in range(5)]
    else:
        assert all((np.load(f) == x.numpy()).all() for f, x in zip(each, expected, strict=True))
    np.save(tmp_path / "x" / "00009.npy", rows[0].numpy())  # nobody's of ours
    assert "holds other files" in refused("sample", run, "-n", 5, "-o", tmp_path / "x")


def test_canary_a_shape_without_a_drawing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(Table, "drawing", "nothing")
    with pytest.raises(AssertionError):
        test_every_shape_has_a_sheet((3,), "mlp", tmp_path)


class Reads(Network):
    """A network of somebody else's that reads tokens."""

    def __init__(self, shape: tuple[int, ...] = (2,)) -> None:
        super().__init__()
        self.shape, self.classes, self.reads = tuple(shape), None, frozenset({"tokens"})
        self.inner = nn.Linear(2, 2)

    def compute(self, x: Tensor, clock: Tensor, cond: Condition | None) -> Tensor:
        assert cond is not None and cond.tokens is not None
        return self.inner(x) + cond.tokens.float().mean(1, keepdim=True)


class Captioned(Dataset):
    """Points with a token each."""

    def __init__(self) -> None:
        self.data = points()
        self.info = self.data.info

    def __len__(self) -> int:
        return len(self.data)

    def batch(self, index: Tensor, noise: Noise | None = None) -> Batch:
        return Batch(self.data.batch(index, noise).x, Condition(tokens=index[:, None] % 5))


def test_a_network_that_reads_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    copy = {family: dict(table) for family, table in registry._CATALOGUE.items()}
    monkeypatch.setattr(registry, "_CATALOGUE", copy)
    network = registry.register("network", "reads")(Reads)
    heard = Heard()
    model = Diffusion(network())
    looks = [SampleSheets(tmp_path / "samples", 10), heard]
    fit(model, Captioned(), **SETTINGS, out=tmp_path, listeners=looks)
    assert warnings(heard) == [] and len(list((tmp_path / "samples").iterdir())) == 3
    assert load(tmp_path).network.reads == {"tokens"}


class Vectors(Network):
    """A network that reads a vector and does not say what stands for none."""

    def __init__(self) -> None:
        super().__init__()
        self.shape, self.classes, self.reads = (2,), None, frozenset({"vector"})
        self.inner = nn.Linear(2, 2)

    def compute(self, x: Tensor, clock: Tensor, cond: Condition | None) -> Tensor:
        assert cond is not None and cond.vector is not None
        return self.inner(x) + cond.vector


class Directed(Captioned):
    """Points with a vector each."""

    def batch(self, index: Tensor, noise: Noise | None = None) -> Batch:
        x = self.data.batch(index, noise).x
        return Batch(x, Condition(vector=x.sign()))


def test_a_sheet_is_drawn_with_the_datas_own_conditions(tmp_path: Path):
    """A model that cannot be asked without one is shown with those of the first examples."""
    heard, model = Heard(), Diffusion(Vectors())
    fit(model, Directed(), **SETTINGS, listeners=[SampleSheets(tmp_path, 10), heard])
    assert warnings(heard) == [] and len(list(tmp_path.glob("*.png"))) == 3
