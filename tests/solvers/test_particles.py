"""Particles against Bayes' rule where it is known: a mixture, of which a noisy sum was measured."""

import pytest
import torch
from torch import Tensor

from unnoise.core.condition import Condition
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.denoisers import GaussianDenoiser, Guided, Mixture, PiGDM, Posterior
from unnoise.operators import LinearOperator
from unnoise.processes import VP
from unnoise.solvers import TDS, Ancestral, Solver, grid, integrate
from unnoise.solvers.twisted import resample
from unnoise.testing.compare import worst

PROCESS, STD, SEEN = VP(), 0.4, 0.3
MEANS = torch.tensor([[-1.5, 1.0], [0.2, -1.2], [1.5, 0.5]]).double()
COVARIANCES = torch.tensor(
    [[[0.3, 0.1], [0.1, 0.1]], [[0.2, -0.1], [-0.1, 0.3]], [[0.15, 0.0], [0.0, 0.15]]]
).double()
WEIGHTS = torch.tensor([0.5, 0.3, 0.2]).double()
ROW = torch.tensor([[1.0, 0.5]]).double()


def truth() -> Mixture:
    return Mixture(PROCESS, MEANS, COVARIANCES, WEIGHTS)


def posterior() -> Posterior:
    operator = LinearOperator(lambda x: x @ ROW.T.to(x), (2,))
    return Posterior(truth(), operator, PiGDM(1.0), STD)


def bayes() -> tuple[Tensor, Tensor]:
    """Mean and covariance of the data given that ROW x + STD eps = SEEN."""
    spread = (ROW @ COVARIANCES @ ROW.T)[:, 0, 0] + STD**2
    away = SEEN - (ROW @ MEANS.T)[0]
    share = (WEIGHTS.log() - 0.5 * (away**2 / spread + spread.log())).softmax(0)
    gain = (COVARIANCES @ ROW.T)[:, :, 0] / spread[:, None]
    mean_k = MEANS + gain * away[:, None]
    mean = (share[:, None] * mean_k).sum(0)
    off = mean_k - mean
    cov_k = COVARIANCES - gain[:, :, None] * (ROW @ COVARIANCES) + off[:, :, None] * off[:, None]
    return mean, (share[:, None, None] * cov_k).sum(0)


def drawn(solver: Solver, denoiser: GaussianDenoiser, count: int, first: int = 0) -> Tensor:
    noise = Noise(0, range(first, first + count))
    x = PROCESS.prior((count, 2)).sample(noise.child("start")).double()
    times = grid(PROCESS, 100, "logsnr", PROCESS.t_max)
    seen = torch.full((count, 1), SEEN, dtype=torch.float64)
    with torch.no_grad():
        return integrate(solver, denoiser, x, times, Condition(measured=seen), noise.child("walk"))


def off(solver: Solver) -> float:
    """Largest error of the posterior mean in standard errors."""
    mean, cov = bayes()
    x = drawn(solver, posterior(), 3000)
    return float(((x.mean(0) - mean) / (cov.diagonal() / len(x)).sqrt()).abs().max())


def test_particles_have_the_exact_law_where_a_belief_alone_has_not():
    """Within five standard errors (false alarm 1e-6); the tilted belief alone is beyond seven."""
    assert off(TDS(16)) < 5
    assert off(Ancestral()) > 7  # the canary: one particle is this walk


def test_one_particle_is_the_ancestral_walk_in_law():
    one, walk = (drawn(solver, posterior(), 2000) for solver in (TDS(1), Ancestral()))
    error = ((one.var(0) + walk.var(0)) / 2000).sqrt()
    assert float(((one.mean(0) - walk.mean(0)) / error).abs().max()) < 5


def test_what_knows_nothing_is_refused():
    with pytest.raises(InputError, match="Mixture knows nothing"):
        drawn(TDS(4), truth(), 2)


def test_it_mends_guidance_too():
    """Guidance by a log-probability that is right of the data and wrong of its noised states:
    here as if x_t were the data. Particles weigh that away; the guided walk alone is far off."""
    shift = torch.tensor([0.8, -0.4]).double()
    plain = Mixture(PROCESS, torch.zeros(1, 2), 0.5)

    def crooked(x: Tensor, t: Tensor, cond: Condition | None) -> Tensor:
        return (x * shift).sum(1)

    wanted = 0.5 * shift  # N(0, 0.5) times exp(shift x)
    found = [drawn(s, Guided(plain, crooked), 2000).mean(0) for s in (Ancestral(), TDS(64))]
    error = (0.5 / 2000) ** 0.5
    assert float((found[1] - wanted).abs().max()) < 5 * error
    assert float((found[0] - wanted).abs().max()) > 7 * error


def test_a_walk_that_begins_near_something_stays_near():
    """All particles begin where the walk does, and not at the prior."""
    there = torch.tensor([[-1.5, 1.0]]).double().expand(200, 2)
    noise, seen = Noise(0, range(200)), Condition(measured=torch.full((200, 1), -1.0).double())
    times = grid(PROCESS, 20, "logsnr", float(PROCESS.time(torch.tensor(0.2).double().atan())))
    start = PROCESS.forward(there, times[0]).sample(noise.child("start"))
    with torch.no_grad():
        x = integrate(TDS(8), posterior(), start, times, seen, noise.child("walk"))
    assert float((x - there).norm(dim=1).max()) < 1.5  # of the prior: beyond 2.5


def test_rows_do_not_feel_each_other():
    together = drawn(TDS(4), posterior(), 6)
    alone = torch.cat([drawn(TDS(4), posterior(), 2, first) for first in (0, 2, 4)])
    assert worst(alone, together, 1.0) < 1e-9


@pytest.mark.parametrize("share", [0.9, 0.5])
def test_resampling_keeps_what_weighs(share: float):
    """Systematic: a particle of weight w goes on floor(K w) or ceil(K w) times, in the mean K w."""
    weights = torch.tensor([share, (1 - share) * 0.75, (1 - share) * 0.25, 0.0]).double()
    rows = 4000
    known = (weights + 1e-300).log().expand(rows, 4)
    number, after = resample(known, Noise(0, range(rows)))
    counts = torch.stack([(number == i).sum(1) for i in range(4)], 1).double()
    uneven = 1 / float(weights.square().sum()) < 2
    assert uneven == (share == 0.9)
    if uneven:
        assert bool(((counts - 4 * weights).abs() < 1).all()) and not after.any()
        error = (counts.var(0) / rows).sqrt() + 1e-9
        assert float(((counts.mean(0) - 4 * weights) / error).abs().max()) < 5
    else:
        assert torch.equal(number, torch.arange(4).expand(rows, 4)) and torch.equal(after, known)
