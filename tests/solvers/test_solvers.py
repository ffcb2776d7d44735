"""The laws of solvers, on every process."""

from dataclasses import dataclass
from itertools import pairwise, product

import pytest
import torch
from torch import Tensor

from tests.kinds import breaks, make
from unnoise.catalogue.registry import names
from unnoise.core.noise import Noise
from unnoise.denoisers import Mixture
from unnoise.processes import EDM, VP, GaussianProcess
from unnoise.solvers import DDIM, Ancestral, DPMSolverPP, EulerMaruyama, Heun, grid, integrate
from unnoise.solvers.base import Leg, Moved, OneStep, Solver
from unnoise.testing import GaussianBelief, SolverContract, affine_walk
from unnoise.testing.compare import draw, worst

CASES = list(product(names("solver"), names("process")))


class TestRegistered(SolverContract):
    @pytest.fixture(autouse=True, params=CASES, ids="-".join)
    def case(self, request: pytest.FixtureRequest) -> None:
        self.name, self.process = request.param

    def make(self):
        return make("solver", self.name)

    def processes(self):
        return [make("process", self.process)]


class TestHalfRandom(SolverContract):
    def make(self):
        return DDIM(eta=0.5)

    def processes(self):
        return [VP(), EDM()]


# --------------------------------------------------------------------------------- identities


@pytest.mark.parametrize("name", names("process"))
def test_ddim_with_all_randomness_is_ancestral(name: str):
    process = make("process", name)
    truth = Mixture(process, torch.tensor([[0.5], [-0.8]]), torch.tensor([0.1, 0.02]))
    noise, times = Noise(1, range(8)), grid(process, 12)
    x = process.prior((8, 1)).sample(noise.child("start")).double()
    one = integrate(DDIM(eta=1.0), truth, x, times, noise=noise)
    other = integrate(Ancestral(), truth, x, times, noise=noise)
    assert worst(one, other, scale=1.0) <= 1e-12


@pytest.mark.parametrize("name", names("process"))
@pytest.mark.parametrize("solver", [DDIM(), DDIM(eta=0.7), DDIM(eta=1.0), Ancestral()], ids=str)
def test_mean_and_variance_exact_on_any_grid(solver: Solver, name: str):
    """On a point of data the walk's law is the marginal's, whatever the spacing (D2: 1e-10)."""
    process = make("process", name)
    point = Mixture(process, torch.tensor([[0.7]]).double(), 0.0)
    for steps, seed in ((1, 0), (2, 1), (7, 2), (100, 3)):
        u = Noise(seed, range(1)).uniform(torch.empty(1, steps).double())[0]
        first = torch.tensor([1.0]).double()
        times = torch.cat([first, (0.05 + 0.9 * u).sort(descending=True).values])
        walk = affine_walk(solver, point, times)
        (alpha, sigma), (_, start) = process.scales(times[-1]), process.scales(times[0])
        mean = walk.scale * float(process.scales(times[0])[0]) * point.means.item() + walk.shift
        assert abs(mean - float(alpha) * point.means.item()) <= 1e-10
        spread = (walk.scale * float(start)) ** 2 + walk.spread**2
        assert abs(spread / float(sigma) ** 2 - 1) <= 1e-10


@pytest.mark.parametrize("name", names("process"))
def test_ancestral_passes_exact_doubt_on(name: str):
    """With the belief's own variance the ancestral walk on Gaussian data has no error at all."""
    process = make("process", name)
    truth = GaussianBelief(process)
    walk = affine_walk(Ancestral(), truth, torch.linspace(1, 0, 6).double())
    mean, spread = truth.law(1.0)
    assert abs(walk.scale * mean + walk.shift - truth.mean) <= 1e-12
    assert abs((walk.scale * spread) ** 2 + walk.spread**2 - truth.spread**2) <= 1e-12


def test_gaussian_belief_is_the_mixtures():
    process, x, t = VP(), draw(5, 1), torch.linspace(0.1, 1, 5).double()
    truth = Mixture(process, torch.tensor([[0.4]], dtype=torch.float64), 0.7**2)
    mine, theirs = GaussianBelief(process)(x, t), truth(x, t)
    assert worst(mine.mean, theirs.mean, scale=1.0) < 1e-12
    assert worst(mine.variance, theirs.variance, scale=1.0) < 1e-12


def test_heun_turns_the_circle():
    """Equal on VP and EDM at equal angles: only the pace differs."""
    vp, edm = VP(), EDM()
    angles = torch.linspace(1.5, 0.2, 6).double()
    ends = []
    for process in (vp, edm):
        times = process.time(angles)
        rho = [float(torch.hypot(*process.scales(t))) for t in (times[0], times[-1])]
        x = draw(4, 1) * rho[0]
        ends.append(integrate(Heun(), GaussianBelief(process), x, times) / rho[1])
    assert worst(*ends, scale=1.0) < 1e-9


# ------------------------------------------------------------------------------------ canaries


@dataclass(frozen=True)
class LateEuler(OneStep):
    """DDIM that takes the data's scale from the wrong end: of order 0."""

    order = 1

    def coefficients(self, process: GaussianProcess, t: Tensor, s: Tensor):
        keep, pull, lower = process.bridge_scales(t, s, 0.0)
        return keep, pull * process.scales(t)[0] ** 0.1, lower, 0 * pull


@dataclass(frozen=True)
class TooNoisy(OneStep):
    """Ancestral steps with a tenth too much noise."""

    order = 1

    def coefficients(self, process: GaussianProcess, t: Tensor, s: Tensor):
        keep, pull, lower = process.bridge_scales(t, s, 1.0)
        return keep, pull, 1.1 * lower, pull


class Claims(Solver):
    """Wraps a solver and claims more than it keeps, or breaks a promise on the way."""

    def __init__(self, inner: Solver, order: int | None = None, trick: str = "") -> None:
        self.inner, self.order, self.trick, self.calls = inner, order, trick, inner.calls

    def numbers(self, process, times, data):
        return self.inner.numbers(process, times, data)

    def step(self, denoiser, x, leg, *, cond, noise, memory=None):
        if self.trick == "remembers itself":
            memory = getattr(self, "last", None)
        if self.trick == "forgets":
            memory = None
        moved = self.inner.step(denoiser, x, leg, cond=cond, noise=noise, memory=memory)
        if self.trick == "couples":
            moved = moved._replace(x=moved.x + 1e-6 * moved.x.mean())
        if self.trick == "shrinks":
            moved = moved._replace(x=0.99 * moved.x)
        if self.trick == "global":
            moved = moved._replace(x=moved.x + 1e-3 * torch.randn(()))
        if self.trick == "in place":
            x.copy_(moved.x)
        if self.trick == "second look":
            denoiser(x, leg.t, cond)
        if self.trick == "peeks":
            moved = moved._replace(x=moved.x * torch.ones(x.shape[1:]).cumsum(-1).clamp(max=2))
        self.last = moved.memory
        return Moved(*moved)


@pytest.mark.parametrize(
    ("law", "solver"),
    [
        ("test_order", LateEuler),
        ("test_order", TooNoisy),
        ("test_order", lambda: Claims(DDIM(), order=2)),
        ("test_order", lambda: Claims(EulerMaruyama(), order=2)),
        ("test_order", lambda: Claims(DPMSolverPP(), order=2, trick="forgets")),
        ("test_reaches_the_data", lambda: Claims(DDIM(), trick="shrinks")),
        ("test_same_bits_in_any_split", lambda: Claims(DDIM(), trick="couples")),
        ("test_pure", lambda: Claims(DDIM(), trick="global")),
        ("test_pure", lambda: Claims(DDIM(), trick="in place")),
        ("test_any_event", lambda: Claims(DDIM(), trick="peeks")),
        ("test_declared_calls", lambda: Claims(DDIM(), trick="second look")),
    ],
)
def test_canary_solver(law: str, solver):
    breaks(SolverContract, law, solver, processes=lambda self: [VP()])


def test_canary_memory():
    shared = Claims(DPMSolverPP(), trick="remembers itself")
    breaks(SolverContract, "test_memory_is_not_shared", lambda: shared)


def test_canary_refusals():
    """A solver that does not look at its grid is caught."""

    class Hasty(Claims):
        def plan(self, process, times, data=None):
            pairs = pairwise(times)
            return [Leg(i, t, s, (1.0, 0.0, 0.0, 0.0)) for i, (t, s) in enumerate(pairs)]

    breaks(SolverContract, "test_refuses_before_the_first_call", lambda: Hasty(DDIM()))
