"""Likelihoods against analytic mixtures."""

import math

import pytest
import torch

from tests.kinds import make
from unnoise.catalogue.registry import names
from unnoise.core.condition import Condition
from unnoise.core.distributions import Normal
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.denoisers import GaussianDenoiser, Guided, Mixture, ScoreFunction
from unnoise.likelihood import ExactTrace, GaussianProbes, Hutchinson, log_prob, sensitivity
from unnoise.likelihood.divergence import Probed
from unnoise.likelihood.flow_ode import AGAIN, AHEAD, _gregory, adams
from unnoise.processes import EDM, VP, GaussianProcess, ItoSDE, SubVP
from unnoise.processes.ito import scalar
from unnoise.spaces.moments import Moments
from unnoise.testing import Counted
from unnoise.testing.compare import draw, worst

PROCESSES = names("process")


def clouds(process: GaussianProcess, size: int) -> Mixture:
    """Three clouds as wide as real data's finest detail, a few widths apart."""
    means = 0.6 * draw(3, size, name="means")
    var = torch.tensor([0.01, 0.05, 0.1])
    return Mixture(process, means, var, torch.tensor([1.0, 2.0, 1.0]), torch.tensor([0, 1, 1]))


def known(truth: Mixture) -> Moments:
    mean, cov = truth.moments()
    return Moments(mean, float(cov.diagonal().mean()), cov)


def gaps(truth: GaussianDenoiser, exact: Mixture, size: int, **how) -> torch.Tensor:
    """Bits a dimension between log_prob and the truth at t_min, for data with its noise in it."""
    process = exact.process
    x0, _ = exact.draw(Noise(0, range(32)))
    x = process.forward(x0, process.t_min).sample(Noise(1, range(32)))
    how = {"divergence": "exact", "data": known(exact), **how}
    got = log_prob(truth, x, **how).log_prob
    return (got - exact.log_prob(x, process.t_min, how.get("cond"))) / (size * math.log(2))


@pytest.mark.parametrize("size", [1, 2, 8])
@pytest.mark.parametrize("name", PROCESSES)
def test_log_prob_is_the_mixtures(name: str, size: int):
    """At default settings, D7: mean <= 1e-3 bits/dim, single ones <= 5e-3."""
    truth = clouds(make("process", name), size)
    error = gaps(truth, truth, size)
    assert abs(float(error.mean())) <= 1e-3 and float(error.abs().max()) <= 5e-3


@pytest.mark.parametrize("size", [1, 2, 8])
@pytest.mark.parametrize("kind", ["vp", "sub-vp", "ve"])
def test_with_the_exact_density_at_the_end(kind: str, size: int):
    """D7: only the walk is left to be wrong; no datum by more than 1e-6 bits a dimension."""
    truth = clouds(make("process", kind), size)
    process = truth.process
    x = process.forward(truth.draw(Noise(0, range(16)))[0], process.t_min).sample(
        Noise(1, range(16))
    )
    found = log_prob(truth, x, steps=512, divergence="exact")
    end = process.t_max
    _, sigma = process.scales(torch.tensor(end).double())
    taken = Normal(torch.zeros_like(x), sigma**2).log_prob(found.latent)
    ours = found.log_prob - taken + truth.log_prob(found.latent, end)
    error = (ours - truth.log_prob(x, process.t_min)) / (size * math.log(2))
    assert float(error.abs().max()) <= 1e-6
    # The canary: what the usual density at the end costs, on processes that end near the data.
    gap = (found.log_prob - truth.log_prob(x, process.t_min)) / (size * math.log(2))
    assert float(gap.abs().max()) > 1e-6


@pytest.mark.parametrize("name", PROCESSES)
def test_error_is_of_fourth_order(name: str):
    """Doubling the steps divides the gap to the converged value by 16 or more."""
    truth = clouds(make("process", name), 1)
    x, _ = truth.draw(Noise(0, range(8)))
    values = [log_prob(truth, x, divergence="exact", steps=n).log_prob for n in (32, 64, 512)]
    coarse, fine = ((v - values[2]).norm() for v in values[:2])
    assert math.log2(float(coarse / fine)) > 3.5


def test_likelihood_of_a_condition():
    truth = clouds(VP(), 2)
    cond = Condition(label=torch.ones(32, dtype=torch.int64))
    part = Mixture(VP(), truth.means[1:], torch.tensor([0.05, 0.1]), torch.tensor([2.0, 1.0]))
    assert float(gaps(truth, truth, 2, cond=cond, data=known(part)).mean().abs()) <= 1e-3


def test_likelihood_of_a_guided_denoiser():
    """The trace must see the guidance too: by Bayes it is the conditional density."""
    truth = clouds(VP(), 2)
    ones = Condition(label=torch.ones(32, dtype=torch.int64))
    guided = Guided(truth, lambda x, t, cond: truth.log_prob(x, t, ones) - truth.log_prob(x, t))
    part = Mixture(VP(), truth.means[1:], torch.tensor([0.05, 0.1]), torch.tensor([2.0, 1.0]))
    assert float(gaps(guided, part, 2, data=known(part)).mean().abs()) <= 1e-3


def test_float32_data():
    truth = clouds(VP(), 2)
    x = truth.draw(Noise(0, range(8)))[0]
    exact = log_prob(truth, x, divergence="exact").log_prob
    rough = log_prob(truth, x.float(), divergence="exact").log_prob
    assert rough.dtype == torch.float64 and worst(rough, exact, scale=1.0) < 2e-3


def test_encoding_is_the_flow():
    """On Gaussian data the latent is alpha m + S_1 / S_0 (x - m) in closed form."""
    process = SubVP()
    truth = Mixture(process, torch.tensor([[0.3, -0.2]]).double(), 0.09)
    x, _ = truth.draw(Noise(0, range(4)))
    (a0, s0), (a1, s1) = (process.scales(t) for t in (process.t_min, 1.0))
    stretch = ((a1**2 * 0.09 + s1**2) / (a0**2 * 0.09 + s0**2)).sqrt()
    wanted = a1 * truth.means + stretch * (x - a0 * truth.means)
    assert worst(log_prob(truth, x).latent, wanted, scale=1.0) < 1e-4


# --------------------------------------------------------------------------------- Hutchinson


PROBES = [Hutchinson, GaussianProbes]


@pytest.mark.parametrize("law", PROBES)
def test_probes_are_unbiased(law: type[Probed]):
    """D9: 10,000 probes of one datum, the mean within 5 s.e. (p = 6e-7) of the exact trace's."""
    each, exact = many(law(), 10_000)
    error = float(each.std()) / 10_000**0.5
    assert error > 0 and abs(float(each.mean() - exact)) < 5 * error


@pytest.mark.parametrize("law", PROBES)
def test_canary_probes_too_long(law: type[Probed], monkeypatch: pytest.MonkeyPatch):
    """Probes two per cent too long are seen by the same test."""
    draw_one = law.draw
    monkeypatch.setattr(law, "draw", lambda self, x, noise: 1.02 * draw_one(self, x, noise))
    each, exact = many(law(), 10_000)
    assert abs(float(each.mean() - exact)) > 5 * float(each.std()) / 10_000**0.5


def many(law: Probed, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """log p of one datum by so many single probes, and by the exact trace."""
    truth = Mixture(VP(), draw(2, 3, name="means"), leaning())
    x, _ = truth.draw(Noise(0, range(1)))
    exact = log_prob(truth, x, steps=6, divergence="exact").log_prob
    return log_prob(truth, x.expand(count, 3), steps=6, divergence=law).log_prob, exact


def test_variance_of_probes():
    """Signs 2 (|J|^2 - sum J_ii^2), normals 2 |J|^2 for one symmetric J; within 5 s.e. (~6 %)."""
    A = draw(3, 3, name="matrix")
    J = A + A.mT
    x = torch.zeros(20_000, 3, dtype=torch.float64)
    squares, own = float(J.square().sum()), float(J.diagonal().square().sum())
    for law, wanted in ((Hutchinson(), 2 * (squares - own)), (GaussianProbes(), 2 * squares)):
        v = law.draw(x, Noise(0, range(len(x))))
        products = ((v @ J) * v).sum(1)
        assert float(products.var()) == pytest.approx(wanted, rel=0.1)
        assert float(products.mean() - J.trace()) < 5 * (wanted / len(x)) ** 0.5


def leaning() -> torch.Tensor:
    """Covariances whose axes are none of the data's."""
    cov = 0.2 * torch.eye(3).double().repeat(2, 1, 1)
    cov[:, 0, 1] = cov[:, 1, 0] = 0.15
    cov[1, 1, 2] = cov[1, 2, 1] = -0.1
    return cov


def test_standard_error_covers():
    """200 rows of 8 probes: |error| / s.e. is Student's t of 7 d.o.f., inside 2.36 for 95 %.

    Fewer than 174 rows of 200 inside: p = 1e-5.
    """
    truth = Mixture(VP(), draw(2, 3, name="means"), leaning())
    x, _ = truth.draw(Noise(0, range(200)))
    exact = log_prob(truth, x, steps=6, divergence="exact").log_prob
    rough = log_prob(truth, x, steps=6, divergence=Hutchinson(probes=8), noise=Noise(7, range(200)))
    inside = (rough.log_prob - exact).abs() < 2.36 * rough.standard_error
    assert int(inside.sum()) >= 174


def test_signs_are_exact_on_diagonal_jacobians():
    truth = Mixture(VP(), torch.tensor([[0.3, -0.2, 0.5]]), torch.tensor([[0.1, 0.2, 0.3]]))
    x, _ = truth.draw(Noise(0, range(4)))
    exact = log_prob(truth, x, divergence=ExactTrace())
    rough = log_prob(truth, x, divergence=Hutchinson(probes=3))
    other = log_prob(truth, x, divergence=GaussianProbes(probes=3))
    assert worst(rough.log_prob, exact.log_prob, scale=1.0) < 1e-10
    assert worst(other.log_prob, exact.log_prob, scale=1.0) > 1e-3  # the canary
    assert float(rough.standard_error.max()) < 1e-10 and float(exact.standard_error.max()) == 0


def test_probes_are_an_argument():
    truth = Mixture(VP(), draw(2, 3, name="means"), leaning())
    x, _ = truth.draw(Noise(0, range(6)))
    one = {"steps": 4, "divergence": "hutchinson"}
    whole = log_prob(truth, x, noise=Noise(3, range(6)), **one)
    part = log_prob(truth, x[2:4], noise=Noise(3, range(2, 4)), **one)
    assert worst(whole.log_prob[2:4], part.log_prob, scale=1.0) < 1e-10
    other = log_prob(truth, x, noise=Noise(4, range(6)), **one)
    assert not torch.equal(whole.log_prob, other.log_prob)
    assert whole.standard_error.isinf().all()  # nobody knows the spread of one probe


def test_error_bars_are_known_where_nothing_is_asked_for():
    """Up to 16 numbers exactly, above by 8 probes."""
    for size, exact in ((16, True), (17, False)):
        truth = Mixture(VP(), draw(2, size, name="means"), 0.5)
        x, _ = truth.draw(Noise(0, range(3)))
        error = log_prob(truth, x, steps=4).standard_error
        assert bool(error.isfinite().all()) and bool((error == 0).all()) == exact


# ------------------------------------------------------------------------------ general SDEs


def test_general_sde():
    """Ornstein-Uhlenbeck with a rotation: no schedule, and the density is known at all times."""
    turn = torch.tensor([[-1.0, 2.0], [-2.0, -1.0]]).double()
    first = torch.tensor([[0.5, 0.2], [0.2, 0.3]]).double()
    sde = ItoSDE(lambda x, t: x @ turn.to(x).mT, scalar(lambda t: 2**0.5 * torch.ones_like(t)))
    one = torch.eye(2).double()

    def covariance(t: float) -> torch.Tensor:
        """dS/dt = A S + S A^T + 2 I with A + A^T = -2 I: S - I turns and decays."""
        flow = torch.linalg.matrix_exp(t * turn)
        return flow @ (first - one) @ flow.mT + one

    def score(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return -torch.linalg.solve(covariance(float(t)).to(x), x[..., None])[..., 0]

    model, x = ScoreFunction(sde, score), draw(6, 2)

    def density(x: torch.Tensor, t: float) -> torch.Tensor:
        law = torch.distributions.MultivariateNormal(torch.zeros(2).double(), covariance(t))
        return law.log_prob(x)

    found = log_prob(model, x, t=0.01, steps=512, divergence="exact")
    taken = sde.prior(x.shape).log_prob(found.latent).double()
    ours = found.log_prob - taken + density(found.latent, 1.0)
    assert worst(ours, density(x, 0.01), scale=1.0) < 1e-5
    # The canary: another drift is another density.
    wrong = ScoreFunction(ItoSDE(lambda x, t: 0.9 * x @ turn.to(x).mT, sde.diffuse), score)
    other = log_prob(wrong, x, t=0.01, steps=512, divergence="exact")
    assert worst(other.log_prob, found.log_prob, scale=1.0) > 1e-2


# ------------------------------------------------------------------------------- sensitivity


def test_sensitivity_is_the_difference():
    """Each part against two likelihoods; noise level by level, the truth's own change."""
    truth = clouds(VP(), 2)
    data = known(truth)
    x, _ = truth.draw(Noise(0, range(8)))
    found = sensitivity(truth, x, t=0.02, steps=64, divergence="exact", data=data)

    def ask(**how) -> float:
        changed = {"t": 0.02, "steps": 64, "divergence": "exact", "data": data, **how}
        return float(log_prob(truth, x, **changed).log_prob.mean())

    assert found.count == 8 and found.steps == pytest.approx(ask(steps=32) - ask(), abs=1e-12)
    process = truth.process
    sigma = 2 * math.tan(float(process.angle(0.02)))
    begin = float(process.time(math.atan(sigma)))
    wanted = float((truth.log_prob(x, begin) - truth.log_prob(x, 0.02)).mean())
    assert found.begin == pytest.approx(wanted, abs=5e-3) and abs(found.begin) > 0.05
    assert abs(found.steps) < 1e-2 and abs(found.end) < 1e-2
    assert found.scaled(-2.0).begin == pytest.approx(-2 * found.begin)
    # Without the data's moments the end matters more; with few steps, the steps.
    bare = sensitivity(truth, x, t=0.02, steps=64, divergence="exact")
    assert abs(bare.end) > 2 * abs(found.end)
    few = sensitivity(truth, x, t=0.02, steps=8, divergence="exact", data=data)
    assert abs(few.steps) > 10 * abs(found.steps)


# -------------------------------------------------------------------------------- small print


def test_calls_are_counted():
    counted = Counted(clouds(EDM(), 1))
    assert log_prob(counted, torch.zeros(2, 1), steps=5).calls == counted.calls == 6


def test_refuses():
    counted = Counted(clouds(EDM(), 1))
    for x, how in (
        (torch.tensor([[math.nan]]), {}),
        (torch.zeros(1, 1), {"steps": 0}),
        (torch.zeros(1, 1), {"divergence": "exakt"}),
    ):
        with pytest.raises(InputError):
            log_prob(counted, x, **how)
    assert counted.calls == 0


def test_weights_integrate_cubics():
    """Adams' and Gregory's numbers on t^3 and lower, whose integrals are known."""
    for power in range(4):
        for rule, first in ((AHEAD[2], 0.0), (AGAIN[2], 1.0)):
            if power < len(rule):
                slopes = [torch.tensor([first - j]) ** power for j in range(len(rule))]
                got = adams(torch.zeros(1), rule, slopes, 1.0)
                assert got.item() == pytest.approx(1 / (power + 1))
        t = torch.linspace(0, 2, 11)
        got = 0.2 * (torch.tensor(_gregory(10)) * t**power).sum()
        assert got.item() == pytest.approx(2 ** (power + 1) / (power + 1))


def test_canary_likelihood():
    """A denoiser whose mean is 1 % off is found out at the tolerance used above."""

    class Off(GaussianDenoiser):
        def __init__(self, inner):
            super().__init__()
            self.inner, self.process = inner, inner.process

        def forward(self, x, t, cond=None):
            return Normal(0.99 * self.inner(x, t, cond).mean)

    truth = clouds(VP(), 2)
    assert float(gaps(Off(truth), truth, 2).mean().abs()) > 1e-3
