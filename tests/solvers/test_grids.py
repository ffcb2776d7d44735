"""Grids: every rule on every process."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kinds import make
from unnoise.catalogue.registry import names
from unnoise.core.errors import InputError
from unnoise.processes import EDM, VE, VP, Rectified
from unnoise.solvers import grid
from unnoise.solvers.grids import Grid, KarrasGrid
from unnoise.testing.compare import worst


@pytest.mark.parametrize("process", names("process"))
@pytest.mark.parametrize("rule", names("grid"))
def test_falls_from_start_to_data(rule: str, process: str):
    p = make("process", process)
    if rule == "native" and p.steps is None:
        with pytest.raises(InputError, match="has no chain of its own"):
            grid(p, 5, rule)
        return
    for steps in (1, 2, 3, 18, 1000):
        for start in (1.0, p.t_max, 0.3):
            if rule == "native" and steps > round(start * p.steps):
                continue
            times = grid(p, steps, rule, start)
            assert times.shape == (steps + 1,) and times.dtype == torch.float64
            assert times[0] == start and times[-1] == 0 and (times.diff() < 0).all()
            assert steps == 1 or times[-2] >= p.t_min
            own_end = rule in ("auto", "edm", "native")
            assert steps == 1 or own_end or times[-2] == p.t_min


@settings(deadline=None, max_examples=25)
@given(steps=st.integers(3, 60), rho=st.floats(1, 10), start=st.floats(0.2, 1))
def test_karras_spacing(steps: int, rho: float, start: float):
    """Eq. 5: sigma_i = (s_max^(1/rho) + i/(N-1) (s_min^(1/rho) - s_max^(1/rho)))^rho."""
    p = EDM()
    sigma = p.scales(grid(p, steps, KarrasGrid(rho), start))[1][:-1]
    i = torch.linspace(0, 1, steps, dtype=torch.float64)
    low, high = 0.002 ** (1 / rho), (80 * start) ** (1 / rho)
    assert worst(sigma, (high + i * (low - high)) ** rho) < 1e-6


@pytest.mark.parametrize("name", names("process"))
def test_even_steps(name: str):
    p = make("process", name)
    angles = p.angle(grid(p, 20, "angle")[:-1])
    assert worst(angles.diff(), angles.diff().mean().expand(19)) < 1e-8
    levels = p.log_snr(grid(p, 20, "logsnr", p.t_max)[:-1])
    assert worst(levels.diff(), levels.diff().mean().expand(19)) < 1e-8
    times = grid(p, 20, "uniform")[:-1]
    assert worst(times.diff(), times.diff().mean().expand(19)) < 1e-12


def test_log_steps_where_no_signal_is_left():
    """From t = 1 the first level is that of t_max; the rest are even."""
    times = grid(Rectified(), 20, "logsnr")
    assert torch.equal(times[1:], grid(Rectified(), 20, "logsnr", 0.999)[1:]) and times[0] == 1


def test_own_times():
    assert grid(VP(), 99, [1.0, 0.4, 0.0]).tolist() == [1.0, 0.4, 0.0]
    with pytest.raises(InputError, match=r"times\[1\] = 0.4 is followed by 0.6"):
        grid(VP(), 99, [1.0, 0.4, 0.6])


@pytest.mark.parametrize(
    ("steps", "rule", "start", "words"),
    [
        (0, "logsnr", 1.0, "steps = 0: give a whole number, 1 to"),
        (True, "logsnr", 1.0, "steps = True: give a whole number, 1 to"),
        (5, "logsnr", 1.5, "accepted are times above"),
        (5, "logsnr", 0.0, "accepted are times above"),
        (5, "logsnr", math.nan, "accepted are times above"),
        (5, "karas", 1.0, "Did you mean 'karras'"),
    ],
)
def test_refuses(steps, rule, start, words):
    with pytest.raises(InputError, match=words):
        grid(VE(), steps, rule, start)


def test_canary_grid():
    class Rising(Grid):
        def times(self, process, start, count, data):
            return torch.linspace(0.1, 0.9, count)

    with pytest.raises(InputError, match="must fall"):
        grid(VP(), 5, Rising())
