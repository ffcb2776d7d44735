"""Guidance against the exact conditional beliefs of a mixture."""

import pytest
import torch

from tests.denoisers.test_exact import mixture
from tests.kinds import make
from unnoise.core.condition import Condition
from unnoise.core.distributions import Normal
from unnoise.core.registry import names
from unnoise.denoisers import ClassifierFree, Guided
from unnoise.processes import VP
from unnoise.testing import Counted, DenoiserContract
from unnoise.testing.compare import draw, worst

PROCESSES = names("process")


class TestGuided(DenoiserContract):
    def make(self, process, event):
        inner = mixture(process, event)
        return Guided(inner, lambda x, t: -0.1 * (x - 0.3).square().flatten(1).sum(1), scale=0.7)


class TestClassifierFree(DenoiserContract):
    def make(self, process, event):
        return ClassifierFree(mixture(process, event, labels=True), 2.0)


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
        for scale in (-1.0, 0.5, 3.0):
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

    def classifier(x, t):  # log p(label | x) up to a constant
        return truth.log_prob(x, t, label) - truth.log_prob(x, t)

    alpha, sigma = truth.process.scales(0.4)
    x, t = alpha * draw(4, 2) + sigma * draw(4, 2, name="eps"), torch.tensor(0.4).double()
    guided = Guided(truth, classifier)(x, t)
    assert worst(guided.mean, truth(x, t, label).mean, scale=1.0) < 1e-8
    assert torch.equal(Guided(truth, classifier, scale=0.0)(x, t).mean, truth(x, t).mean)


def test_guided_where_gradients_are_off():
    truth, x = mixture(VP(), (2,)), draw(4, 2)
    guided = Guided(truth, lambda x, t: -x.square().sum(1))
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
