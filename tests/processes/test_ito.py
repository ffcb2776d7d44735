"""General SDEs: what follows from a drift and a diffusion, and the walk back."""

import math

import pytest
import torch
from torch import Tensor

from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.denoisers import ScoreFunction
from unnoise.processes import VP, ItoSDE, simulate
from unnoise.processes.ito import diagonal, matrix, scalar
from unnoise.solvers import DDIM, RK4, DormandPrince, EulerMaruyama, grid, integrate
from unnoise.testing import GaussianBelief
from unnoise.testing.compare import draw, worst

BETA = (0.1, 19.9)


def like_vp() -> ItoSDE:
    """VP spelled out as a general SDE."""

    def beta(t: Tensor) -> Tensor:
        return BETA[0] + t * BETA[1]

    def drift(x: Tensor, t: Tensor) -> Tensor:
        rate = beta(t)
        return -0.5 * (rate if rate.ndim == 0 else rate[:, None]).to(x) * x

    return ItoSDE(drift, scalar(lambda t: beta(t).sqrt()))


def test_vp_spelled_out_is_vp():
    ours, vp, x, v = like_vp(), VP(), draw(4, 3), draw(4, 3, name="v")
    for t in (torch.tensor(0.3).double(), torch.linspace(0.1, 0.9, 4).double()):
        assert worst(ours.drift(x, t), vp.drift(x, t), scale=1.0) < 1e-12
        assert worst(ours.diffuse(x, t, v), vp.diffuse(x, t, v), scale=1.0) < 1e-12
        assert worst(ours.covariance(x, t, v), vp.covariance(x, t, v), scale=1.0) < 1e-12
        assert not bool(ours.covariance_divergence(x, t).any())


@pytest.mark.parametrize("solver", [EulerMaruyama(), RK4(), DormandPrince()], ids=str)
def test_walks_like_vp(solver):
    """The same score, the same noise: the same end, up to the solver's own error."""
    belief = GaussianBelief(VP())
    model = ScoreFunction(like_vp(), belief.score)
    x, times = draw(5, 2), torch.linspace(1, 0.1, 201).double()
    # Euler-Maruyama walks in t on both; Runge-Kutta in t here and in the angle there.
    ends = [integrate(solver, d, x, times, noise=Noise(0, range(5))) for d in (model, belief)]
    assert worst(*ends, scale=1.0) < 1e-5


def test_divergence_of_a_matrix():
    """L = [[x, y], [0, 1]]: L L^T = [[x^2 + y^2, y], [y, 1]], divergence (2 x + 1, 0)."""

    def field(x: Tensor, t: Tensor) -> Tensor:
        zero, one = torch.zeros_like(x[:, 0]), torch.ones_like(x[:, 0])
        return torch.stack([x, torch.stack([zero, one], 1)], 1)

    sde, x, v = ItoSDE(lambda x, t: 0 * x, matrix(field)), draw(5, 2), draw(5, 2, name="v")
    wanted = torch.stack([2 * x[:, 0] + 1, torch.zeros(5).double()], 1)
    assert worst(sde.covariance_divergence(x, 0.5), wanted, scale=1.0) < 1e-12
    first = x.square().sum(1) * v[:, 0] + x[:, 1] * v[:, 1]
    second = x[:, 1] * v[:, 0] + v[:, 1]
    assert worst(sde.covariance(x, 0.5, v), torch.stack([first, second], 1), scale=1.0) < 1e-12


# Geometric Brownian motion: log x_t is normal with variance S0^2 + NOISE^2 t.
S0, NOISE, COUNT = 0.3, 0.8, 6_000


def log_normal() -> tuple[ItoSDE, ScoreFunction]:
    sde = ItoSDE(lambda x, t: NOISE**2 / 2 * x, diagonal(lambda x, t: NOISE * x))

    def score(x: Tensor, t: Tensor) -> Tensor:
        return -(1 + x.log() / (S0**2 + NOISE**2 * t)) / x

    return sde, ScoreFunction(sde, score)


def z_scores(x: Tensor, spread: float) -> tuple[float, float]:
    """Of the mean and the variance of log x."""
    logs = x.log()
    mean = float(logs.mean()) / spread * math.sqrt(len(x))
    return mean, (float(logs.var()) / spread**2 - 1) * math.sqrt(len(x) / 2)


def test_forward_simulation():
    """z-scores below 5: a false alarm with p = 6e-7 a test; the draws are fixed."""
    sde, _ = log_normal()
    x0 = (S0 * draw(COUNT, 1)).exp()
    end = simulate(sde, x0, torch.linspace(0, 1, 201).double(), Noise(2, range(COUNT)))
    assert max(map(abs, z_scores(end, math.hypot(S0, NOISE)))) < 5


def walked_back(model: ScoreFunction, solver) -> Tensor:
    x = (math.hypot(S0, NOISE) * draw(COUNT, 1)).exp()
    times = torch.linspace(1, 0, 201).double()
    times[-1] = 1e-6
    return integrate(solver, model, x, times, noise=Noise(3, range(COUNT)))


@pytest.mark.parametrize("solver", [EulerMaruyama(), RK4()], ids=str)
def test_state_dependent_diffusion_walks_back(solver):
    """From the exact law at t = 1 to that at 0, by the reverse SDE and by the ODE."""
    assert max(map(abs, z_scores(walked_back(log_normal()[1], solver), S0))) < 5


@pytest.mark.parametrize("solver", [EulerMaruyama(), RK4()], ids=str)
def test_canary_without_the_divergence(solver, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ItoSDE, "covariance_divergence", lambda self, x, t: torch.zeros_like(x))
    assert max(map(abs, z_scores(walked_back(log_normal()[1], solver), S0))) > 5


def test_what_it_cannot_do_is_said_before_the_first_call():
    sde = like_vp()

    def never(x: Tensor, t: Tensor) -> Tensor:
        raise AssertionError("the score was asked")

    model = ScoreFunction(sde, never)
    with pytest.raises(InputError, match="needs a GaussianProcess; ItoSDE is none"):
        integrate(DDIM(), model, draw(2, 2), grid(sde, 5, "uniform"))
    with pytest.raises(InputError, match='Use "uniform"'):
        grid(sde, 5, "karras")
    with pytest.raises(InputError, match="must keep the shape"):
        ItoSDE(lambda x, t: x[:, :1], lambda x, t, z: z).drift(draw(2, 2), 0.5)
    with pytest.raises(InputError, match="must rise"):
        simulate(sde, draw(2, 2), torch.tensor([1.0, 0.0]).double(), Noise(0, range(2)))
    for bad in ({"prior_std": 0.0}, {"t_min": 1.5}):
        with pytest.raises(InputError, match="give a"):
            ItoSDE(lambda x, t: x, lambda x, t, z: z, **bad)
