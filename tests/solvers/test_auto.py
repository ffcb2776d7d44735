"""The default solver: exact on Gaussian data, and near the truth elsewhere in few calls."""

import pytest
import torch

from tests.kinds import make
from unnoise.catalogue.registry import names
from unnoise.core.noise import Noise
from unnoise.denoisers import Mixture
from unnoise.processes import EDM, GaussianProcess
from unnoise.solvers import DPMSolverPP, GaussianExponential, grid, integrate
from unnoise.spaces.moments import Moments
from unnoise.testing.compare import draw, worst


def gaussian(process: GaussianProcess) -> tuple[Mixture, Moments]:
    """Correlated Gaussian data in three dimensions, and its moments."""
    root = draw(3, 3, name="root")
    truth = Mixture(process, draw(1, 3, name="mean"), (root @ root.T)[None])
    mean, cov = truth.moments()
    return truth, Moments(mean, float(cov.diagonal().mean()), cov)


def flow(truth: Mixture, moments: Moments, x: torch.Tensor, start: float) -> torch.Tensor:
    """Where the probability flow of Gaussian data takes x: its deviations keep their ranks."""
    alpha, sigma = (float(n) for n in truth.process.scales(start))
    away = (x - alpha * moments.mean) @ moments.axes
    shrink = (moments.variances / (alpha**2 * moments.variances + sigma**2)).sqrt()
    return moments.mean + (away * shrink) @ moments.axes.T


@pytest.mark.parametrize("name", names("process"))
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_gaussian_data_is_solved_exactly(name: str, steps: int):
    """In one step as in seven, on every process, also from pure noise."""
    truth, moments = gaussian(make("process", name))
    x = truth.process.prior((5, 3)).sample(Noise(0, range(5))).double()
    times = grid(truth.process, steps, "auto", data=moments)
    end = integrate(GaussianExponential(), truth, x, times, data=moments)
    # VE's truth rounds: sigma is 50 times the data.
    assert worst(end, flow(truth, moments, x, 1.0), scale=1.0) < 1e-10


def test_canary_wrong_moments():
    truth, moments = gaussian(EDM())
    x = draw(5, 3) * 80
    wrong = Moments(moments.mean, moments.variance, 2 * moments.covariance)
    end = integrate(GaussianExponential(), truth, x, grid(EDM(), 1, "auto", data=wrong), data=wrong)
    assert worst(end, flow(truth, moments, x, 1.0), scale=1.0) > 1e-2


def clouds(process: GaussianProcess) -> tuple[Mixture, Moments]:
    means = 0.7 * draw(6, 2, name="means")
    truth = Mixture(process, means, torch.tensor([0.01, 0.02, 0.004, 0.03, 0.01, 0.02]))
    mean, cov = truth.moments()
    return truth, Moments(mean, float(cov.diagonal().mean()), cov)


def errors(calls: int, covariance: bool = True) -> tuple[float, float]:
    """Median error in units of the data's std: ours, and DPM-Solver++ 2M on Karras' grid."""
    truth, known = clouds(EDM())
    moments = known if covariance else Moments(known.mean, known.variance)
    x = 80 * draw(128, 2, name="x")

    def walked(solver, times) -> torch.Tensor:
        return integrate(solver, truth, x, times, data=moments)

    fine = walked(GaussianExponential(), grid(EDM(sigma_min=1e-5), 2000, "logsnr"))
    found = [
        walked(GaussianExponential(), grid(EDM(), calls, "auto", data=moments)),
        walked(DPMSolverPP(), grid(EDM(), calls, "karras")),
    ]
    std = moments.variance**0.5
    mine, peer = ((x - fine).square().mean(1).sqrt().median() / std for x in found)
    return float(mine), float(peer)


@pytest.mark.parametrize("covariance", [True, False])
@pytest.mark.parametrize(("calls", "factor"), [(5, 2), (10, 4), (20, 10), (50, 30)])
def test_few_calls_go_far(calls: int, factor: float, covariance: bool):
    mine, peer = errors(calls, covariance)
    assert mine < peer / factor


def test_the_rule_moves_with_the_data():
    """Data and process ten times as large: the same walk, ten times larger."""
    truth, known = clouds(EDM())
    large = EDM(sigma_min=0.02, sigma_max=800.0)
    moved = Mixture(large, 10 * truth.means, 100 * truth.variances, truth.log_weights.exp())
    moments = Moments(10 * known.mean, 100 * known.variance, 100 * known.covariance)
    x = 80 * draw(8, 2)
    small = integrate(
        GaussianExponential(), truth, x, grid(EDM(), 12, "auto", data=known), data=known
    )
    times = grid(large, 12, "auto", data=moments)
    great = integrate(GaussianExponential(), moved, 10 * x, times, data=moments)
    assert worst(great / 10, small, scale=1.0) < 1e-9
