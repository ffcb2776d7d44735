"""Guidance against the exact conditional beliefs of a mixture."""

import pytest
import torch

from tests.denoisers.test_exact import mixture
from tests.kinds import make
from unnoise.catalogue.registry import names
from unnoise.core.condition import Condition
from unnoise.core.distributions import Normal
from unnoise.core.errors import InputError
from unnoise.denoisers import (
    Autoguided,
    ClassifierFree,
    Guidance,
    GuidanceInterval,
    GuidanceRescale,
    Guided,
)
from unnoise.processes import VP
from unnoise.testing import Counted, DenoiserContract
from unnoise.testing.compare import draw, worst

PROCESSES = names("process")


class TestGuided(DenoiserContract):
    def make(self, process, event):
        def pull(x, t, cond):
            return -0.1 * (x - 0.3).square().flatten(1).sum(1)

        return Guided(mixture(process, event), pull, 0.7)


class TestClassifierFree(DenoiserContract):
    def make(self, process, event):
        return ClassifierFree(mixture(process, event, labels=True), 2.0)


class TestAutoguided(DenoiserContract):
    def make(self, process, event):
        truth = mixture(process, event, labels=True)
        return Autoguided(truth, ClassifierFree(truth, 0.5), GuidanceInterval(3.0, 0.1, 2.0))


def asked(rows: int) -> Condition:
    return Condition(label=torch.arange(rows) % 2)


@pytest.mark.parametrize("name", PROCESSES)
def test_classifier_free_formula(name: str):
    truth = mixture(make("process", name), (2,), labels=True)
    x, cond = draw(4, 2), asked(4)
    for t in (torch.tensor(0.5).double(), torch.tensor([0.2, 0.4, 0.6, 0.8]).double()):
        given, without = truth(x, t, cond).mean, truth(x, t, cond.null()).mean
        assert torch.equal(ClassifierFree(truth, 1.0)(x, t, cond).mean, given)
        assert torch.equal(ClassifierFree(truth, 0.0)(x, t, cond).mean, without)
        for scale in (0.5, 3.0):
            guided = ClassifierFree(truth, scale)(x, t, cond).mean
            assert worst(guided, without + scale * (given - without), scale=1.0) < 1e-12
        assert torch.equal(ClassifierFree(truth, 3.0)(x, t).mean, truth(x, t).mean)


def test_classifier_free_costs():
    """One call for scales 0 and 1, one of the double batch else."""
    truth, x, cond = mixture(VP(), (2,), labels=True), draw(4, 2), asked(4)
    for scale in (0.0, 1.0, 2.0):
        counted = Counted(truth)
        ClassifierFree(counted, scale)(x, torch.tensor(0.5), cond)
        assert counted.calls == 1


def test_hidden_labels_are_not_guided():
    truth, x = mixture(VP(), (2,), labels=True), draw(4, 2)
    hidden, t = asked(4).null(), torch.tensor(0.5).double()
    assert worst(ClassifierFree(truth, 3.0)(x, t, hidden).mean, truth(x, t).mean, scale=1.0) < 1e-12


@pytest.mark.parametrize("name", PROCESSES)
def test_guided_by_the_exact_classifier_is_the_conditional_belief(name: str):
    truth = mixture(make("process", name), (2,), labels=True)
    label = Condition(label=torch.ones(4, dtype=torch.int64))

    def classifier(x, t, cond):  # log p(label | x) up to a constant
        return truth.log_prob(x, t, label) - truth.log_prob(x, t)

    alpha, sigma = truth.process.scales(0.4)
    x, t = alpha * draw(4, 2) + sigma * draw(4, 2, name="eps"), torch.tensor(0.4).double()
    guided = Guided(truth, classifier)
    assert worst(guided(x, t).mean, truth(x, t, label).mean, scale=1.0) < 1e-8
    assert worst(guided.score(x, t), truth.score(x, t, label), scale=1.0) < 1e-8
    assert worst(truth.score(x, t), truth.score(x, t, label), scale=1.0) > 1e-5  # canary
    assert torch.equal(Guided(truth, classifier, 0.0)(x, t).mean, truth(x, t).mean)


def test_guided_where_gradients_are_off():
    truth, x = mixture(VP(), (2,)), draw(4, 2)
    guided = Guided(truth, lambda x, t, cond: -x.square().sum(1))
    with torch.no_grad():
        belief = guided(x, torch.tensor(0.4))
    assert isinstance(belief, Normal) and not belief.mean.requires_grad
    assert worst(belief.mean, truth(x, torch.tensor(0.4)).mean, scale=1.0) > 1e-3


def test_canary_guidance_scale():
    """The other reading, mean + w (given - without), is another denoiser."""
    truth, x, cond, t = mixture(VP(), (2,), labels=True), draw(4, 2), asked(4), torch.tensor(0.5)
    given, without = truth(x, t, cond).mean, truth(x, t, cond.null()).mean
    other = given + 2.0 * (given - without)
    assert worst(ClassifierFree(truth, 2.0)(x, t, cond).mean, other, scale=1.0) > 1e-3


# ----------------------------------------------------------------------- guidance over the levels


def leaning(guidance: Guidance, level: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(guided, without, given) means of a mixture at a noise level."""
    truth, x, cond = mixture(VP(), (2,), labels=True), draw(4, 2), asked(4)
    t = truth.process.time(torch.tensor(level).double().atan())
    guided = ClassifierFree(truth, guidance)(x, t, cond).mean
    return guided, truth(x, t, cond.null()).mean, truth(x, t, cond).mean


@pytest.mark.parametrize("kind", names("guidance"))
def test_every_guidance_says_nothing_where_the_condition_does(kind: str):
    """Where both means agree the guided one is that mean; scales are one number a level."""
    guidance, mean = make("guidance", kind), draw(4, 3, 2)
    level = torch.logspace(-3, 3, 4).double()
    scale = guidance.scale_at(level)
    assert scale.shape == (4,) and scale.dtype == torch.float64
    assert torch.equal(guidance.mean(mean, torch.zeros_like(mean), scale), mean)
    assert torch.equal(guidance.scale_at(level[1]), scale[1])


def test_interval_guides_inside_alone():
    guidance = GuidanceInterval(3.0, low=0.3, high=2.0)
    for level in (0.1, 5.0):
        guided, _, given = leaning(guidance, level)
        assert torch.equal(guided, given)
    guided, without, given = leaning(guidance, 1.0)
    assert worst(guided, without + 3 * (given - without), scale=1.0) < 1e-12
    assert worst(guided, given, scale=1.0) > 1e-3


def test_interval_row_by_row():
    """Each row by its own time, and both calls only where a row needs them."""
    truth, x, cond = mixture(VP(), (2,), labels=True), draw(3, 2), asked(3)
    guided = ClassifierFree(truth, GuidanceInterval(3.0, low=0.3, high=2.0))
    t = truth.process.time(torch.tensor([0.1, 1.0, 5.0]).double().atan())
    together = guided(x, t, cond).mean
    for i in range(3):
        alone = guided(x[i : i + 1], t[i], cond[i : i + 1]).mean
        assert worst(together[i], alone[0], scale=1.0) < 1e-12


def test_rescaled_keeps_the_spread():
    """Share 1 has the plain belief's spread, row by row; share 0 the guided one's."""
    plain, without, given = leaning(GuidanceRescale(4.0, share=0.0), 1.0)
    assert worst(plain, without + 4 * (given - without), scale=1.0) < 1e-12
    kept = leaning(GuidanceRescale(4.0, share=1.0), 1.0)[0]
    assert worst(kept.std(1), given.std(1), scale=1.0) < 1e-12
    assert worst(plain.std(1), given.std(1), scale=1.0) > 1e-2
    half = leaning(GuidanceRescale(4.0, share=0.5), 1.0)[0]
    assert worst(half, (plain + kept) / 2, scale=1.0) < 1e-12
    one = GuidanceRescale(4.0).mean(torch.ones(3, 1), torch.ones(3, 1), torch.tensor(4.0).double())
    assert torch.isfinite(one).all()


def test_autoguidance_formula():
    truth, x, cond, t = mixture(VP(), (2,), labels=True), draw(4, 2), asked(4), torch.tensor(0.5)
    weaker = ClassifierFree(truth, 0.3)
    given, without = truth(x, t, cond).mean, weaker(x, t, cond).mean
    for scale in (0.0, 0.5, 1.0, 3.0):
        guided = Autoguided(truth, weaker, scale)(x, t, cond).mean
        assert worst(guided, without + scale * (given - without), scale=1.0) < 1e-12
    assert worst(Autoguided(truth, weaker, 3.0)(x, t, cond).mean, given, scale=1.0) > 1e-3


def test_what_is_no_log_probability_is_refused():
    truth, x = mixture(VP(), (2,)), draw(4, 2)
    for wrong in (lambda x, t, cond: x, lambda x, t, cond: x.detach().sum(1)):
        with pytest.raises(InputError, match=r"one number a row, \(4,\)"):
            Guided(truth, wrong)(x, torch.tensor(0.4))
