"""Beliefs about what was measured, against exact conditional laws."""

import math

import pytest
import torch
from torch import Tensor

from tests.kinds import make
from unnoise.catalogue.registry import names
from unnoise.core.condition import Condition
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.denoisers import MMPS, GaussianDenoiser, Mixture, PiGDM, Posterior
from unnoise.operators import Downscale, Grey, LinearOperator, Mask, Operator, RandomRows
from unnoise.processes import VE, VP
from unnoise.solvers import DPS, Ancestral, Heun, Replacing, grid, integrate
from unnoise.testing.compare import draw, worst

EVENT = (3, 2, 2)
SIZE = math.prod(EVENT)


def prior(process, scale: float = 1.0) -> Mixture:
    """A Gaussian of full covariance."""
    root = draw(SIZE, SIZE, name="root") / SIZE**0.5
    cov = scale * (root @ root.T + 0.05 * torch.eye(SIZE, dtype=torch.float64))
    return Mixture(process, draw(1, *EVENT, name="mean"), cov[None])


def law(truth: Mixture) -> tuple[Tensor, Tensor]:
    """Mean and covariance of the data."""
    axes = truth.axes[0]
    return truth.means[0], axes @ torch.diag(truth.variances[0]) @ axes.T


def matrix(operator: Operator) -> Tensor:
    """A as rows."""
    units = torch.eye(SIZE, dtype=torch.float64).reshape(SIZE, *EVENT)
    return operator(units).flatten(1).T


def given(
    mean: Tensor, cov: Tensor, rows: Tensor, y: Tensor, variance: float
) -> tuple[Tensor, Tensor]:
    """Mean (B, D) and covariance of x_0 ~ N(mean, cov) given y = rows x_0 + noise, by Bayes."""
    seen = rows @ cov @ rows.T + variance * torch.eye(len(rows), dtype=torch.float64)
    gain = cov @ rows.T @ torch.linalg.pinv(seen, hermitian=True, rtol=1e-12)
    return mean + (y.flatten(1) - (rows @ mean.T).T) @ gain.T, cov - gain @ rows @ cov


OPERATORS = {
    "mask": Mask(torch.tensor([[1, 0], [0, 1]])),
    "grey": Grey(),
    "downscale": Downscale(),
    "random rows": RandomRows(EVENT, 0.4),
    "user's": LinearOperator(lambda x: x.flatten(1).cumsum(1)[:, ::3], EVENT),
}


def exact(truth: Mixture, operator: Operator, x: Tensor, t: Tensor, y: Tensor, std: float):
    """E[x_0 | x_t, y] of Gaussian data, by two steps of Bayes."""
    alpha, sigma = (float(c) for c in truth.process.scales(t))
    mean, cov = law(truth)
    unit = alpha * torch.eye(SIZE, dtype=torch.float64)
    now, left = given(mean[None], cov, unit, x, sigma**2)
    return given(now, left, matrix(operator), y, std**2)[0].reshape(x.shape)


@pytest.mark.parametrize("name", names("process"))
@pytest.mark.parametrize("seen", list(OPERATORS))
def test_moment_matching_is_exact_on_gaussians(name: str, seen: str):
    """At three levels, noisy and not: to 1e-6 with as many iterations as numbers measured."""
    truth, operator = prior(make("process", name)), OPERATORS[seen]
    process = truth.process
    x0 = draw(4, *EVENT)
    y = operator(x0)
    posterior = {std: Posterior(truth, operator, MMPS(2 * SIZE), std) for std in (0.0, 0.3)}
    for share in (0.15, 0.5, 0.9):
        t = process.time(share * process.angle(torch.tensor(process.t_max)))
        alpha, sigma = process.scales(t)
        x = alpha * x0 + sigma * draw(4, *EVENT, name="eps")
        for std, belief in posterior.items():
            wanted = exact(truth, operator, x, t, y, std)
            found = belief(x, t, Condition(measured=y)).mean
            assert worst(found, wanted, 1.0) < 1e-6
            # Canaries: the belief that knows nothing of y, and one that trusts y otherwise.
            assert worst(truth(x, t).mean, wanted, 1.0) > 1e-3
            other = Posterior(truth, operator, MMPS(2 * SIZE), std + 1.0)
            assert worst(other(x, t, Condition(measured=y)).mean, wanted, 1.0) > 1e-4


@pytest.mark.parametrize("name", ["vp", "ve", "sub-vp", "rectified"])
def test_pigdm_is_exact_on_isotropic_data(name: str):
    process = make("process", name)
    truth = Mixture(process, torch.zeros(1, *EVENT, dtype=torch.float64), 0.36)
    operator = RandomRows(EVENT, 0.4)
    t, x, y = torch.tensor(0.5).double(), draw(4, *EVENT), operator(draw(4, *EVENT, name="y"))
    cond = Condition(measured=y)
    wanted = exact(truth, operator, x, t, y, 0.1)
    assert worst(Posterior(truth, operator, PiGDM(0.6), 0.1)(x, t, cond).mean, wanted, 1.0) < 1e-8
    assert worst(Posterior(truth, operator, PiGDM(0.9), 0.1)(x, t, cond).mean, wanted, 1.0) > 1e-3


def test_dps_goes_down_the_distance():
    """The slope, by differences; and the next belief is nearer to what was measured."""
    truth, operator = prior(VP()), Grey()
    times, x = torch.tensor([0.4, 0.3]).double(), draw(2, *EVENT)
    y = operator(draw(2, *EVENT, name="y"))
    cond, noise = Condition(measured=y), Noise(0, range(2))

    def distance(x: Tensor, t: Tensor) -> Tensor:
        return (y - operator(truth(x, t).mean)).flatten(1).norm(dim=1)

    plain = integrate(Ancestral(), truth, x, times, noise=noise)
    pulled = integrate(DPS(Ancestral(), operator, 0.2), truth, x, times, cond, noise=noise)
    direction, step = draw(2, *EVENT, name="direction"), 1e-6
    ahead, behind = (distance(x + sign * step * direction, times[0]) for sign in (1, -1))
    wanted = -0.2 * (ahead - behind) / (2 * step)
    assert worst(((pulled - plain) * direction).flatten(1).sum(1), wanted, 1.0) < 1e-6
    assert bool((distance(pulled, times[1]) < distance(plain, times[1])).all())


def posterior_samples(how: str, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Samples (count, D) of a Gaussian given its masked half; and the exact mean and covariance."""
    truth, operator = prior(VP()), Mask(torch.tensor([[1, 0], [1, 0]]))
    mean, cov = law(truth)
    y = operator(draw(1, *EVENT))
    wanted = given(mean[None], cov, matrix(operator), y, 0.0)
    denoiser: GaussianDenoiser = truth
    solver = Ancestral()
    if how == "mmps":
        denoiser, solver = Posterior(truth, operator, MMPS(2 * SIZE)), Heun()
    else:
        solver = Replacing(Ancestral(), operator, 1 if how == "replacement" else 10)
    noise = Noise(0, range(count))
    times = grid(truth.process, 60, start=truth.process.t_max)
    alpha, sigma = truth.process.scales(times[0])
    x = alpha * mean.reshape(1, *EVENT) + sigma * noise.child("start").normal(
        torch.empty(count, *EVENT, dtype=torch.float64)
    )
    cond = Condition(measured=y.expand(count, *EVENT))
    x = integrate(solver, denoiser, x, times, cond, noise=noise.child("walk"))
    return x.flatten(1), *wanted


def bias(how: str, count: int = 2000) -> tuple[float, float]:
    """Largest error of the mean over its standard error, and mean std over the true one."""
    x, mean, cov = posterior_samples(how, count)
    std = cov.diagonal().clamp(min=0).sqrt()
    free = std > 1e-6
    off = (x.mean(0) - mean[0])[free] / (std[free] / count**0.5)
    return float(off.abs().max()), float((x.std(0)[free] / std[free]).mean())


def test_samples_of_moment_matching_have_the_exact_law():
    """Moments within five standard errors (false alarms below 1e-4)."""
    off, spread = bias("mmps")
    assert off < 5 and abs(spread - 1) < 0.05


def test_replacement_is_too_wide_and_resampling_less():
    replaced, repainted = bias("replacement"), bias("repaint")
    assert replaced[1] > 1.1 and replaced[0] > 5
    assert abs(repainted[1] - 1) < 0.5 * abs(replaced[1] - 1) and repainted[0] < 0.5 * replaced[0]


@pytest.mark.parametrize("event", [(2,), (1, 8), (3, 4, 4)])
@pytest.mark.parametrize("process", [VP(), VE()])
def test_known_values_stay_to_the_bit(event: tuple[int, ...], process):
    truth = Mixture(process, torch.zeros(1, *event), 0.5)
    known = torch.arange(math.prod(event)).reshape(event) % 2 == 0
    operator, noise = Mask(known), Noise(0, range(5))
    y = operator(draw(5, *event).float())
    x = truth.process.prior((5, *event)).sample(noise.child("start"))
    for solver in (Replacing(Ancestral(), operator), Replacing(Heun(), operator, 3)):
        times = grid(process, 5, start=process.t_max)
        end = integrate(solver, truth, x, times, Condition(measured=y), noise=noise)
        assert torch.equal(end[:, known], y[:, known]) and bool(end.isfinite().all())
        assert not torch.equal(end[:, ~known], y[:, ~known])


def test_a_row_does_not_feel_the_others():
    truth, operator = prior(VP()), Grey()
    t, x, y = torch.tensor(0.4).double(), draw(5, *EVENT), operator(draw(5, *EVENT, name="y"))
    for method in (PiGDM(), MMPS()):
        belief = Posterior(truth, operator, method, 0.1)
        whole = belief(x, t, Condition(measured=y)).mean
        single = belief(x[3:4], t, Condition(measured=y[3:4])).mean
        assert worst(single, whole[3:4], 1.0) < 1e-12
        tilt = belief.tilt(x, t, Condition(measured=y))
        held = (x, whole, tilt.tilted.variance, tilt.plain.variance, tilt.log_weight)
        assert not any(value.requires_grad for value in held)  # else a walk keeps every step


def test_refusals():
    truth, x, t = prior(VP()), draw(2, *EVENT), torch.tensor(0.4)
    with pytest.raises(InputError, match="nothing was measured"):
        Posterior(truth, Grey())(x, t)
    with pytest.raises(InputError, match=r"measured has shape \(2, 3, 2, 2\)"):
        Posterior(truth, Grey())(x, t, Condition(measured=x))
    rectified, y = prior(make("process", "rectified")), Grey()(x)
    with pytest.raises(InputError, match="alpha, which is 0 at t = 1"):
        Posterior(rectified, Grey())(x, torch.tensor(1.0), Condition(measured=y))
    times = grid(VP(), 3)
    with pytest.raises(InputError, match="nothing was measured"):
        integrate(Replacing(Ancestral(), Grey()), truth, x, times)
