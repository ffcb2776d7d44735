"""Diagnostics against closed forms and quadrature."""

import itertools
import math

import pytest
import torch

from tests.kinds import make
from tests.small import diffusion, points
from unnoise.catalogue.registry import names
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.denoisers import Mixture
from unnoise.evaluation import (
    kernel_gaussianity,
    loss_by_level,
    prior_mismatch,
    round_trip,
    score_error,
)
from unnoise.processes import VE, VP
from unnoise.spaces.moments import Moments
from unnoise.testing.compare import draw


def test_score_error_of_two_gaussians():
    """Equal covariances: everywhere apart by alpha (m - m') / (alpha^2 s^2 + sigma^2)."""
    process, t = VP(), torch.tensor(0.3).double()
    one = Mixture(process, torch.tensor([[0.0, 0.0]]), 0.2)
    other = Mixture(process, torch.tensor([[0.3, 0.4]]), 0.2)
    x = draw(7, 2)
    alpha, sigma = process.scales(t)
    wanted = alpha * 0.5 / (alpha**2 * 0.2 + sigma**2)
    assert torch.allclose(score_error(other, one, x, t), wanted.expand(7))
    assert float(score_error(one, one, x, t).max()) == 0


@pytest.mark.parametrize("name", names("process"))
def test_loss_of_an_exact_gaussian(name: str):
    """alpha^2 s^2 / (alpha^2 s^2 + sigma^2) at every level, within 5 s.e.; the canary is not."""
    process = make("process", name)
    truth = Mixture(process, torch.zeros(1, 3), 0.25)
    noise = Noise(0, range(3000))
    x0, _ = truth.draw(noise.child("data"))
    ends = torch.tensor([process.t_max, process.t_min]).double()
    low, high = process.log_snr(ends).clamp(-6, 6).tolist()
    levels = torch.linspace(low, high, 5).tolist()
    found = loss_by_level(truth, x0, log_snr=levels, noise=noise)
    ratio = 0.25 * found.log_snr.exp()
    gap = (found.loss - ratio / (1 + ratio)).abs() / found.standard_error
    # A table answers at its own levels, which lie beside the ones asked for.
    assert float(gap.max()) < (5 if "chain" not in name else 8)
    wrong = loss_by_level(Mixture(process, torch.zeros(1, 3), 0.5), x0, log_snr=[0.0], noise=noise)
    assert float(wrong.loss[0] - 0.2) > 5 * float(wrong.standard_error[0])
    with pytest.raises(InputError, match="at least 2"):
        loss_by_level(truth, x0[:1], log_snr=levels, noise=noise[:1])


@pytest.mark.parametrize("name", names("process"))
def test_prior_mismatch_holds_the_truth(name: str):
    """Two points on the line, whose divergence quadrature knows."""
    process = make("process", name)
    truth = Mixture(process, torch.tensor([[-0.5], [1.0]]), 0.01, torch.tensor([2.0, 1.0]))
    mean, covariance = truth.moments()
    lower, upper = prior_mismatch(process, Moments(mean, float(covariance), covariance))
    _, sigma = (float(c) for c in process.scales(torch.tensor(1.0).double()))
    x = torch.linspace(-9 * sigma, 9 * sigma, 20_001).double()[:, None]
    log_p = truth.log_prob(x, 1.0)
    log_prior = process.prior(x.shape).log_prob(x)
    exact = float((log_p.exp() * (log_p - log_prior)).sum() * (x[1] - x[0]))
    assert lower - 1e-7 <= exact <= upper + 1e-7
    alpha = float(process.scales(torch.tensor(1.0).double())[0])
    assert upper == pytest.approx(0, abs=1e-9) if alpha == 0 else 0 < lower < upper


def test_upper_bound_of_the_mismatch_is_the_mean_over_the_data():
    """E KL(N(alpha x_0, sigma^2) || prior) by 20,000 draws and torch's own KL, within 5 s.e."""
    process = VE(sigma_max=2.0)
    truth = Mixture(process, torch.tensor([[-0.5, 0.2], [1.0, 0.4]]), 0.05)
    mean, covariance = truth.moments()
    data = Moments(mean, float(covariance.diagonal().mean()), covariance)
    x, _ = truth.draw(Noise(0, range(20_000)))
    prior = torch.distributions.Normal(0.0, torch.tensor(2.0).double())
    each = torch.distributions.kl_divergence(torch.distributions.Normal(x, 2.0), prior).sum(1)
    error = float(each.std()) / len(each) ** 0.5
    _, upper = prior_mismatch(process, data)
    assert abs(upper - float(each.mean())) < 5 * error
    # The canary: without the data's mean it is another number.
    _, centred = prior_mismatch(process, Moments(0 * mean, data.variance, covariance))
    assert abs(centred - float(each.mean())) > 5 * error


def test_prior_mismatch_of_a_gaussian_is_exact():
    covariance = torch.tensor([[0.5, 0.2], [0.2, 0.3]]).double()
    data = Moments(torch.tensor([0.4, -0.1]).double(), 0.4, covariance)
    process = VE(sigma_max=2.0)
    ended = torch.distributions.MultivariateNormal(
        data.mean, covariance + 4 * torch.eye(2).double()
    )
    prior = torch.distributions.MultivariateNormal(
        torch.zeros(2).double(), 4 * torch.eye(2).double()
    )
    wanted = float(torch.distributions.kl_divergence(ended, prior))
    lower, upper = prior_mismatch(process, data)
    assert lower == pytest.approx(wanted, abs=1e-9) and upper > 2 * lower


def valley(x: torch.Tensor) -> torch.Tensor:
    """log of 0.8 N(0.7, 0.2^2) + 0.2 N(-0.7, 0.2^2), up to a constant."""
    parts = torch.stack(
        [-((x - m) ** 2) / 0.08 + math.log(w) for m, w in ((0.7, 0.8), (-0.7, 0.2))]
    )
    return parts.logsumexp(0)


def test_kernels_are_normal_for_small_beta():
    """Of normal data always; of other data in the limit, and at beta -> 1 the data's own law."""
    normal = kernel_gaussianity(lambda x: -(x**2) / 0.5, [1e-3, 0.1, 0.9], (-5, 5))
    assert max(normal) < 1e-9
    betas = [1e-4, 1e-3, 1e-2, 1e-1, 0.5, 0.99999]
    found = kernel_gaussianity(valley, betas, (-3, 3))
    assert all(a < b for a, b in itertools.pairwise(found)) and found[0] < 1e-3
    x = torch.linspace(-3, 3, 6001).double()
    p = valley(x).softmax(0)
    mean = float(p @ x)
    variance = float(p @ (x - mean) ** 2)
    negentropy = 0.5 * math.log(2 * math.pi * math.e * variance) + float(p @ (p / 1e-3).log())
    assert found[-1] == pytest.approx(negentropy, rel=1e-3) and negentropy > 0.3
    for beta in (0.0, 1.0, 1e-9):
        with pytest.raises(InputError, match="accepted are numbers from"):
            kernel_gaussianity(valley, [beta], (-3, 3))


def test_round_trip():
    """Dormand-Prince comes back; two steps of Euler do not."""
    model, x = diffusion(points()), points()[:5].x
    assert (
        round_trip(model, x, label=0)
        < 1e-3
        < round_trip(model, x, label=0, solver="euler", steps=2)
    )
