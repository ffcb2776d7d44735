"""Weights are the losses of the papers, written their way; importance changes no expectation."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.kinds import make
from unnoise.catalogue.registry import names
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.denoisers import GaussianDenoiser, Mixture
from unnoise.objectives import LikelihoodImportance, LogNormal, Regression, Times, TimeUniform
from unnoise.objectives.weights import (
    EDMWeight,
    EpsWeight,
    LikelihoodWeight,
    MinSNRWeight,
    Weight,
    X0Weight,
)
from unnoise.processes import EDM, VE, VP, Cosine, GaussianProcess
from unnoise.testing.compare import times_of, worst


def squared(v: Tensor) -> Tensor:
    return v.square().flatten(1).mean(1)


Paper = Callable[[GaussianDenoiser, Tensor, Tensor, Tensor, Tensor], Tensor]


def _eps(model: GaussianDenoiser, x0: Tensor, eps: Tensor, x: Tensor, t: Tensor) -> Tensor:
    return squared(model.noise(x, t) - eps)


def _x0(model: GaussianDenoiser, x0: Tensor, eps: Tensor, x: Tensor, t: Tensor) -> Tensor:
    return squared(model(x, t).mean - x0)


def _v(model: GaussianDenoiser, x0: Tensor, eps: Tensor, x: Tensor, t: Tensor) -> Tensor:
    """v = cos(phi) eps - sin(phi) x_0 (Salimans and Ho 2022), phi the angle."""
    phi = model.process.angle(t)[:, None]
    guess = phi.cos() * model.noise(x, t) - phi.sin() * model(x, t).mean
    return squared(guess - (phi.cos() * eps - phi.sin() * x0))


def _flow(model: GaussianDenoiser, x0: Tensor, eps: Tensor, x: Tensor, t: Tensor) -> Tensor:
    return squared((model.noise(x, t) - model(x, t).mean) - (eps - x0))


def _edm(model: GaussianDenoiser, x0: Tensor, eps: Tensor, x: Tensor, t: Tensor) -> Tensor:
    """F = (D - c_skip y) / c_out at y = x / alpha and the noise sigma / alpha (Karras 2022)."""
    alpha, sigma = model.process.scales(t, x)
    s = sigma / alpha
    skip = 0.25 / (s**2 + 0.25)
    out = s * 0.5 / (s**2 + 0.25).sqrt()
    guess, target = ((d - skip * x / alpha) / out for d in (model(x, t).mean, x0))
    return squared(guess - target)


def _likelihood(model: GaussianDenoiser, x0: Tensor, eps: Tensor, x: Tensor, t: Tensor) -> Tensor:
    """1/2 g^2 |score - grad log q(x_t | x_0)|^2 (Song et al. 2021)."""
    _, sigma = model.process.scales(t, x)
    return 0.5 * model.process.diffusion(t) ** 2 * squared(model.score(x, t) + eps / sigma)


def _min_snr(model: GaussianDenoiser, x0: Tensor, eps: Tensor, x: Tensor, t: Tensor) -> Tensor:
    snr = model.process.log_snr(t).exp()
    return snr.clamp(max=5.0) / snr * _eps(model, x0, eps, x, t)


def _soft_min_snr(model: GaussianDenoiser, x0: Tensor, eps: Tensor, x: Tensor, t: Tensor) -> Tensor:
    """1 / (s^2 + 1 / gamma) of the clean data's error, s = sigma / alpha."""
    alpha, sigma = model.process.scales(t)
    return _x0(model, x0, eps, x, t) / ((sigma / alpha) ** 2 + 0.2)


PAPERS: dict[str, Paper] = {
    "edm": _edm,
    "eps": _eps,
    "flow": _flow,
    "likelihood": _likelihood,
    "min-snr": _min_snr,
    "soft-min-snr": _soft_min_snr,
    "v": _v,
    "x0": _x0,
}


def apart(weight: Weight, paper: Paper, process: GaussianProcess) -> tuple[float, float]:
    """Relative differences of the losses over common draws, for a denoiser that is wrong.

    Returns:
        That of the expectation, as Regression has it in float32, and the largest of a sample's.
    """
    count = 2000
    means = torch.tensor([[0.8, -0.2], [-0.5, 0.4]])
    right, wrong = Mixture(process, means, 0.1), Mixture(process, means + 0.3, 0.25)
    noise = Noise(4, range(count))
    x0, _ = right.draw(noise.child("data"))
    got = Regression(weight=weight)(wrong, x0, None, noise).value.double()
    t = TimeUniform().sample(process, noise.child("time"))
    x = process.forward(x0, t).sample(noise.child("forward"))
    alpha, sigma = process.scales(t, x)
    wanted = paper(wrong, x0, (x - alpha * x0) / sigma, x, t)
    each = weight(process, t) * squared(wrong(x, t).mean - x0)
    together = abs(float(got.mean() - wanted.mean()) / float(wanted.mean()))
    return together, worst(each, wanted)


@pytest.mark.parametrize("process", names("process"))
@pytest.mark.parametrize("name", names("weight"))
def test_weight_is_the_papers_loss(name: str, process: str):
    """A new weight needs a line in PAPERS: what it is called after, written out."""
    together, worst_sample = apart(make("weight", name), PAPERS[name], make("process", process))
    assert together < 1e-5 and worst_sample < 1e-5


def test_canary_weight():
    for weight, paper, wrong in (
        (EpsWeight(), _v, 0.01),
        (MinSNRWeight(gamma=4.0), _min_snr, 1e-3),
        (EDMWeight(0.6), _edm, 0.1),
        (LikelihoodWeight(), lambda *a: 2 * _likelihood(*a), 0.4),
    ):
        assert min(apart(weight, paper, VP())) > wrong


# ------------------------------------------------------------------------------------ laws of times


def density_error(law: Times, process: GaussianProcess) -> float:
    """Share of the law between two quantiles: the density's integral against their distance."""
    u = torch.linspace(0.0, 1.0, 41, dtype=torch.float64).clamp(max=1 - 1e-9)
    edges = law.times(process, u)
    nodes, weights = (torch.tensor(a, dtype=torch.float64) for a in _legendre(24))
    middle, half = (edges[1:] + edges[:-1]) / 2, edges.diff() / 2
    inside = middle[:, None] + half[:, None] * nodes
    shares = (law.density(process, inside.flatten()).reshape(inside.shape) @ weights) * half
    return worst(shares, u.diff())


def _legendre(count: int) -> tuple[list[float], list[float]]:
    import numpy as np

    nodes, weights = np.polynomial.legendre.leggauss(count)
    return nodes.tolist(), weights.tolist()


@pytest.mark.parametrize("process", ["cosine", "edm", "rectified", "sub-vp", "ve", "vp"])
@pytest.mark.parametrize("name", names("times"))
def test_density_is_that_of_the_quantiles(name: str, process: str):
    assert density_error(make("times", name), make("process", process)) < 1e-4


def test_canary_density():
    class Wrong(Times):
        def times(self, process, u):
            return LogNormal(-1.0, 1.0).times(process, u)

        def density(self, process, t):
            return LogNormal(-1.1, 1.0).density(process, t)

    assert density_error(Wrong(), EDM()) > 1e-2


def test_papers_law_is_even_in_log_snr():
    """precision = 0: g^2 / sigma^2, which is -d log SNR / dt (Song et al. 2021)."""
    for process in (VP(), VE()):
        law, t = LikelihoodImportance(precision=0.0), times_of(process)
        shape = (process.diffusion(t) / process.scales(t)[1]) ** 2
        ratio = law.density(process, t) / shape
        assert worst(ratio, ratio[:1].expand_as(ratio)) < 1e-9
        levels = process.log_snr(law.times(process, torch.linspace(0, 1, 9).double()))
        assert float(levels.diff().std()) < 1e-6
    with pytest.raises(InputError, match="precision"):
        LikelihoodImportance(precision=0.0).sample(Cosine(), Noise(0, range(2)))


def value(
    objective: Regression, process: GaussianProcess, count: int = 20_000
) -> tuple[float, float]:
    """Mean and standard error of a loss."""
    means = torch.tensor([[0.8, -0.2], [-0.5, 0.4]])
    right, wrong = Mixture(process, means, 0.1), Mixture(process, means + 0.1, 0.15)
    noise = Noise(4, range(count))
    x0, _ = right.draw(noise.child("data"))
    found = objective(wrong, x0, None, noise).value.double()
    return float(found.mean()), float(found.std()) / count**0.5


@pytest.mark.parametrize("process", ["cosine", "rectified", "sub-vp", "vp"])
def test_importance_changes_no_expectation(process: str):
    """False alarms: 5 s.e. of both, p = 6e-7. And it pays: the error bar is smaller."""
    p, weight = make("process", process), LikelihoodWeight()
    even, even_error = value(Regression(TimeUniform(), weight), p)
    fast, fast_error = value(Regression(LikelihoodImportance(), weight), p)
    assert abs(even - fast) < 5 * math.hypot(even_error, fast_error)
    assert fast_error < even_error / 2


def test_canary_importance():
    """Without the division by the density it is another loss."""

    class Forgets(Times):
        def times(self, process, u):
            return LikelihoodImportance().times(process, u)

        def density(self, process, t):
            return LikelihoodImportance().density(process, t)

    even, error = value(Regression(TimeUniform(), LikelihoodWeight()), VP())
    forgot, other = value(Regression(Forgets(), LikelihoodWeight()), VP())
    assert abs(even - forgot) > 5 * math.hypot(error, other)


def test_plain_laws_are_not_divided_out():
    law = LogNormal()
    t = law.sample(VP(), Noise(0, range(9)))
    assert (law.correction(VP(), t) == 1).all() and (TimeUniform().correction(VP(), t) == 1).all()


def test_integral_is_the_bound_in_nats():
    """On data N(0, s^2) the loss of the exact denoiser, integrated over t, is
    1/2 log((SNR(t_min) + 1/s^2) / (SNR(1) + 1/s^2)) a dimension: 5 s.e., p = 6e-7."""
    process, s = VP(), 0.6
    truth = Mixture(process, torch.zeros(1, 3), s**2)
    noise = Noise(4, range(20_000))
    x0, _ = truth.draw(noise.child("data"))
    objective = Regression(LikelihoodImportance(s**-2), LikelihoodWeight())
    found = objective(truth, x0, None, noise).value.double() * (1 - process.t_min)
    high, low = process.log_snr(torch.tensor([process.t_min, 1.0]).double()).exp() + s**-2
    wanted = 0.5 * math.log(float(high) / float(low))
    assert abs(float(found.mean()) - wanted) < 5 * float(found.std()) / 20_000**0.5


def test_weights_keep_the_shape_of_times():
    for name in names("weight"):
        weight = make("weight", name)
        for t in (torch.tensor(0.5), torch.full((3,), 0.5)):
            found = weight(VP(), t.double())
            assert found.shape == t.shape and found.dtype == torch.float64
    assert X0Weight()(VP(), torch.tensor(0.3)).dtype == torch.float64
