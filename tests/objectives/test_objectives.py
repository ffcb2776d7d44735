"""The laws of objectives, on every process and with every weight and law of times."""

import math

import pytest
import torch

from tests.kinds import breaks, make
from unnoise.catalogue.registry import names
from unnoise.core.noise import Noise
from unnoise.denoisers import Mixture
from unnoise.objectives import (
    ExplicitScoreMatching,
    LogNormal,
    Loss,
    Objective,
    Regression,
    TimeUniform,
)
from unnoise.objectives.weights import EDMWeight, VWeight, X0Weight
from unnoise.processes import EDM, VP, GaussianProcess
from unnoise.testing import ObjectiveContract
from unnoise.testing.compare import worst


class TestRegistered(ObjectiveContract):
    @pytest.fixture(autouse=True, params=names("objective"))
    def kind(self, request: pytest.FixtureRequest) -> None:
        self.name = request.param

    def make(self):
        return make("objective", self.name)


class TestExplicit(ObjectiveContract):
    """No recipe can name it, so the registry does not know it."""

    def make(self):
        return ExplicitScoreMatching(self.truth(VP()))

    def processes(self):
        return [VP()]


class TestWeights(ObjectiveContract):
    @pytest.fixture(autouse=True, params=names("weight"))
    def kind(self, request: pytest.FixtureRequest) -> None:
        self.name = request.param

    def make(self):
        return Regression(weight=make("weight", self.name))

    def processes(self):
        return [VP()]


class TestTimes(ObjectiveContract):
    @pytest.fixture(autouse=True, params=names("times"))
    def kind(self, request: pytest.FixtureRequest) -> None:
        self.name = request.param

    def make(self):
        return Regression(times=make("times", self.name), weight=EDMWeight())

    def processes(self):
        return [EDM()]


def test_regression_by_hand():
    """The value of each sample is w |mean - x0|^2 / D at the time and noise that were drawn."""
    process, noise = VP(), Noise(3, range(5))
    truth = Mixture(process, torch.tensor([[0.5, 0.0], [-0.5, 1.0]]), 0.1)
    x0, _ = truth.draw(noise.child("data"))
    loss = Regression(weight=VWeight())(truth, x0, None, noise)
    t = TimeUniform().sample(process, noise.child("time"))
    x = process.forward(x0, t).sample(noise.child("forward"))
    alpha, sigma = process.scales(t)
    error = (truth(x, t).mean - x0).square().mean(1)
    assert worst(loss.value.double(), error * (1 + (alpha / sigma) ** 2)) < 1e-6
    assert torch.equal(loss.logs["log_snr"], process.log_snr(t))


@pytest.mark.parametrize("process", names("process"))
@pytest.mark.parametrize("name", names("times"))
def test_times_stay_inside(name: str, process: str):
    """Also at the ends of the uniforms they are made of, and evenly: quantiles never fall."""
    p, law = make("process", process), make("times", name)
    u = torch.tensor([0.0, 1e-300, 1e-12, 0.1, 0.5, 0.9, 1 - 1e-12, 1 - 2**-53]).double()
    t = law.times(p, u)
    assert torch.isfinite(t).all() and (t >= p.t_min).all() and (t <= 1).all()
    assert (t.diff() >= 0).all() and t[-1] > t[0]


def lognormal_chi_square(
    law: LogNormal, process: GaussianProcess, mean: float, std: float
) -> float:
    """Chi square of 20,000 draws in 20 cells of equal mass of the truncated normal (19 d.o.f.)."""
    t = law.sample(process, Noise(0, range(20000)))
    level = -0.5 * process.log_snr(t)
    ends = -0.5 * process.log_snr(torch.tensor([process.t_min, 1.0]).double())
    cdf = torch.special.ndtr((level - mean) / std)
    low, high = torch.special.ndtr((ends - mean) / std)
    cells = ((cdf - low) / (high - low) * 20).long().clamp(0, 19).bincount(minlength=20)
    return float(((cells - 1000) ** 2 / 1000).sum())


@pytest.mark.parametrize("process", names("process"))
def test_lognormal_law(process: str):
    """False alarms: chi square of 19 d.o.f. above 70 has p = 1e-7."""
    p = make("process", process)
    for mean, std in ((-1.2, 1.2), (0.5, 0.3)):
        assert lognormal_chi_square(LogNormal(mean, std), p, mean, std) < 70


def test_canary_lognormal():
    assert lognormal_chi_square(LogNormal(-1.2, 1.2), EDM(), -1.1, 1.2) > 70


# ------------------------------------------------------------------------------------ canaries


class Broken(Objective):
    """Regressions onto something other than the mean."""

    def __init__(self, how: str) -> None:
        self.how = how

    def __call__(self, denoiser, x0, cond, noise) -> Loss:
        process = denoiser.process
        t = TimeUniform().sample(process, noise.child("time"))
        x = process.forward(x0, t).sample(noise.child("forward"))
        mean = denoiser(x, t, cond).mean
        if self.how == "median":
            value = (mean - x0).abs().mean(1)
        elif self.how == "noisy target":
            value = (mean - x).square().mean(1)
        elif self.how == "constant":
            value = (mean - x0).detach().square().mean(1) * 0
        elif self.how == "deaf":
            value = (mean.detach() - x0).square().mean(1) + 0 * mean.sum(1)
        elif self.how == "batch":
            value = (mean - x0).square().mean().expand(len(x0))
        else:
            value = Regression(weight=X0Weight())(denoiser, x0, cond, noise).value
        return Loss(value)


@pytest.mark.parametrize(
    ("law", "how"),
    [
        ("test_exact_denoiser_is_stationary", "median"),
        ("test_exact_denoiser_is_stationary", "noisy target"),
        ("test_exact_denoiser_is_the_minimiser", "constant"),
        ("test_value_of_each_sample", "batch"),
        ("test_gradient_leads_back", "deaf"),
    ],
)
def test_canary_objective(law: str, how: str):
    breaks(ObjectiveContract, law, lambda: Broken(how), processes=lambda self: [VP()])


def test_unbroken_keeps_the_laws():
    good = type("Good", (ObjectiveContract,), {"make": staticmethod(lambda: Broken(""))})()
    good.processes = lambda: [VP()]
    good.test_exact_denoiser_is_stationary()
    good.test_exact_denoiser_is_the_minimiser()
    good.test_gradient_leads_back()
    assert math.isfinite(good.count)
