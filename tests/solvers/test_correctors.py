"""Correctors, what they are combined with, and the identities between solvers (D3, D5)."""

import math

import pytest
import torch
from torch import Tensor

from tests.kinds import make
from unnoise.catalogue.registry import names
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.denoisers import Mixture
from unnoise.processes import VE, VP, DDPMChain, SMLDChain, SubVP
from unnoise.solvers import (
    DDIM,
    Ancestral,
    Churned,
    EulerMaruyama,
    Heun,
    Langevin,
    LangevinPaper,
    PredictorCorrector,
    ReverseDiffusion,
    grid,
    integrate,
    langevin,
)
from unnoise.testing import GaussianBelief
from unnoise.testing.compare import draw, worst


def truth(process) -> Mixture:
    means = torch.tensor([[0.5, -0.1], [-0.8, 0.3]]).double()
    return Mixture(process, means, torch.tensor([0.1, 0.02]))


@pytest.mark.parametrize("name", names("corrector"))
@pytest.mark.parametrize("process", names("process"))
def test_a_corrector_leaves_the_law_alone(name: str, process: str):
    """Ten thousand exact draws stay normal; z-scores below 5.5, false alarm 1e-6 in all cases."""
    p, corrector = make("process", process), make("corrector", name)
    belief, t = GaussianBelief(p), torch.tensor(0.5 * p.t_max).double()
    mean, spread = belief.law(float(t))
    x = mean + spread * draw(10_000, 1)
    numbers = corrector.numbers(p, torch.stack([t, t * 0.99]))[0]
    for i in range(5):
        noise = Noise(4, range(len(x))).child(i)
        x = corrector.correct(belief, x, t, numbers, cond=None, noise=noise)
    # Unadjusted steps are too wide by size / (2 spread^2), at most snr^2 for the default rule.
    assert abs(float(x.mean()) - mean) / spread * 100 < 5.5
    assert abs(float(x.var()) / spread**2 - 1) < 5.5 * math.sqrt(2) / 100 + 0.16**2


def test_canary_a_score_of_the_wrong_sign():
    p = VP()
    belief, t = GaussianBelief(p), torch.tensor(0.5).double()
    mean, spread = belief.law(0.5)
    x = mean + spread * draw(10_000, 1)
    *_, x = langevin(lambda x: -belief.score(x, t), x, 0.025, 5)
    assert abs(float(x.var()) / spread**2 - 1) > 5.5 * math.sqrt(2) / 100 + 0.16**2


def test_langevin_finds_any_density():
    """A normal law from a far start: mean and variance within 5 standard errors (p < 1e-6)."""
    x = torch.full((4000, 1), 6.0).double()
    for state in langevin(lambda x: -(x - 1) / 0.25, x, 0.01, 300):
        x = state
    wide = 0.25 / (1 - 0.01 / (2 * 0.25))  # the stationary variance of unadjusted steps
    assert abs(float(x.mean()) - 1) < 5 * math.sqrt(wide / 4000)
    assert abs(float(x.var()) / wide - 1) < 5 * math.sqrt(2 / 4000)


def test_the_papers_rule_couples_and_ours_does_not():
    model, x, times = truth(VE()), 50 * draw(6, 2), grid(VE(), 6)
    noise = Noise(0, range(6))

    def apart(corrector) -> bool:
        solver = PredictorCorrector(DDIM(), corrector)
        whole = integrate(solver, model, x, times, noise=noise)[:2]
        return not torch.equal(whole, integrate(solver, model, x[:2], times, noise=noise[:2]))

    assert apart(LangevinPaper()) and PredictorCorrector(DDIM(), LangevinPaper()).couples_batch
    assert not apart(Langevin()) and not PredictorCorrector().couples_batch


@pytest.mark.parametrize("bad", [-0.1, 0.0, math.nan])
def test_bad_steps_are_refused(bad: float):
    with pytest.raises(InputError, match="snr"):
        Langevin(snr=bad)
    with pytest.raises(InputError, match="above 0"):
        next(langevin(lambda x: x, draw(2, 2), bad, 3))


def test_churn_of_zero_is_nothing():
    model, x, times = truth(VE()), 50 * draw(4, 2), grid(VE(), 6)
    plain = integrate(Heun(), model, x, times)
    assert torch.equal(integrate(Churned(Heun(), churn=0.0), model, x, times), plain)
    assert not torch.equal(integrate(Churned(Heun(), churn=5.0), model, x, times), plain)


# ------------------------------------------------------------------ the papers' own formulas


def step(solver, process, t: float, s: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One step of ours: (x, score, z, x_s)."""
    model, noise = truth(process), Noise(7, range(5))
    x = draw(5, 2) * float(process.scales(t)[1])
    times = torch.tensor([t, s], dtype=torch.float64)
    z_of = noise.child(0)
    found = integrate(solver, model, x, times, noise=noise)
    return x, model.score(x, times[0]), z_of.normal(x), found


def test_reverse_diffusion_on_chains():
    """Song et al., appendix E: VP x (2 - sqrt(1 - b)) + b s + sqrt(b) z; VE with sigma^2 gaps."""
    chain = DDPMChain()
    beta = float(chain.betas.values()[599])
    x, score, z, found = step(ReverseDiffusion(), chain, 0.6, 0.599)
    wanted = (2 - math.sqrt(1 - beta)) * x + beta * score + math.sqrt(beta) * z
    assert worst(found, wanted, scale=1.0) <= 1e-12
    levels = SMLDChain()
    (_, high), (_, low) = levels.scales(0.6), levels.scales(0.599)
    gap = high**2 - low**2
    x, score, z, found = step(ReverseDiffusion(), levels, 0.6, 0.599)
    assert worst(found, x + gap * score + gap.sqrt() * z, scale=x.abs()) <= 1e-12


def test_ancestral_on_chains():
    """Ho et al., eq. 6-7 and 11; Song et al., eq. 47 for SMLD."""
    chain = DDPMChain()
    betas = chain.betas.values()
    bars = (1 - betas).cumprod(0)
    beta, bar, before = betas[599], bars[599], bars[598]
    x, score, z, found = step(DDIM(eta=1.0), chain, 0.6, 0.599)
    small = (1 - before) / (1 - bar) * beta
    belief = (x + (1 - bar) * score) / bar.sqrt()
    mean = before.sqrt() * beta / (1 - bar) * belief
    mean = mean + (1 - beta).sqrt() * (1 - before) / (1 - bar) * x
    model = truth(chain)
    doubt = model(x, torch.tensor(0.6, dtype=torch.float64)).variance
    coef = before.sqrt() * beta / (1 - bar)
    assert worst(found, mean + (small + coef**2 * doubt).sqrt() * z, scale=1.0) <= 1e-11


def test_euler_maruyama_formula():
    """Song et al., eq. 6, with the closed forms of f and g, sub-VP included."""
    for process in (VP(), SubVP()):
        t, s = 0.6, 0.55
        beta = 0.1 + t * 19.9
        whole = 0.1 * t + 19.9 * t**2 / 2
        g2 = beta if isinstance(process, VP) else beta * -math.expm1(-2 * whole)
        x, score, z, found = step(EulerMaruyama(), process, t, s)
        wanted = x + (beta / 2 * x + g2 * score) * (t - s) + math.sqrt(g2 * (t - s)) * z
        assert worst(found, wanted, scale=1.0) <= 1e-12


def test_probability_flow_of_ve_is_edms():
    """dx / dsigma = (x - D) / sigma, whatever the pace."""
    process, model = VE(), truth(VE())
    t = torch.tensor(0.4, dtype=torch.float64)
    x = draw(5, 2)
    rate = process.rates(t)[1]
    sigma = process.scales(t)[1]
    flow = process.reverse_drift(x, t, model.score(x, t), share=0.5)
    assert worst(flow, rate * (x - model(x, t).mean) / sigma, scale=1.0) <= 1e-12
    assert worst(flow, model.velocity(x, t), scale=1.0) <= 1e-12


def test_strong_order_of_euler_maruyama():
    """With the same Brownian path and additive noise the path's error is of order one (D5)."""
    process = VP()
    belief, fine, rows = GaussianBelief(process, sure=True), 8192, 200
    z = Noise(3, range(rows)).normal(torch.empty(rows, fine).double())

    class Path:
        """A Noise whose draw for step i is that of one path, however many steps there are."""

        def __init__(self, steps: int, index: int | None = None):
            self.steps, self.index = steps, index

        def __len__(self) -> int:
            return rows

        def child(self, i: int) -> "Path":
            return Path(self.steps, i)

        def normal(self, like: Tensor) -> Tensor:
            many = fine // self.steps
            return (
                z[:, self.index * many : (self.index + 1) * many].sum(1, keepdim=True) / many**0.5
            )

    def walked(steps: int) -> Tensor:
        times = torch.linspace(1, 0.05, steps + 1).double()
        return integrate(EulerMaruyama(), belief, draw(rows, 1), times, noise=Path(steps))

    exact = walked(fine)
    errors = [float((walked(n) - exact).square().mean().sqrt()) for n in (128, 256)]
    # The reference has an error of its own, a thirty-second of the finer one.
    assert abs(math.log2(errors[0] / errors[1]) - 1) < 0.1


def test_solvers_that_need_more_than_a_process_has():
    class Bare:
        t_max = 1.0

    with pytest.raises(InputError, match="needs a Process"):
        Ancestral().plan(Bare(), torch.tensor([1.0, 0.0]))
