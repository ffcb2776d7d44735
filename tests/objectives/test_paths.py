"""Score matching on simulated paths: the truth is its minimum, and a network finds it."""

import math

import pytest
import torch
from torch import Tensor

from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.data import TensorDataset
from unnoise.denoisers import NetworkScore, ScoreFunction
from unnoise.models import ScoreDiffusion
from unnoise.networks import MLP
from unnoise.objectives import PathScoreMatching
from unnoise.processes import ItoSDE, simulate
from unnoise.processes.ito import diagonal
from unnoise.training import fit

S0, NOISE, COUNT = 0.3, 0.8, 20_000


def geometric(pull: float = 1.0) -> ItoSDE:
    """Geometric Brownian motion, of which log x is normal with variance S0^2 + NOISE^2 t."""
    return ItoSDE(
        lambda x, t: pull * NOISE**2 / 2 * x, diagonal(lambda x, t: NOISE * x), prior_std=2.0
    )


def known(x: Tensor, t: Tensor) -> Tensor:
    spread = (S0**2 + NOISE**2 * torch.as_tensor(t).to(x)).reshape(-1, 1)
    return -(1 + x.log() / spread) / x


def start(count: int = COUNT) -> Tensor:
    z = Noise(0, range(count)).child("data").normal(torch.empty(count, 1).double())
    return (S0 * z).exp()


def test_paths_have_the_law():
    """Mean and variance of log x at four times, 5 s.e. and a bias of the steps of .02."""
    sde, t = geometric(), torch.tensor([0.1, 0.4, 0.7, 1.0], dtype=torch.float64).repeat(COUNT // 4)
    times = torch.linspace(0, 1, 31).double()[:, None] * t
    logs = simulate(sde, start(), times, Noise(1, range(COUNT))).log()
    for time in (0.1, 0.4, 0.7, 1.0):
        part = logs[t == time]
        spread = math.sqrt(S0**2 + NOISE**2 * time)
        assert abs(float(part.mean())) < 5 * spread / len(part) ** 0.5 + 0.02
        assert abs(float(part.std()) / spread - 1) < 5 / (2 * len(part)) ** 0.5 + 0.02


def ornstein_uhlenbeck(pull: float = 1.0) -> ItoSDE:
    """From N(0, 1/4) towards N(0, 1): normal at all times, so that the loss has a variance."""
    return ItoSDE(lambda x, t: -pull * x, diagonal(lambda x, t: 2**0.5 * torch.ones_like(x)))


def normal_score(x: Tensor, t: Tensor) -> Tensor:
    return -x / (1 - 0.75 * torch.exp(-2 * t)).reshape(-1, 1).to(x)


def best_share(sde: ItoSDE) -> float:
    """The factor on the true score at which the loss is least, by its own quadratic in it."""
    noise, objective = Noise(2, range(COUNT)), PathScoreMatching(steps=60)
    x0 = 0.5 * noise.child("data").normal(torch.empty(COUNT, 2).double())
    losses: list[float] = []
    for share in (0.5, 1.0):
        model = ScoreFunction(sde, lambda x, t, by=share: by * normal_score(x, t))
        losses.append(float(objective(model, x0, None, noise).value.detach().mean()))
    # loss(a) = a p + a^2 q
    q = 2 * (losses[1] - 2 * losses[0])
    return (q - losses[1]) / (2 * q)


def test_the_true_score_is_the_minimum():
    """Within .03: 5 s.e. of 20,000 paths are .02, the steps' bias .01; another drift is seen."""
    assert best_share(ornstein_uhlenbeck()) == pytest.approx(1, abs=0.03)
    assert abs(best_share(ornstein_uhlenbeck(2.0)) - 1) > 0.1  # the canary


def test_a_network_learns_it():
    """By the same fit as any model; its score beside the true one, and its samples' spread."""
    model = ScoreDiffusion(MLP((1,), width=64, depth=2), geometric(), PathScoreMatching(steps=20))
    data = TensorDataset("log-normal", start(4000).float(), licence="none", standardize=False)
    fit(model, data, steps=250, batch=128, lr=3e-3, warmup=10, ema_half_life=3000.0, threads=1)
    t = torch.tensor(0.5).double()
    x = torch.linspace(0.5, 2.0, 16)[:, None]
    gap = (model.score_model.score(x, t) - known(x, t)).detach().norm() / known(x, t).norm()
    blank = ScoreDiffusion(MLP((1,), width=64, depth=2), geometric())
    assert float(gap) < 0.35 and not bool(blank.score_model.score(x, t).any())
    found = model.likelihood(x[:3], t=0.2, steps=8, divergence="exact")
    assert found.log_prob.shape == (3,) and bool(found.log_prob.isfinite().all())
    drawn = model.sample(4, steps=5)
    assert drawn.shape == (4, 1) and torch.equal(drawn[:2], model.sample(2, steps=5))


def test_refuses():
    with pytest.raises(InputError, match="outputs = 1"):
        NetworkScore(MLP((1,), width=8, outputs=2), geometric())
    model = ScoreDiffusion(MLP((1,), width=8, depth=1), geometric())
    with pytest.raises(InputError, match="needs a GaussianProcess"):
        model.sample(2, solver="ddim")
    with pytest.raises(InputError, match="this model knows"):
        model.likelihood(torch.zeros(2, 3))
