"""What follows from a denoiser: both ways between data and noise, bounds, sensitivities."""

import math

import pytest
import torch

from tests.small import diffusion, pictures, points
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.likelihood import elbo, sensitivity
from unnoise.models.interpolation import slerp
from unnoise.solvers import DormandPrince


def test_encode_and_decode_are_inverse():
    """D10: 1e-6 in float64 at rtol 1e-8, 1e-3 in float32."""
    model, x = diffusion(points()), points()[:6].x
    latent = model.encode(x, label=0)
    assert float((model.decode(latent, label=0) - x).abs().max()) < 1e-3
    model = model.double()
    fine = DormandPrince(rtol=1e-8, atol=1e-10)
    exact = model.encode(x.double(), label=0, solver=fine)
    assert exact.dtype == torch.float64
    back = model.decode(exact, label=0, solver=fine)
    assert float((back - x).abs().max()) < 1e-6
    # The canary: another label is another flow.
    assert float((model.decode(exact, label=1, solver=fine) - x).abs().max()) > 1e-3


def test_latents_are_those_of_the_likelihood():
    """Two walks of one ODE: Dormand-Prince, and the one that carries the divergence."""
    model, x = diffusion(points()).double(), points()[:6].x.double()
    wanted = model.likelihood(x, label=0, steps=512).latent
    process = model.process
    ends = [float(process.scales(torch.tensor(t).double())[0]) for t in (process.t_max, 1.0)]
    assert ends[0] == ends[1]  # VP ends where it is asked to
    assert float((model.encode(x, label=0, solver=DormandPrince(1e-8)) - wanted).abs().max()) < 1e-4


def test_interpolation_ends_at_the_data():
    model, batch = diffusion(points()), points()[:4]
    x, y = batch.x[:2], batch.x[2:]
    path = model.interpolate(x, y, 5, label=0)
    assert path.shape == (5, 2, 2)
    assert float((path[0] - x).abs().max()) < 1e-3 and float((path[-1] - y).abs().max()) < 1e-3
    latents = [model.encode(v, label=0) for v in (x, path[2], y)]
    middle = slerp(latents[0], latents[2], 0.5)
    assert float((latents[1] - middle).abs().max()) < 1e-3
    straight = (latents[0] + latents[2]) / 2
    assert float((middle - straight).abs().max()) > 1e-2  # the canary


def test_great_circle():
    """Angles in proportion, norms in a straight line; parallel ones and zeros too."""
    a, b = (
        Noise(0, range(3)).normal(torch.empty(3, 7)),
        Noise(1, range(3)).normal(torch.empty(3, 7)),
    )
    whole = torch.cosine_similarity(a, b).acos()
    for share in (0.0, 0.25, 0.5, 1.0):
        v = slerp(a, b, share)
        assert torch.allclose(
            torch.cosine_similarity(a, v).clamp(max=1).acos(), share * whole, atol=1e-3
        )
        assert torch.allclose(v.norm(dim=1), torch.lerp(a.norm(dim=1), b.norm(dim=1), share))
    assert torch.allclose(slerp(a, 2 * a, 0.5), 1.5 * a, atol=1e-5)
    assert torch.isfinite(slerp(a, torch.zeros_like(a), 0.5)).all()


@pytest.mark.parametrize("data", [points(), pictures()], ids=["points", "pictures"])
def test_bound_and_sensitivity_are_the_denoisers(data):
    model, batch = diffusion(data), data[:3]
    assert model.info is not None
    noise, cond = Noise(0, range(3)), batch.cond
    levels = {}
    if model.info.levels is not None:
        levels = {"levels": 5, "low": -1.0, "high": 1.0}
    with torch.no_grad():
        wanted = elbo(model.denoiser, batch.x, cond, steps=7, noise=noise, **levels)
    found = model.elbo(batch.x, cond, steps=7)
    assert torch.equal(found.total, wanted.total) and found.steps.shape == (3, 6)
    assert not torch.equal(found.total, model.elbo(batch.x, cond, steps=7, seed=1).total)
    how = {"t": 0.02, "steps": 8, "divergence": "exact"}
    changes = model.sensitivity(batch.x, cond, **how)
    assert changes == sensitivity(
        model.denoiser, batch.x, cond, noise=noise, data=model.moments(), **how
    )
    assert changes.count == 3 and all(map(math.isfinite, (changes.steps, changes.end)))


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda m, x: m.encode(x, solver="ancestral"), "only walks back"),
        (lambda m, x: m.encode(x[:, :1]), "this model knows"),
        (lambda m, x: m.decode(x * math.nan), "NaN"),
        (lambda m, x: m.encode(x[:0]), "no data"),
        (lambda m, x: m.encode(x, guidance=-1.0), "guidance"),
        (lambda m, x: m.interpolate(x, x, 1), "count = 1: give a whole number, 2 to"),
        (lambda m, x: m.interpolate(x, x[:1]), "one shape"),
        (lambda m, x: m.elbo(x, steps=0), "steps"),
    ],
)
def test_refuses(ask, said: str):
    model, x = diffusion(points()), points()[:4].x
    with pytest.raises(InputError, match=said):
        ask(model, x)
