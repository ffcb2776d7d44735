"""Score matching on Gaussians, where losses and their gradients are known in closed form (D14)."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from unnoise.core.noise import Noise
from unnoise.denoisers import Mixture, NetworkDenoiser
from unnoise.denoisers.heads import V
from unnoise.networks import UNet
from unnoise.objectives import (
    ExplicitScoreMatching,
    ImplicitScoreMatching,
    Objective,
    ReducedSlicedScoreMatching,
    Regression,
    SlicedScoreMatching,
    explicit_score_matching,
    implicit_score_matching,
    reduced_sliced_score_matching,
    sliced_score_matching,
)
from unnoise.objectives.matching import Score
from unnoise.processes import VP
from unnoise.testing.compare import draw, worst
from unnoise.testing.network import awake

# Data N(0, C) in the plane; the model's score is A x + b with free numbers A, b.
C = torch.tensor([[1.3, 0.4], [0.4, 0.6]]).double()
A = torch.tensor([[-0.9, 0.3], [0.1, -1.4]]).double()
B = torch.tensor([0.2, -0.5]).double()


def affine(a: Tensor, b: Tensor) -> Score:
    return lambda x: x.flatten(1).matmul(a.T).add(b).reshape(x.shape)


def whitened(count: int) -> Tensor:
    """Data whose mean is 0 and covariance C, exactly: expectations are sums over its rows."""
    z = draw(count, 2)
    z = z - z.mean(0)
    root = torch.linalg.cholesky(z.T @ z / count)
    return torch.linalg.solve_triangular(root, z.T, upper=False).T @ torch.linalg.cholesky(C).T


def gradients(loss: Callable[[Score], Tensor]) -> list[Tensor]:
    """Of the loss of each row, in A and b: means, and their standard errors."""
    a, b = A.clone().requires_grad_(), B.clone().requires_grad_()
    return list(torch.autograd.grad(loss(affine(a, b)).mean(), (a, b)))


# E of the implicit loss is tr A + 1/2 tr(A C A^T) + 1/2 |b|^2.
IMPLICIT = [torch.eye(2).double() + A @ C, B]


def test_exact_gradients():
    """tr A + 1/2 E|A x + b|^2: its gradient is (1 + A C, b)."""
    x = whitened(500)
    found = gradients(lambda score: implicit_score_matching(score, x))
    assert all(worst(g, w, 1.0) < 1e-6 for g, w in zip(found, IMPLICIT, strict=True))
    value = implicit_score_matching(affine(A, B), x).detach().mean()
    wanted = float(A.trace() + 0.5 * (A @ C @ A.T).trace() + 0.5 * B.square().sum())
    assert abs(float(value) - wanted) < 1e-12


def test_explicit_gradients_are_the_same():
    """1/2 E|A x + b + C^-1 x|^2 differs by a constant (Hyvarinen, theorem 1)."""
    x = whitened(500)
    known = affine(-torch.linalg.inv(C), torch.zeros(2).double())
    found = gradients(lambda score: explicit_score_matching(score, x, known))
    assert all(worst(g, w, 1.0) < 1e-6 for g, w in zip(found, IMPLICIT, strict=True))


def test_denoising_gradients():
    """1/2 E|A y + b + (y - x) / s^2|^2 over y = x + s eps: those of data N(0, C + s^2)."""
    noise_std, x = 0.3, whitened(500)
    # Both eps and -eps, and x on both sides: first moments and correlations vanish exactly.
    eps = draw(500, 2, name="eps")
    eps = torch.linalg.solve_triangular(
        torch.linalg.cholesky(eps.T @ eps / 500), eps.T, upper=False
    ).T
    x, eps = torch.cat([x, -x, x, -x]), torch.cat([eps, eps, -eps, -eps])
    y = x + noise_std * eps
    found = gradients(lambda s: explicit_score_matching(s, y, lambda _: -eps / noise_std))
    seen = C + noise_std**2 * torch.eye(2).double()
    wanted = [torch.eye(2).double() + A @ seen, B]
    assert all(worst(g, w, 1.0) < 1e-6 for g, w in zip(found, wanted, strict=True))


@pytest.mark.parametrize("rule", [sliced_score_matching, reduced_sliced_score_matching])
@pytest.mark.parametrize("law", ["normal", "rademacher"])
def test_sliced_gradients(rule: Callable[..., Tensor], law: str):
    """Within 5 s.e. of the exact ones, number by number (6 numbers: p = 4e-6), over 100 groups."""
    x, groups = whitened(400), 100
    found: list[Tensor] = []
    for i in range(groups):
        noise = Noise(2, range(400)).child(i)
        v = torch.stack([getattr(noise.child(k), law)(x) for k in range(2)])
        found.append(torch.cat([g.flatten() for g in gradients(lambda s, v=v: rule(s, x, v))]))
    each = torch.stack(found)
    wanted = torch.cat([w.flatten() for w in IMPLICIT])
    error = each.std(0) / groups**0.5
    assert ((each.mean(0) - wanted).abs() < 5 * error + 1e-9).all()


def test_canary_sliced():
    """Half the directions' variance is another loss, and is seen."""
    x = whitened(400)
    v = math.sqrt(0.5) * torch.stack([Noise(2, range(400)).child(k).normal(x) for k in range(50)])
    found = gradients(lambda s: sliced_score_matching(s, x, v))
    assert worst(found[0], IMPLICIT[0], 1.0) > 0.1


def test_reduced_has_less_variance():
    """Where the score is long, as at small noise."""
    x, v = whitened(2000), Noise(0, range(2000)).normal(torch.empty(2000, 2).double())[None]
    score = affine(A, 10 * B)
    plain, reduced = (
        (rule(score, x, v) - implicit_score_matching(score, x)).detach().std()
        for rule in (sliced_score_matching, reduced_sliced_score_matching)
    )
    assert float(reduced) < 0.8 * float(plain)


@pytest.mark.parametrize("shape", [(2,), (1, 5), (2, 3, 4)])
def test_shapes_of_data(shape: tuple[int, ...]):
    """The trace is that of the Jacobian on events of any shape; rows are apart."""
    size = math.prod(shape)
    weight = 0.3 * draw(size, size, name="weight")

    def score(x: Tensor) -> Tensor:
        return torch.tanh(x.flatten(1) @ weight.T).reshape(x.shape)

    x = draw(3, *shape)
    got = implicit_score_matching(score, x)
    for i in range(3):
        jacobian = torch.autograd.functional.jacobian(
            lambda y: score(y.reshape(1, *shape)).flatten(), x[i].flatten()
        )
        wanted = jacobian.trace() + 0.5 * score(x[i : i + 1]).square().sum()
        assert abs(float(got[i].detach() - wanted)) < 1e-9
    basis = size**0.5 * torch.eye(size).double().reshape(size, 1, *shape).expand(-1, 3, *shape)
    assert worst(sliced_score_matching(score, x, basis), got) < 1e-9
    assert worst(reduced_sliced_score_matching(score, x, basis), got) < 1e-9


def test_without_gradients():
    """For a validation loss: the same numbers, and nothing left to differentiate."""
    x, score = whitened(9), affine(A.clone().requires_grad_(), B)
    with torch.no_grad():
        still = implicit_score_matching(score, x)
    assert not still.requires_grad and torch.equal(still, implicit_score_matching(score, x))


# ----------------------------------------------------------------------- at the levels of a process


@pytest.mark.parametrize(
    "objective",
    [
        ImplicitScoreMatching(),
        SlicedScoreMatching(projections=3),
        ReducedSlicedScoreMatching(),
    ],
)
def test_one_expectation_up_to_a_constant(objective: Objective):
    """From denoiser to denoiser it changes as regression does: 5 s.e., p = 6e-7."""
    count, process = 20_000, VP()
    means = torch.tensor([[0.8, -0.2], [-0.5, 0.4]])
    right, wrong = Mixture(process, means, 0.1), Mixture(process, means + 0.3, 0.25)
    noise = Noise(4, range(count))
    x0, _ = right.draw(noise.child("data"))

    def change(o: Objective) -> Tensor:
        with torch.no_grad():
            return o(wrong, x0, None, noise).value - o(right, x0, None, noise).value

    apart = change(objective) - change(Regression())
    assert abs(float(apart.mean())) < 5 * float(apart.std()) / count**0.5
    assert float(change(Regression()).mean()) > 0.01


def test_explicit_is_regression_without_its_constant():
    """Also sample by sample, where nothing is left to chance: |s - s*|^2 in the weight's units."""
    process, noise = VP(), Noise(4, range(50))
    means = torch.tensor([[0.8, -0.2], [-0.5, 0.4]])
    right, wrong = Mixture(process, means, 0.1), Mixture(process, means + 0.3, 0.25)
    x0, _ = right.draw(noise.child("data"))
    loss = ExplicitScoreMatching(right)(wrong, x0, None, noise)
    t = Regression().times.sample(process, noise.child("time"))
    x = process.forward(x0, t).sample(noise.child("forward"))
    alpha, sigma = process.scales(t)
    off = (wrong(x, t).mean - right(x, t).mean).square().mean(1)
    assert worst(loss.value, (alpha / sigma) ** 2 * off) < 1e-6


@pytest.mark.parametrize("shape", [(1, 8), (1, 8, 8)])
def test_networks_with_attention(shape: tuple[int, ...]):
    """Fused attention has no second derivative; the loss must still teach every weight."""
    denoiser = NetworkDenoiser(awake(UNet(shape, width=8)), VP(), V())
    x0 = draw(3, *shape).float()
    loss = SlicedScoreMatching()(denoiser, x0, None, Noise(0, range(3)))
    loss.value.sum().backward()
    silent = [n for n, p in denoiser.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []
