"""The exact denoisers against brute force, Tweedie's formula and each other."""

import pytest
import torch
from torch import Tensor

from tests.kinds import breaks, make
from unnoise.catalogue.registry import names
from unnoise.core.condition import Condition
from unnoise.core.distributions import Normal
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.denoisers import Empirical, GaussianDenoiser, Mixture
from unnoise.processes import VE, VP, GaussianProcess
from unnoise.testing import DenoiserContract
from unnoise.testing.compare import draw, worst

PROCESSES = names("process")


def mixture(process: GaussianProcess, event: tuple[int, ...], labels: bool = False) -> Mixture:
    """Three clouds with full covariances that hang together."""
    size = torch.Size(event).numel()
    means = draw(3, *event, name="means")
    # Numbers 0 and 1 of an event lean on each other, in each cloud otherwise.
    cov = 0.1 * torch.eye(size).double().repeat(3, 1, 1)
    if size > 1:
        cov[0, 0, 1] = cov[0, 1, 0] = 0.05
        cov[1, 0, 0], cov[2, 1, 1] = 0.5, 0.02
    classes = torch.tensor([0, 1, 1]) if labels else None
    return Mixture(process, means, cov, torch.tensor([1.0, 2.0, 0.5]), classes)


class TestMixture(DenoiserContract):
    def make(self, process, event):
        return mixture(process, event)


class TestEmpirical(DenoiserContract):
    def make(self, process, event):
        return Empirical(process, draw(7, *event, name="set"))


@pytest.mark.parametrize("name", PROCESSES)
def test_mixture_against_integration(name: str):
    """Mean, variance and density from 20,001 points of p(x0) p(x | x0) in one dimension."""
    process = make("process", name)
    means, var, weights = torch.tensor([-1.0, 0.2, 1.5]), torch.tensor([0.3, 0.05, 0.1]), [3, 1, 2]
    truth = Mixture(process, means[:, None], var, torch.tensor(weights))
    x0 = torch.linspace(-6, 6, 20001, dtype=torch.float64)
    share = torch.tensor(weights).double() / 6
    clouds = torch.distributions.Normal(means.double(), var.double().sqrt())
    prior = (clouds.log_prob(x0[:, None]).exp() * share).sum(1)
    for t in (0.05, 0.3, 0.6, 0.95):
        alpha, sigma = (float(c) for c in process.scales(t))
        x = alpha * torch.tensor([[-1.2], [0.1], [1.0]]).double() + sigma * 0.3
        density = torch.distributions.Normal(alpha * x0, sigma).log_prob(x).exp() * prior
        mass = density.sum(1, keepdim=True)
        mean = (density * x0).sum(1, keepdim=True) / mass
        second = (density * (x0 - mean) ** 2).sum(1, keepdim=True) / mass
        belief = truth(x, torch.tensor(t))
        assert worst(belief.mean, mean, scale=1.0) < 1e-6
        assert worst(belief.variance, second, scale=1.0) < 1e-6
        log_prob = torch.log(mass[:, 0] * float(x0[1] - x0[0]))
        assert worst(truth.log_prob(x, t), log_prob, scale=1.0) < 1e-6


@pytest.mark.parametrize("name", PROCESSES)
def test_mixture_is_tweedies(name: str):
    """mean = (x + sigma^2 grad log p) / alpha; var = sigma^2 / alpha^2 (1 + sigma^2 d^2 log p)."""
    process = make("process", name)
    truth, t = mixture(process, (3,)), torch.tensor([0.2, 0.5, 0.9]).double()
    alpha, sigma = process.scales(t, torch.zeros(3, 3).double())
    x = (alpha * draw(3, 3, name="x0") + sigma * draw(3, 3, name="eps")).requires_grad_()
    (score,) = torch.autograd.grad(truth.log_prob(x, t).sum(), x, create_graph=True)
    curvature = [
        torch.autograd.grad(score[:, i].sum(), x, retain_graph=True)[0][:, i] for i in range(3)
    ]
    belief, scale = truth(x, t), 1 + sigma / alpha
    assert worst(belief.mean, (x + sigma**2 * score) / alpha, scale=scale) < 1e-10
    var = (sigma / alpha) ** 2 * (1 + sigma**2 * torch.stack(curvature, 1))
    assert worst(belief.variance, var, scale=scale**2) < 1e-10
    assert worst(truth.score(x, t), score, scale=1 / sigma) < 1e-10


def test_mixture_at_the_data_believes_what_it_sees():
    x = draw(4, 2)
    belief = mixture(VP(), (2,))(x, torch.tensor(0.0))
    assert worst(belief.mean, x) < 1e-12 and belief.variance.abs().max() < 1e-12


def test_covariances_can_be_given_in_four_ways():
    means, x, t = draw(2, 2, name="means"), draw(4, 2), torch.tensor(0.4)
    ways = [
        0.3,
        torch.tensor([0.3, 0.3]),
        torch.full((2, 2), 0.3),
        0.3 * torch.eye(2).repeat(2, 1, 1),
    ]
    beliefs = [Mixture(VP(), means, cov)(x, t).mean for cov in ways]
    for belief in beliefs[1:]:
        assert worst(belief, beliefs[0], scale=1.0) < 1e-7
    with pytest.raises(InputError, match="cov has shape"):
        Mixture(VP(), means, torch.ones(3))
    with pytest.raises(InputError, match="weights must be 2"):
        Mixture(VP(), means, 0.3, torch.tensor([1.0, 0.0]))


def test_drawn_samples_have_the_mixtures_moments():
    """20,000 draws, 2 + 4 figures at 6 s.e.: a false alarm in 1e-8 of seeds."""
    truth = mixture(VP(), (2,))
    x, chosen = truth.draw(Noise(0, range(20000)))
    mean, cov = truth.moments()
    se = (cov.diagonal() / 20000).sqrt()
    assert ((x.mean(0) - mean).abs() < 6 * se).all()
    assert worst(torch.cov(x.T), cov, scale=1.0) < 6 * float(cov.max()) * (2 / 20000) ** 0.5
    assert worst(chosen.bincount() / 20000, truth.log_weights.exp().float(), scale=1.0) < 0.02


@pytest.mark.parametrize("name", PROCESSES)
def test_empirical_is_a_mixture_of_points(name: str):
    process = make("process", name)
    known, labels = draw(6, 1, 2, name="known"), torch.tensor([0, 0, 1, 1, 1, 2])
    memory = Empirical(process, known, labels)
    points = Mixture(process, known, 1e-18, labels=labels)
    x, t = draw(5, 1, 2), torch.linspace(0.2, 1, 5).double()
    cond = Condition(label=torch.tensor([0, 1, 2, 1, 0]), keep=torch.tensor([1, 1, 1, 0, 1]).bool())
    for given in (None, cond):
        one, other = memory(x, t, given), points(x, t, given)
        assert worst(one.mean, other.mean, scale=1.0) < 1e-10
        assert worst(one.variance, other.variance, scale=1.0) < 1e-10
    # One element of class 2: no doubt is left.
    assert worst(memory(x, t, cond).mean[2], known[5], scale=1.0) < 1e-12


def test_labels_ask_for_their_components():
    """A label's belief and density are those of the mixture of its components alone."""
    process, t = VE(), torch.tensor(0.5).double()
    truth = mixture(process, (2,), labels=True)
    x = 3 * draw(4, 2)
    part = torch.tensor([1, 2])
    cov = torch.einsum("kde,ke,kfe->kdf", truth.axes, truth.variances, truth.axes)
    alone = Mixture(process, truth.means[part], cov[part], torch.tensor([2.0, 0.5]))
    cond = Condition(label=torch.ones(4, dtype=torch.int64))
    assert worst(truth(x, t, cond).mean, alone(x, t).mean, scale=1.0) < 1e-10
    assert worst(truth.log_prob(x, t, cond), alone.log_prob(x, t), scale=1.0) < 1e-10
    assert torch.equal(truth(x, t, cond.null()).mean, truth(x, t).mean)


# ------------------------------------------------------------------------------------ canaries


class Blurred(GaussianDenoiser):
    """Couples what should not be coupled, in one way or another."""

    def __init__(self, process: GaussianProcess, how: str) -> None:
        super().__init__()
        self.process, self.how = process, how

    def forward(self, x: Tensor, t: Tensor, cond: Condition | None = None) -> Normal:
        if self.how == "rows":
            return Normal(x - x.mean(0), 0.1)
        if self.how == "shape":
            return Normal(x.flip(-1) * x.shape[1], 0.1)
        if self.how == "float32":
            return Normal(x.float(), 0.1)
        return Normal(x.detach() * x.detach().sin(), 0.1) if self.how == "detached" else Normal(x)


@pytest.mark.parametrize(
    ("law", "how"),
    [
        ("test_rows_are_independent", "rows"),
        ("test_events_are_only_arranged", "shape"),
        ("test_belief_is_about_each_number", "float32"),
    ],
)
def test_canary_denoiser(law: str, how: str):
    breaks(DenoiserContract, law, lambda process, event: Blurred(process, how))


def test_canary_detached():
    with pytest.raises(RuntimeError):  # there is no gradient to take
        type(
            "C", (DenoiserContract,), {"make": lambda s, p, e: Blurred(p, "detached")}
        )().test_differentiable()
