"""A model's likelihood is that of its denoiser, asked about in the right condition."""

import pytest
import torch

from tests.small import diffusion, pictures, points
from unnoise.core.condition import Condition
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.data import Dataset
from unnoise.likelihood import ExactTrace, log_prob
from unnoise.models import Diffusion


def asked(model: Diffusion, x: torch.Tensor, cond: Condition | None, seed: int = 0) -> torch.Tensor:
    """The answer from the floor below."""
    assert model.info is not None
    found = log_prob(
        model.denoiser,
        x,
        cond,
        steps=8,
        noise=Noise(seed, range(len(x))),
        data=model.info.moments(),
    )
    return found.log_prob.detach()


@pytest.mark.parametrize("data", [points(), pictures()], ids=["points", "pictures"])
def test_it_is_the_denoisers(data: Dataset):
    model = diffusion(data)
    batch = data[:9]
    labels = batch.label
    given = model.log_prob(batch.x, batch.cond, steps=8)
    assert torch.equal(given, asked(model, batch.x, batch.cond))
    assert torch.equal(given, model.log_prob(batch.x, label=labels, steps=8))
    hidden = model.log_prob(batch.x, steps=8)
    assert torch.equal(hidden, asked(model, batch.x, batch.cond.null()))
    # Canaries: another condition, other probes, and other data have other answers.
    assert not torch.equal(hidden, given)
    assert not torch.equal(given, model.log_prob(batch.x, label=0, steps=8))
    assert not torch.equal(given, model.log_prob(batch.x + 0.1, label=labels, steps=8))
    probed = {"label": labels, "steps": 8, "divergence": "hutchinson"}
    assert not torch.equal(
        model.log_prob(batch.x, seed=0, **probed), model.log_prob(batch.x, seed=1, **probed)
    )


def test_each_row_is_its_own():
    """More than one chunk, rows with their own probes, up to the rounding of another batch."""
    model = diffusion(points(300))
    x = points(300)[:].x
    whole = model.likelihood(x, label=0, steps=2)
    assert whole.log_prob.shape == whole.standard_error.shape == (300,)
    assert whole.latent.shape == x.shape
    assert torch.allclose(whole.log_prob[:40], model.log_prob(x[:40], label=0, steps=2), atol=1e-5)
    rolled = model.log_prob(x.roll(1, 0), label=0, steps=2, divergence="exact")
    exact = model.log_prob(x, label=0, steps=2, divergence=ExactTrace())
    assert torch.allclose(rolled.roll(-1), exact, atol=1e-5)


def test_density_integrates_to_one():
    """Over the plane, by the exact trace: the one thing a density cannot be wrong about."""
    model = diffusion(points())
    axis = torch.linspace(-4, 4, 33)
    grid = torch.cartesian_prod(axis, axis)
    density = model.log_prob(grid, label=0, divergence="exact", steps=48).exp()
    assert float(density.sum()) * 0.25**2 == pytest.approx(1, abs=0.02)


def test_nothing_is_left_behind():
    model = diffusion(points())
    model.train()
    model.log_prob(points()[:3].x, steps=2)
    assert model.training and torch.is_grad_enabled()
    assert all(p.grad is None for p in model.parameters())


def test_refused():
    model = diffusion(points())
    with pytest.raises(InputError, match=r"data of shape \(3,\); this model knows \(2,\)"):
        model.log_prob(torch.zeros(4, 3))
    with pytest.raises(InputError, match="label 2: this model knows labels 0 to 1"):
        model.log_prob(torch.zeros(4, 2), label=2)
    with pytest.raises(InputError, match="no such divergence"):
        model.log_prob(torch.zeros(4, 2), divergence="exacct")
