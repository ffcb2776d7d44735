"""The bound: every term against closed forms, the sum against exact likelihoods."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.kinds import make
from unnoise.catalogue.registry import names
from unnoise.core.distributions import Normal
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.denoisers import GaussianDenoiser, Mixture
from unnoise.likelihood import elbo
from unnoise.objectives import Elbo, Hybrid
from unnoise.processes import VP, GaussianProcess
from unnoise.processes.bound import Bins, decoder_loss, prior_kl, snr_fall, step_kl
from unnoise.processes.chains import DDPMChain, LinearBetas
from unnoise.testing.compare import worst
from unnoise.testing.gaussian import GaussianBelief

MEAN, SPREAD = 0.4, 0.7


def cloud(process: GaussianProcess) -> Mixture:
    means = torch.tensor([[0.8, -0.2], [-0.5, 0.4]])
    return Mixture(process, means, torch.tensor([0.04, 0.15]), torch.tensor([1.0, 2.0]))


def points(process: GaussianProcess, count: int) -> torch.Tensor:
    return cloud(process).draw(Noise(1, range(count)))[0]


# ------------------------------------------------------------------- each term in closed form (D11)


@pytest.mark.parametrize("sure", [False, True])
def test_terms_of_the_ddpm_chain(sure: bool):
    """Every L_t by Ho et al.'s own formulae (eq. 7: products of 1 - beta), at given states."""
    steps = 50
    process, t = VP(), torch.arange(1, 51).double() / 50
    cumulative = process.scales(t)[0].numpy() ** 2
    before = np.concatenate([[1.0], cumulative[:-1]])
    beta = 1 - cumulative / before
    belief = GaussianBelief(process, MEAN, SPREAD, sure)
    x0 = torch.tensor([[-0.3], [0.9], [2.0]]).double()
    for i in range(1, steps):  # i = 0 is the decoder's
        x = torch.tensor([[0.1], [-1.2], [0.7]]).double()
        got = step_kl(process, x0, belief(x, t[i]), x, t[i], t[i - 1])
        total = cumulative[i] * SPREAD**2 + 1 - cumulative[i]
        guess = MEAN + cumulative[i] ** 0.5 * SPREAD**2 / total * (
            x.numpy() - cumulative[i] ** 0.5 * MEAN
        )
        lower = beta[i] * (1 - before[i]) / (1 - cumulative[i])
        slope = before[i] ** 0.5 * beta[i] / (1 - cumulative[i])
        doubt = 0.0 if sure else (1 - cumulative[i]) * SPREAD**2 / total
        var = lower + slope**2 * doubt
        off = slope * (guess - x0.numpy())
        wanted = 0.5 * ((lower + off**2) / var - 1 + np.log(var / lower))
        assert np.abs(got.numpy() - wanted[:, 0]).max() < 1e-9


def expected(process: GaussianProcess, belief: GaussianDenoiser, x0: float, steps: int) -> float:
    """The bound of one datum with its expectation taken exactly: terms are quadratic in eps."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(6)
    eps = torch.tensor(nodes)[:, None]
    share = torch.tensor(weights / weights.sum())
    datum = torch.full_like(eps, x0)
    total = float(prior_kl(process, datum)[0])
    for i in range(1, steps + 1):
        t = torch.tensor(i).double() / steps
        alpha, sigma = process.scales(t)
        x = alpha * x0 + sigma * eps
        guess = belief(x, t)
        if i == 1:
            term = decoder_loss(process, datum, guess, x, t)
        else:
            term = step_kl(process, datum, guess, x, t, (i - 1) / steps)
        total += float((share * term).sum())
    return total


def exact(process: GaussianProcess, x0: float) -> float:
    """What the bound of the exact belief sums to: -log p(x0), and what the prior gets wrong.

    Each step back is then q(x_s | x_t), a normal, so the chain's law is q times prior / q at the
    end: the sum is -log q(x0) + E[log q(x_T) - log prior(x_T) | x0], no sum over steps left.
    """
    alpha, sigma = (float(c) for c in process.scales(1.0))
    total, base = alpha**2 * SPREAD**2 + sigma**2, sigma**2
    first = 0.5 * ((x0 - MEAN) ** 2 / SPREAD**2 + math.log(2 * math.pi * SPREAD**2))
    # x_T ~ N(alpha x0, sigma^2)
    log_q = -0.5 * ((alpha * (x0 - MEAN)) ** 2 + sigma**2) / total - 0.5 * math.log(total)
    log_prior = -0.5 * ((alpha * x0) ** 2 + sigma**2) / base - 0.5 * math.log(base)
    return first + log_q - log_prior


@pytest.mark.parametrize("steps", [1, 2, 7, 60])
@pytest.mark.parametrize("name", names("process"))
def test_sum_is_exact_on_gaussian_data(name: str, steps: int):
    process = make("process", name)
    if steps == 1 and float(process.scales(1.0)[0]) == 0:
        return  # pure noise says nothing of the data, in one step
    for x0 in (-1.1, 0.4, 2.3):
        got = expected(process, GaussianBelief(process, MEAN, SPREAD), x0, steps)
        assert abs(got - exact(process, x0)) < 1e-9 * max(1.0, abs(got))


def test_doubt_tightens_the_bound():
    """Beliefs without it lie above the exact ones, whatever the number of steps."""
    process = VP()
    for steps in (2, 10, 90):
        sure = expected(process, GaussianBelief(process, MEAN, SPREAD, True), 0.9, steps)
        assert sure > exact(process, 0.9) + 0.01


def test_canary_wrong_variance():
    """The sum is exact for one variance only."""
    process = VP()

    class Doubtful(GaussianDenoiser):
        def __init__(self):
            super().__init__()
            self.inner, self.process = GaussianBelief(process, MEAN, SPREAD), process

        def forward(self, x, t, cond=None):
            belief = self.inner(x, t)
            return replace(belief, var=1.01 * belief.var)

    assert expected(process, Doubtful(), 0.9, 20) > exact(process, 0.9) + 1e-4


@pytest.mark.parametrize("name", names("process"))
def test_below_the_likelihood(name: str):
    """The bound holds on a mixture too. False alarms: 5 s.e., p = 3e-7."""
    process = make("process", name)
    x0 = points(process, 300)
    excess = elbo(cloud(process), x0, steps=20).total + cloud(process).log_prob(x0)
    assert float(excess.mean()) > -5 * float(excess.std()) / 300**0.5


def test_closes_with_steps():
    process = VP()
    x0 = points(process, 300)
    gaps = [
        float(
            (elbo(cloud(process), x0, steps=n, draws=8).total + cloud(process).log_prob(x0)).mean()
        )
        for n in (2, 10, 60)
    ]
    assert gaps[0] > gaps[1] > gaps[2] and gaps[2] < 0.1


def test_terms_of_reported_bound():
    process = VP()
    x0 = points(process, 40)
    bound = elbo(cloud(process), x0, steps=12, draws=4)
    assert bound.prior.shape == (40,) and bound.steps.shape == (40, 11)
    assert worst(bound.total, bound.prior + bound.decoder + bound.steps.sum(1), 1.0) < 1e-12
    assert (bound.steps >= 0).all() and (bound.standard_error > 0).all()
    wanted = bound.total / 2 / math.log(2)
    assert worst(bound.bits.each, wanted) < 1e-12
    assert elbo(cloud(process), x0[:1], steps=3).standard_error.isfinite().all()
    alpha, sigma = (float(c) for c in process.scales(1.0))
    prior = 0.5 * (alpha / sigma * x0.double()).square().sum(1)
    assert worst(bound.prior, prior, 1.0) < 1e-12


def test_length_is_the_process_own():
    chain = DDPMChain(LinearBetas(last=0.3, steps=20))
    x0 = points(chain, 2)
    assert elbo(cloud(chain), x0).steps.shape == (2, 19)


@pytest.mark.parametrize("name", names("process"))
def test_limit_of_a_step(name: str):
    """step_kl over a short time is half the fall of the SNR times |mean - x_0|^2."""
    process = make("process", name)
    x0, x = torch.tensor([[0.3, -0.2]]).double(), torch.tensor([[0.5, 0.1]]).double()
    guess = Normal(torch.tensor([[0.1, 0.4]]).double())
    grid = 1 / (process.steps or 1)  # chains have corners at their own times
    for place in (0.25, 0.6, 0.9):
        t = (math.floor(place / grid) + 0.5) * grid if process.steps else place
        short = 1e-5 * grid
        got = float(step_kl(process, x0, guess, x, t + short, t - short)) / (2 * short)
        wanted = 0.5 * float(snr_fall(process, t)) * 0.4
        assert abs(got - wanted) < 1e-4 * wanted


# ------------------------------------------------------------------------------------- the decoder


def test_levels_sum_to_one():
    """Also where the law lies far outside, or is far narrower or wider than a level."""
    bins = Bins(7, -1.0, 1.0)
    x = torch.linspace(-0.99, 0.99, 7).double()[:, None]
    for mean in (-9.0, -0.3, 0.05, 4.0):
        for std in (1e-3, 0.1, 1.0, 1e4):
            law = Normal(torch.full((7, 1), mean).double(), std**2)
            assert abs(float(bins.log_prob(law, x).exp().sum()) - 1) < 1e-12


def test_levels_by_hand():
    bins = Bins(4, 0.0, 2.0)
    law = Normal(torch.full((5, 1), 0.8, dtype=torch.float64), 0.3**2)

    def cdf(value: float) -> float:
        return 0.5 * math.erfc(-(value - 0.8) / 0.3 / math.sqrt(2))

    got = bins.log_prob(law, torch.tensor([[-3.0], [0.5], [0.99], [1.6], [9.0]])).exp()
    inner = cdf(1.0) - cdf(0.5)
    wanted = [cdf(0.5), inner, inner, 1 - cdf(1.5), 1 - cdf(1.5)]
    assert worst(got, torch.tensor(wanted, dtype=torch.float64)) < 1e-12


def test_levels_have_gradients_everywhere():
    mean = torch.linspace(-50, 50, 41).double()[:, None].requires_grad_()
    x = torch.linspace(-0.99, 0.99, 41).double()[:, None]
    log_prob = Bins(256).log_prob(Normal(mean, 1e-4), x)
    (slope,) = torch.autograd.grad(log_prob.sum(), mean)
    assert torch.isfinite(log_prob).all() and torch.isfinite(slope).all()


def test_one_level_costs_nothing():
    law = Normal(torch.zeros(3, 2).double(), 1.0)
    assert (Bins(1).log_prob(law, torch.zeros(3, 2)) == 0).all()


def test_bound_of_levels_is_that_of_probabilities():
    """Many narrow levels: the probability is density times width."""
    process, x0 = VP(), points(VP(), 200)
    width = 8 / 100_000
    middle = ((x0 + 4) / width).floor() * width + width / 2 - 4
    fine = elbo(cloud(process), middle, steps=20, levels=100_000, low=-4.0, high=4.0)
    smooth = elbo(cloud(process), middle, steps=20)
    assert worst(fine.total, smooth.total - 2 * math.log(width), 1.0) < 1e-4


# ----------------------------------------------------------------------------------- the objectives


@pytest.mark.parametrize("steps", [1, 2, 10])
@pytest.mark.parametrize("levels", [None, 9])
def test_objective_estimates_the_bound(steps: int, levels: int | None):
    """Its mean over draws is the reported bound's, part by part: 5 s.e., p = 6e-7 each."""
    process, count = VP(), 4000
    x0 = points(process, 1).expand(count, 2)
    loss = Elbo(steps, levels, -2.0, 2.0)(cloud(process), x0, None, Noise(3, range(count)))
    bound = elbo(cloud(process), x0, steps=steps, levels=levels, low=-2.0, high=2.0)
    parts = {
        "prior": bound.prior,
        "steps": bound.steps.sum(1),
        "decoder": bound.decoder,
    }
    for name, part in parts.items():
        got = 2 * loss.logs[name]
        error = math.sqrt(float(got.var() + part.var()) / count) + 1e-12
        assert abs(float(got.mean() - part.mean())) < 5 * error, name
    total = sum(loss.logs[name] for name in parts)
    assert worst(loss.value.double(), total) < 1e-6


def test_hybrid_teaches_the_mean_by_the_simple_loss_alone():
    process, noise = VP(), Noise(0, range(64))
    x0 = points(process, 64)

    class Free(GaussianDenoiser):
        def __init__(self):
            super().__init__()
            self.process = process
            self.mean = torch.nn.Parameter(torch.zeros(2).double())
            self.log_var = torch.nn.Parameter(torch.zeros(2).double())

        def forward(self, x, t, cond=None):
            return Normal(self.mean.expand_as(x), self.log_var.exp().expand_as(x))

    def slopes(objective) -> list[torch.Tensor | None]:
        free = Free()
        value = objective(free, x0, None, noise).value.sum()
        return list(torch.autograd.grad(value, list(free.parameters()), allow_unused=True))

    both, simple = slopes(Hybrid(steps=50)), slopes(Hybrid(weight=0.0, steps=50))
    assert both[0] is not None and simple[0] is not None and torch.equal(both[0], simple[0])
    assert both[1] is not None and (both[1] != 0).all()
    assert simple[1] is None or (simple[1] == 0).all()


# ---------------------------------------------------------------------------------------- refusals


def test_refusals():
    process, x0 = VP(), points(VP(), 2)
    for how, said in (
        ({"steps": 0}, "steps = 0"),
        ({"draws": 0}, "draws = 0"),
        ({"levels": 0}, "levels = 0"),
        ({"levels": 4, "low": 1.0}, "no discrete range"),
    ):
        with pytest.raises(InputError, match=said):
            elbo(cloud(process), x0, **how)
    with pytest.raises(InputError, match="NaN"):
        elbo(cloud(process), x0 * math.nan)
    with pytest.raises(InputError, match="no discrete range"):
        Elbo(levels=4, high=-2.0)
