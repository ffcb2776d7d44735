"""power-function averages, and any width from their snapshots."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.commands import good, refused
from tests.small import SETTINGS, diffusion, points, same, weights
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.models import load
from unnoise.training import Run, Stepped, fit, read_average
from unnoise.training.averages import Average, exponent, exponential, mixture, power

STEPS = 2000


def wandering() -> torch.Tensor:
    """Weights of STEPS steps: a random walk with a drift, shape (STEPS, 8)."""
    steps = Noise(0, range(8)).normal(torch.empty(8, STEPS).double()).T
    return steps.cumsum(0) / 30 + torch.linspace(0, 2, STEPS).double()[:, None]


def averaged(width: float, at: list[int]) -> dict[int, torch.Tensor]:
    """The power-function average of a walk, by its recursion, at some steps (counted from 1)."""
    path, found = wandering(), {}
    weight = nn.Parameter(path[0].clone())
    average = Average({"w": weight}, power(width))
    for n in range(STEPS):
        with torch.no_grad():
            weight.copy_(path[n])
        average.update(n, 16)
        if n + 1 in at:
            found[n + 1] = average.state()["w"].clone()
    return found


@pytest.mark.parametrize("width", [0.05, 0.1, 0.2, 0.28])
def test_the_width_is_the_profiles(width: float):
    """Mean and standard deviation of tau^gamma on (0, 1), by quadrature."""
    gamma = exponent(width)
    tau = (torch.arange(200_000).double() + 0.5) / 200_000
    share = tau**gamma / (tau**gamma).sum()
    mean = float(share @ tau)
    assert float(share @ (tau - mean) ** 2) ** 0.5 == pytest.approx(width, rel=1e-3)
    assert exponent(0.28) > 0 and 12**-0.5 > 0.28


@pytest.mark.parametrize("width", [0.05, 0.2])
def test_the_recursion_is_the_power_function(width: float):
    """prod of decays = tau^gamma shares, up to the steps' own width."""
    gamma, path = exponent(width), wandering()
    ends = torch.arange(STEPS + 1).double() / STEPS
    share = ends[1:] ** (gamma + 1) - ends[:-1] ** (gamma + 1)
    exact = averaged(width, [STEPS])[STEPS]
    assert torch.allclose(exact, share @ path, atol=1e-9)


def test_any_width_from_two():
    """Least squares over 16 snapshots of widths .05 and .1; a single one is far worse."""
    at = [STEPS * k // 16 for k in range(1, 17)]
    widths, times, values = [], [], []
    for width in (0.05, 0.1):
        for time, value in averaged(width, at).items():
            widths.append(width)
            times.append(float(time))
            values.append(value)
    stack = torch.stack(values)
    for width in (0.05, 0.07, 0.1, 0.15, 0.2):
        shares = mixture(widths, times, width, float(STEPS))
        exact = averaged(width, [STEPS])[STEPS]
        gap = float((shares @ stack - exact).norm())
        assert float(shares.sum()) == pytest.approx(1, abs=0.01)
        assert gap < 0.02 * float(exact.norm())
        if width not in (0.05, 0.1):  # the canary: the nearest snapshot is not it
            nearest = min(float((v - exact).norm()) for v in stack)
            assert gap < 0.3 * nearest
    own = mixture(widths, times, 0.1, float(times[8]))
    assert float(own[24]) == pytest.approx(1, abs=1e-6) and float(own.abs().sum()) < 1 + 1e-4


@pytest.mark.parametrize("width", [0.0, -0.1, 0.29, math.inf])
def test_refuses_widths(width: float):
    with pytest.raises(InputError, match=r"up to 0\.28"):
        exponent(width)


# -- in a training --------------------------------------------------------------------------------

PLAIN = {**SETTINGS, "schedule": "constant"}
WITH = {
    **PLAIN,
    "half_lives": [32.0, 256.0],
    "power_averages": [0.05, 0.1],
    "snapshot_every": 3,
}
Kept = dict[int, dict[str, torch.Tensor]]


def heard(kept: Kept):
    def listen(event: object, run: Run) -> None:
        if isinstance(event, Stepped):
            kept[event.step] = weights(run.model)

    return listen


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, dict[int, dict[str, torch.Tensor]]]:
    out, kept = tmp_path_factory.mktemp("averages"), {}
    fit(diffusion(), points(), **WITH, out=out, listeners=[heard(kept)])
    return out, kept


def test_they_change_nothing_of_the_training(run, tmp_path: Path):
    plain = fit(diffusion(), points(), **PLAIN)
    assert same(weights(load(run[0])), weights(plain))


def test_averages_of_a_run_are_those_of_its_weights(run):
    """Half-lives exactly; a width to what sixteen snapshots can tell, and unlike the others."""
    out, kept = run
    first = weights(diffusion())
    for half_life in (32.0, 256.0):
        named = {n: nn.Parameter(v.clone()) for n, v in first.items()}
        average = Average(named, exponential(half_life))
        for step in sorted(kept):
            for name, weight in named.items():
                weight.data.copy_(kept[step][name])
            average.update(step - 1, SETTINGS["batch"])
        assert same(weights(read_average(out, half_life=half_life)), average.state())
    name = "denoiser.network.out.weight"
    for width in (0.05, 0.08):
        gamma = exponent(width)
        ends = torch.arange(31).double() / 30
        share = ends[1:] ** (gamma + 1) - ends[:-1] ** (gamma + 1)
        exact = sum(share[i] * kept[i + 1][name].double() for i in range(30))
        found = weights(read_average(out, width=width))[name]
        gap = float((found - exact).norm())
        assert gap < 0.3 * float((found - kept[30][name]).norm())  # the last weights are not it
    assert not same(weights(read_average(out, width=0.05, step=15)), weights(load(out)))


def test_resumed_runs_write_the_same(run, tmp_path: Path):
    class Stopped(BaseException):
        pass

    def stop(event: object, run: Run) -> None:
        if isinstance(event, Stepped) and event.step == 14:
            raise Stopped

    settings = {**WITH, "save_every": 10}
    with pytest.raises(Stopped):
        fit(diffusion(), points(), **settings, out=tmp_path, listeners=[stop])
    fit(diffusion(), points(), **settings, out=tmp_path, resume=True)
    for path in (run[0] / "snapshots").iterdir():
        assert path.read_bytes() == (tmp_path / "snapshots" / path.name).read_bytes()


def test_command(run, tmp_path: Path):
    out = run[0]
    ended = good("average", out, "--width", 0.07)
    assert ended.last == f"wrote {out}/average-0.07.safetensors"
    made = load(out / "average-0.07.safetensors")
    assert same(weights(made), weights(read_average(out, width=0.07))) and made.info is not None
    good("average", out, "--half-life", 32, "-o", tmp_path / "a.safetensors")
    assert "either a width or a half-life" in refused("average", out)
    assert "it keeps: 32, 256" in refused("average", out, "--half-life", 7)
    assert "up to 0.28" in refused("average", out, "--width", 0.5)
    assert "no snapshot of step 4" in refused("average", out, "--width", 0.1, "--step", 4)
    assert "already" in refused("average", out, "--width", 0.1, "-o", out / "model.safetensors")
    assert "folder of a run" in refused("average", out / "model.safetensors", "--width", 0.1)
