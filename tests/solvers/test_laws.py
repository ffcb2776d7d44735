"""The law of the samples: every solver on every process, with exact beliefs about four laws (E1).

Statistics: with a family of m p-values, all must exceed ALPHA / m, so that a correct solver is
blamed with probability 1e-4 in all cases together; the draws are fixed, so an alarm stays or does
not come.
"""

import math
from collections.abc import Callable
from functools import cache
from itertools import product

import pytest
import torch
from scipy import stats
from torch import Tensor

from tests.kinds import make
from unnoise.catalogue.registry import names
from unnoise.core.condition import Condition
from unnoise.core.distributions import Categorical, Normal
from unnoise.core.noise import Noise
from unnoise.denoisers import GaussianDenoiser
from unnoise.processes import GaussianProcess
from unnoise.solvers import LangevinPaper, PredictorCorrector, Solver, grid, integrate

ALPHA = 1e-4
COUNT = 20_000


class Blobs:
    """A mixture of round clouds of one size, whose projections are known."""

    def __init__(self, means: list[list[float]], spread: float, weights: list[float] | None = None):
        self.means, self.spread = torch.tensor(means), spread
        share = torch.tensor(weights or [1.0] * len(means))
        self.weights = share / share.sum()

    @property
    def size(self) -> int:
        return self.means.shape[1]

    def belief(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of x_0 given x, number by number."""
        total = alpha**2 * self.spread**2 + sigma**2
        near = alpha * (x @ self.means.T) - alpha**2 * self.means.square().sum(1) / 2
        share = (near / total + self.weights.log()).softmax(1)
        gain = alpha * self.spread**2 / total
        centre = share @ self.means
        mean = centre + gain * (x - alpha * centre)
        between = (share @ self.means**2 - centre**2) * (1 - gain * alpha) ** 2
        return mean, between + sigma**2 * self.spread**2 / total

    def draw(self, noise: Noise) -> Tensor:
        k = Categorical(self.weights.log().expand(len(noise), -1)).sample(noise.child("k"))
        z = noise.child("z").normal(torch.empty(len(noise), self.size))
        return self.means[k] + self.spread * z

    def cdf(self, x: Tensor, direction: Tensor) -> Tensor:
        """Of the projection of x on a unit vector."""
        away = ((x @ direction)[:, None] - self.means.double() @ direction) / self.spread
        return (torch.special.ndtr(away) * self.weights).sum(1)


@cache
def laws() -> dict[str, Blobs]:
    turns = [2 * math.pi * i / 24 for i in range(24)]
    eight = Noise(5, range(5)).normal(torch.empty(5, 8).double()).tolist()
    return {
        "normal": Blobs([[0.4]], 0.7),
        "two modes": Blobs([[-0.8], [0.9]], 0.25, [0.3, 0.7]),
        "ring": Blobs([[math.cos(a), math.sin(a)] for a in turns], 0.15),
        "eight": Blobs(eight, 0.4),
    }


class Product(GaussianDenoiser):
    """All laws at once, side by side in one event of twelve numbers."""

    def __init__(self, process: GaussianProcess):
        super().__init__()
        self.process = process

    def forward(self, x: Tensor, t: Tensor, cond: Condition | None = None) -> Normal:
        alpha, sigma = self.process.scales(t, x)
        parts = x.split([law.size for law in laws().values()], 1)
        found = [law.belief(p, alpha, sigma) for law, p in zip(laws().values(), parts, strict=True)]
        return Normal(torch.cat([m for m, _ in found], 1), torch.cat([v for _, v in found], 1))


def p_values(x: Tensor) -> dict[str, float]:
    """Five tests on two projections of each law."""
    found: dict[str, float] = {}
    for (name, law), part in zip(
        laws().items(), x.split([law.size for law in laws().values()], 1), strict=True
    ):
        means, weights = law.means.double(), law.weights.double()
        exact = means.T @ weights
        for i in range(min(2, law.size)):
            direction = Noise(9, [i]).normal(torch.empty(1, law.size).double())[0]
            direction = direction / direction.norm()
            seen, n = part @ direction, len(part)
            within = weights @ (means @ direction) ** 2 + law.spread**2
            for test, values, expected in (
                ("mean", seen, exact @ direction),
                ("second moment", seen**2, within),
            ):
                z = float((values.mean() - expected) / (values.std() / math.sqrt(n)))
                found[f"{name} {i} {test}"] = float(2 * stats.norm.sf(abs(z)))
            u = law.cdf(part, direction)
            found[f"{name} {i} ks"] = float(stats.kstest(u.numpy(), "uniform").pvalue)
            bins = torch.histc(u, 64, 0, 1)
            found[f"{name} {i} chi2"] = float(stats.chisquare(bins.numpy()).pvalue)
            out = int(((u - 0.5).abs() > 0.4975).sum())
            found[f"{name} {i} tails"] = float(stats.binomtest(out, n, 0.005).pvalue)
    return found


TESTS = 5 * (1 + 1 + 2 + 2)
# Unadjusted Langevin steps have a bias of their own; where alpha moves, the levels add to it.
ANNEALED = ("ve",)
# All Gaussian processes are one circle; these four walk it at the most different paces.
CASES = [
    (solver, process)
    for solver, process in product(names("solver"), ("vp", "sub-vp", "ve", "rectified"))
    if solver != "annealed-langevin" or process in ANNEALED
]
PAIRS = [
    (predictor, corrector, process)
    for predictor, corrector in product(names("solver"), names("corrector"))
    for process in ("vp", "sub-vp", "ve")
]
LIMIT = ALPHA / (TESTS * len(CASES))


# So many steps that the discretisation hides behind the statistics.
STEPS = {
    "predictor-corrector": 200,
    "ancestral": 150,
    "annealed-langevin": 160,
    "ddim": 300,
    "euler": 200,
    "euler-maruyama": 250,
    "reverse-diffusion": 250,
    "churned": 60,
    "dopri5": 2,
    "dpmpp-2m-sde": 100,
    "dpmpp-3m-sde": 100,
}
BY_ORDER = {None: 60, 1: 400, 2: 40, 3: 40, 4: 40}


def steps_of(name: str) -> int:
    return STEPS.get(name, BY_ORDER[make("solver", name).order])


def walked(solver: Solver, process: GaussianProcess, count: int, steps: int) -> Tensor:
    start = process.t_max if solver.divides_by_alpha else 1.0
    noise = Noise(11, range(count))
    x = process.prior((count, 12)).sample(noise.child("start"))
    times = grid(process, steps, "logsnr", start)
    return integrate(solver, Product(process), x, times, noise=noise.child("walk")).double()


@pytest.mark.parametrize(("solver", "process"), CASES, ids=str)
def test_law(solver: str, process: str):
    x = walked(make("solver", solver), make("process", process), COUNT, steps_of(solver))
    assert {k: p for k, p in p_values(x).items() if p < LIMIT} == {}


@pytest.mark.parametrize(("predictor", "corrector", "process"), PAIRS, ids=str)
def test_every_pair_is_finite_at_any_number_of_steps(predictor: str, corrector: str, process: str):
    solver = PredictorCorrector(make("solver", predictor), make("corrector", corrector))
    for steps in (2, 3, 7):
        x = walked(solver, make("process", process), 16, steps)
        assert torch.isfinite(x).all(), steps


@pytest.mark.parametrize("solver", names("solver"))
@pytest.mark.parametrize("process", names("process"))
def test_finite_at_any_number_of_steps(solver: str, process: str):
    for steps in (1, 2, 3, 5, 19):
        assert torch.isfinite(
            walked(make("solver", solver), make("process", process), 16, steps)
        ).all()


def test_paper_rule_reaches_the_law():
    """It couples the batch, but of twenty thousand rows that is not much."""
    solver = PredictorCorrector(make("solver", "ancestral"), LangevinPaper())
    assert min(p_values(walked(solver, make("process", "ve"), COUNT, 200)).values()) > LIMIT


def exact() -> Tensor:
    noise = Noise(12, range(COUNT))
    return torch.cat([law.draw(noise.child(name)) for name, law in laws().items()], 1).double()


def test_exact_draws_pass():
    assert min(p_values(exact()).values()) > LIMIT


BUGS: dict[str, Callable[[Tensor], Tensor]] = {
    "shifted": lambda x: x + 0.05 * x.std(0),
    "spread": lambda x: x * 1.05,
    "clipped": lambda x: x.minimum(x.quantile(0.994, 0)).maximum(x.quantile(0.006, 0)),
    "noise at the end": lambda x: x + 0.3 * x.std(0) * Noise(1, range(len(x))).normal(x),
    "weights": lambda x: torch.cat([x[: COUNT // 20].abs(), x[COUNT // 20 :]]),
}


@pytest.mark.parametrize("bug", BUGS)
def test_canary_bugs_are_seen(bug: str):
    assert min(p_values(BUGS[bug](exact())).values()) < LIMIT


def test_canary_wrong_prior():
    """A walk that starts with VP's noise where VE's is needed."""
    process = make("process", "ve")
    noise = Noise(11, range(COUNT))
    x = noise.child("start").normal(torch.empty(COUNT, 12))
    end = integrate(make("solver", "heun"), Product(process), x, grid(process, 60)).double()
    assert min(p_values(end).values()) < LIMIT
