"""A classifier of noisy points against the exact posterior, and samples that it guides."""

from functools import cache

import pytest
import torch
from torch import Tensor

from tests.small import diffusion, points, same, weights
from unnoise import data
from unnoise.core.condition import Condition
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.denoisers import GaussianDenoiser, Guided, Mixture
from unnoise.models import Classifier, Diffusion, load
from unnoise.networks import HalfUNet, MLPClassifier
from unnoise.objectives import LogNormal
from unnoise.processes import EDM, VE, VP, Cosine, GaussianProcess, Rectified
from unnoise.solvers import (
    Ancestral,
    EulerMaruyama,
    Heun,
    Langevin,
    PredictorCorrector,
    grid,
    integrate,
)
from unnoise.testing.compare import worst
from unnoise.training import fit

SPREAD = 0.3


@cache
def trained() -> Classifier:
    """Of eight clouds; about ten seconds."""
    model = Classifier(MLPClassifier((2,), 8, width=64, depth=2), VP(), data_std=0.7)
    clouds = data.eight_gaussians(count=8000, spread=SPREAD)
    how = {"steps": 1500, "batch": 256, "lr": 4e-3, "warmup": 50, "ema_half_life": 12800.0}
    fit(model, clouds, label_dropout=0.0, threads=1, **how)  # pyright: ignore[reportArgumentType]
    return model


def exact(process: GaussianProcess) -> Mixture:
    law = data.eight_gaussians(spread=SPREAD).law
    assert law is not None
    return Mixture(process, law.means, SPREAD**2, labels=torch.arange(8))


def posterior(truth: Mixture, x: Tensor, t: Tensor) -> Tensor:
    """p(y | x_t), shape (B, 8)."""
    rows = [Condition(label=torch.full((len(x),), c)) for c in range(8)]
    joint = torch.stack([truth.log_prob(x, t, cond) for cond in rows], 1)
    return joint.softmax(1)


@pytest.mark.parametrize("process", [VP(), Cosine(), Rectified(), VE(sigma_max=100.0)])
def test_it_learns_the_exact_posterior(process: GaussianProcess):
    """Under its own process and, on the same circle, under every other."""
    truth, model = exact(process), trained()
    for level in (0.1, 0.5, 2.0):
        t = process.time(torch.tensor(level).double().atan())
        noise = Noise(1, range(500))
        x0, _ = truth.draw(noise.child("x0"))
        x = process.forward(x0, t).sample(noise.child("x"))
        wanted = posterior(truth, x, t)
        with torch.no_grad():
            found = model._read(x.float(), process, t).exp()
        assert float((found - wanted).abs().sum(1).mean()) < 0.08  # twice the total variation
        other = torch.roll(wanted, 1, 1)
        assert float((found - other).abs().sum(1).mean()) > 0.15  # the canary


def test_other_processes_are_the_same_circle():
    model, label = trained(), Condition(label=torch.arange(4))
    x0 = Noise(3, range(4)).normal(torch.empty(4, 2))
    answers: list[Tensor] = []
    for process in (VP(), Cosine(), Rectified()):
        t = process.time(torch.tensor(0.6).double())
        alpha, sigma = process.scales(t)
        answers.append(model._read((alpha * x0 + sigma * x0.flip(0)).float(), process, t))
    assert worst(answers[1], answers[0], scale=1.0) < 1e-4
    assert worst(answers[2], answers[0], scale=1.0) < 1e-4
    t = VP().time(torch.tensor(0.6).double())
    x = VP().scales(t)[0] * x0
    asked = model.log_prob(x.float(), t, label)
    assert torch.equal(asked, model.log_probs(x.float(), t).gather(1, label.label[:, None])[:, 0])  # pyright: ignore


@pytest.mark.parametrize(
    "solver",
    [EulerMaruyama(), Heun(), Ancestral(), PredictorCorrector(Ancestral(), Langevin())],
    ids=["reverse SDE", "ODE", "ancestral", "predictor-corrector"],
)
def test_samples_guided_by_the_exact_classifier_are_conditional(solver):
    """Mean and covariance within 5 standard errors (false alarm 1e-5 a solver) and the bias of
    200 steps, which a hundredth of the spread bounds here."""
    process, n = VP(), 4000
    truth, label = exact(process), Condition(label=torch.full((4000,), 3))

    def log_prob(x: Tensor, t: Tensor, cond: Condition | None) -> Tensor:
        return truth.log_prob(x, t, cond) - truth.log_prob(x, t)

    noise, times = Noise(2, range(n)), grid(process, 200, "logsnr", process.t_max)
    start = process.prior((n, 2)).sample(noise.child("start")).double()

    def drawn(scale: float) -> Tensor:
        with torch.no_grad():
            # The mixture itself must not hear the label: the classifier alone tells.
            guided = Guided(Deaf(truth), log_prob, scale)
            return integrate(solver, guided, start, times, label, noise.child("walk"))

    x, centre = drawn(1.0), truth.means[3]
    assert worst(x.mean(0), centre, scale=1.0) < 5 * SPREAD / n**0.5 + 0.01 * SPREAD
    cov = torch.cov(x.T)
    assert worst(cov, SPREAD**2 * torch.eye(2), 1.0) < SPREAD**2 * (5 * (2 / n) ** 0.5 + 0.02)
    assert worst(drawn(0.0).mean(0), centre, scale=1.0) > 0.5  # unguided: the canary


class Deaf(GaussianDenoiser):
    """A denoiser that hears no condition."""

    def __init__(self, inner: Mixture) -> None:
        super().__init__()
        self.inner, self.process = inner, inner.process

    def forward(self, x: Tensor, t: Tensor, cond: Condition | None = None):
        return self.inner(x, t)


# ------------------------------------------------------------------------------ with a model


def unlabelled() -> Diffusion:
    return diffusion(points(), classes=None)


def of_points(process: GaussianProcess | None = None, classes: int = 2) -> Classifier:
    network = MLPClassifier((2,), classes, width=16, depth=1)
    torch.nn.init.normal_(network.out.weight, generator=torch.Generator().manual_seed(0))
    return Classifier(network, VP() if process is None else process)


@pytest.mark.parametrize("solver", ["euler-maruyama", "heun", "ancestral", "predictor-corrector"])
def test_scale_zero_is_unguided_to_the_bit(solver: str):
    model, guide = unlabelled(), of_points()
    how = {"solver": solver, "steps": 4, "seed": 5, "grid": "logsnr"}
    plain = model.sample(6, **how)
    off = model.sample(6, label=1, guide=guide, guidance=0.0, **how)
    on = model.sample(6, label=1, guide=guide, guidance=3.0, **how)
    assert torch.equal(off, plain) and not torch.equal(on, plain)
    parts = [model.sample(2, label=1, guide=guide, guidance=3.0, first=i, **how) for i in (0, 2, 4)]
    assert torch.equal(torch.cat(parts), on)  # any batch, the same bits


def test_a_model_with_labels_is_asked_without():
    """p(x) p(y | x): the label is the classifier's; the model's own belief is unconditional."""
    model, guide = diffusion(points()), of_points()
    off = model.sample(4, label=1, guide=guide, guidance=0.0, steps=3)
    assert torch.equal(off, model.sample(4, label=1, guidance=0.0, steps=3))


def test_any_log_probability_guides():
    model = diffusion(points())

    def right(x: Tensor, t: Tensor, cond: Condition | None) -> Tensor:
        return 3 * x[:, 0]

    plain, moved = (model.sample(64, label=0, guide=g, steps=6) for g in (None, right))
    assert float((moved - plain)[:, 0].mean()) > 0.1
    assert torch.equal(
        model.sample(4, label=0, guide=right, guidance=0, steps=3),
        model.sample(4, label=0, guidance=1, steps=3),
    )


def test_variations_are_led_without_a_label():
    """What is near to given data is of no class in particular, whoever guides."""
    model, x = diffusion(points()), torch.zeros(3, 2)

    def nowhere(x: Tensor, t: Tensor, cond: Condition | None) -> Tensor:
        return 0 * x[:, 0]

    plain = model.vary(x, 0.5, steps=3)
    assert torch.equal(model.vary(x, 0.5, steps=3, guide=nowhere), plain)
    assert not torch.equal(model.vary(x, 0.5, steps=3, label=1), plain)


def test_a_weaker_model_guides():
    model, weaker = diffusion(points()), diffusion(points(), width=8)
    alone = {"label": 0, "steps": 3, "guidance": 1}
    led = [model.sample(4, label=0, steps=3, guide=weaker, guidance=scale) for scale in (0, 1, 2)]
    assert torch.equal(led[0], weaker.sample(4, **alone))
    assert torch.equal(led[1], model.sample(4, **alone))
    assert not torch.equal(led[2], led[1])


def test_what_cannot_guide_is_refused():
    model = unlabelled()
    cases = [
        ({"guide": of_points(EDM(sigma_max=5.0))}, "has practised noise levels 0.002 to 5"),
        ({"guide": Classifier(MLPClassifier((3,), 2))}, r"events of shape \(3,\)"),
        ({"guide": of_points(), "label": 2}, "label 2: this model knows labels 0 to 1"),
        ({"guide": "runs/x"}, "guide = str"),
        ({"guide": diffusion(points(), classes=None)}, "say how strongly"),
        ({"guide": diffusion(points()), "guidance": 2}, "knows 2 labels, the model none"),
    ]
    for how, sentence in cases:
        with pytest.raises(InputError, match=sentence):
            model.sample(2, steps=2, **how)
    with pytest.raises(InputError, match="knows 3 labels, the model 2"):
        diffusion(points()).sample(2, guide=of_points(classes=3))
    other = Diffusion(unlabelled().network, VE())
    with pytest.raises(InputError, match="under another process"):
        model.sample(2, guide=other, guidance=2)


def test_hidden_labels_teach_nothing():
    model, noise = of_points(), Noise(0, range(4))
    x, label = noise.normal(torch.empty(4, 2)), torch.tensor([0, 1, 0, 1])
    keep = torch.tensor([True, False, True, False])
    value = model.loss(x, Condition(label=label, keep=keep), noise).value
    assert (value[[1, 3]] == 0).all() and (value[[0, 2]] > 0).all()
    for cond, sentence in ((None, "needs labels"), (Condition(label=label + 1), "label 2")):
        with pytest.raises(InputError, match=sentence):
            model.loss(x, cond, noise)


def test_importance_weights_are_paid_back():
    """A law of times that stands in for another one is divided by its density."""
    from unnoise.objectives import LikelihoodImportance

    model, noise = of_points(), Noise(0, range(20000))
    x, cond = noise.normal(torch.empty(20000, 2)), Condition(label=torch.zeros(20000).long())
    importance = Classifier(model.network, VP(), LikelihoodImportance())
    plain, other = (each.loss(x, cond, noise).value.detach() for each in (model, importance))
    error = float((plain.var() / 20000 + other.var() / 20000).sqrt())
    assert abs(float(plain.mean() - other.mean())) < 5 * error


@pytest.mark.parametrize("network", [MLPClassifier((1, 8, 8), 3, 16, 1), HalfUNet((1, 8, 8), 3, 8)])
def test_a_file_holds_all_of_it(network, tmp_path):
    from unnoise.models import save

    model = Classifier(network, EDM(), LogNormal(), data_std=0.4)
    path = tmp_path / "model.safetensors"
    save(model, path)
    again = load(path)
    assert same(weights(again), weights(model)) and again.data_std == 0.4
    assert again.process == model.process and again.times == model.times
