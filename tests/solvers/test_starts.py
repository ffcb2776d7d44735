"""Walks that cannot start where they are told to are refused before the first network call."""

import pytest
import torch

from tests.small import diffusion, points
from unnoise.core.errors import InputError, NumbersError
from unnoise.denoisers import Empirical, Guided, Mixture
from unnoise.likelihood import log_prob
from unnoise.processes import VP, Cosine, Rectified
from unnoise.solvers import EulerMaruyama, Heun, grid, integrate
from unnoise.views import Unconditional


@pytest.mark.parametrize("process", [Rectified(), Cosine()])
def test_dividing_by_alpha_starts_below_one(process):
    denoiser = Mixture(process, torch.zeros(1, 2), 0.1)
    x = torch.ones(3, 2)
    with pytest.raises(InputError, match=r"divides by alpha.*start at 0\.999"):
        integrate(EulerMaruyama(), denoiser, x, grid(process, 20))
    reached = integrate(EulerMaruyama(), denoiser, x, grid(process, 20, start=process.t_max))
    assert torch.isfinite(reached).all()


def test_guidance_says_where_alpha_ends():
    denoiser = Mixture(Rectified(), torch.zeros(1, 2), 0.1)
    guided = Guided(denoiser, lambda x, t, cond: -x.square().sum(1))
    with pytest.raises(InputError, match=r"start at t = 0\.999"):
        guided(torch.ones(3, 2), torch.tensor(1.0))


@pytest.mark.parametrize("times", [[0.5, 0.2, 0.0], [1.0, 0.5]])
def test_a_sample_starts_as_noise_and_ends_as_data(times):
    with pytest.raises(InputError, match="starts as noise at 1 and ends as data at 0"):
        diffusion(points()).sample(3, grid=times)
    assert torch.isfinite(diffusion(points()).sample(3, grid=[1.0, 0.5, 0.0])).all()


def test_broken_weights_give_no_samples():
    model = diffusion(points())
    with torch.no_grad():
        next(iter(model.parameters())).fill_(float("nan"))
    with pytest.raises(NumbersError, match="NaN"):
        model.sample(3)


def test_eta_outside_the_bridge_is_refused():
    with pytest.raises(InputError, match="eta = 2"):
        Rectified().bridge_scales(0.5, 0.2, 2.0)


def test_shapes_and_types_that_do_not_fit():
    """Said in a sentence, whoever notices it first."""
    truth, model = Mixture(VP(), torch.zeros(1, 2), 0.1), diffusion(points())
    known = Empirical(VP(), torch.zeros(5, 2))
    times = grid(VP(), 3)
    for belief in (truth, known, model.denoiser):
        with pytest.raises(InputError, match=r"\(2,\)|\(B, 2\)"):
            integrate(Heun(), belief, torch.zeros(3, 5), times)
    with pytest.raises(InputError, match=r"computes in float32; given float64\. Say x\.float\(\)"):
        integrate(Heun(), Unconditional(model), torch.zeros(3, 2).double(), times)
    for bad, said in ((torch.zeros(3, 2).long(), "int64"), (torch.zeros(3), r"\(B, 1\)")):
        with pytest.raises(InputError, match=said):
            log_prob(truth, bad)
