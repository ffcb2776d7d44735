"""The laws of processes over the registry, and each kind against its paper to 50 digits."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath
import pytest
import torch
from mpmath import mpf
from torch import Tensor

from tests.kinds import breaks, make
from unnoise.catalogue.registry import names
from unnoise.core.errors import InputError
from unnoise.processes import EDM, VE, VP, Cosine, GaussianProcess, Rectified, SubVP
from unnoise.testing import ProcessContract


class TestRegistered(ProcessContract):
    @pytest.fixture(autouse=True, params=names("process"))
    def kind(self, request: pytest.FixtureRequest) -> None:
        self.name = request.param

    def make(self):
        return make("process", self.name)


# Other numbers than the defaults: nothing is fitted to those.
OTHERS = [
    VP(beta_min=0.0, beta_max=4.0),
    SubVP(beta_min=0.5, beta_max=8.0),
    VE(sigma_min=0.1, sigma_max=3.0),
    EDM(sigma_min=0.01, sigma_max=20.0),
    Cosine(s=0.0),
]


class TestOthers(ProcessContract):
    @pytest.fixture(autouse=True, params=OTHERS, ids=str)
    def kind(self, request: pytest.FixtureRequest) -> None:
        self.process = request.param

    def make(self):
        return self.process


# ------------------------------------------------------ closed forms, as the papers print them


def beta_integral(t: Any) -> Any:
    return mpf("0.1") * t + (mpf(20) - mpf("0.1")) * t**2 / 2


def beta(t: Any) -> Any:
    return mpf("0.1") + t * (mpf(20) - mpf("0.1"))


def cosine_alpha(t: Any) -> Any:
    s = mpf("0.008")
    if t == 1:
        return mpf(0)  # cos(pi / 2); 50 digits of pi give 1e-51
    at = mpmath.cos((t + s) / (1 + s) * mpmath.pi / 2)
    return at / mpmath.cos(s / (1 + s) * mpmath.pi / 2)


# name: alpha(t), sigma(t), g(t)^2, with the constructors' defaults as decimals
CLOSED: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any], Callable[[Any], Any]]] = {
    "vp": (
        lambda t: mpmath.exp(-beta_integral(t) / 2),
        lambda t: mpmath.sqrt(1 - mpmath.exp(-beta_integral(t))),
        beta,
    ),
    "sub-vp": (
        lambda t: mpmath.exp(-beta_integral(t) / 2),
        lambda t: 1 - mpmath.exp(-beta_integral(t)),
        lambda t: beta(t) * (1 - mpmath.exp(-2 * beta_integral(t))),
    ),
    "ve": (
        lambda t: mpf(1),
        lambda t: mpf("0.01") * mpf(5000) ** t,
        lambda t: 2 * mpmath.log(5000) * (mpf("0.01") * mpf(5000) ** t) ** 2,
    ),
    "edm": (lambda t: mpf(1), lambda t: 80 * t, lambda t: 2 * 80**2 * t),
    "cosine": (
        cosine_alpha,
        lambda t: mpmath.sqrt(1 - cosine_alpha(t) ** 2),
        lambda t: (
            mpmath.pi / mpf("1.008") * mpmath.tan((t + mpf("0.008")) / mpf("1.008") * mpmath.pi / 2)
        ),
    ),
    "rectified": (lambda t: 1 - t, lambda t: t, lambda t: 2 * t + 2 * t**2 / (1 - t)),
}


def relative(got: Tensor, wanted: list[Any]) -> float:
    return max(
        float(abs(mpf(g) - w) / abs(w)) if w else abs(g)
        for g, w in zip(got.tolist(), wanted, strict=True)
    )


@pytest.mark.parametrize("name", sorted(CLOSED))
def test_fifty_digits(name: str):
    """D6: alpha, sigma, g^2, log SNR at 10,000 times to 1e-12; cast to float32 to 2.4e-7."""
    process: GaussianProcess = make("process", name)
    low = torch.logspace(-8, 0, 5000, dtype=torch.float64).clamp(max=1)
    t = torch.cat([low, torch.linspace(0.0002, 1, 5000, dtype=torch.float64)])
    with mpmath.workdps(50):
        closed_alpha, closed_sigma, closed_squared = CLOSED[name]
        alpha, sigma = ([f(mpf(v)) for v in t.tolist()] for f in (closed_alpha, closed_sigma))
        assert relative(process.scales(t)[0], alpha) <= 1e-12
        assert relative(process.scales(t)[1], sigma) <= 1e-12
        cast = process.scales(t, torch.empty(len(t), 1))
        assert cast[0].dtype == torch.float32
        for got, wanted in zip(cast, (alpha, sigma), strict=True):
            assert relative(got[:, 0], wanted) <= 2.4e-7
        inner = t[t < process.t_max]
        squared = [closed_squared(mpf(v)) for v in inner.tolist()]
        assert relative(process.diffusion(inner) ** 2, squared) <= 1e-12
        snr = [
            2 * mpmath.log(a / s) for a, s, v in zip(alpha, sigma, t.tolist(), strict=True) if v < 1
        ]
        got = process.log_snr(t[t < 1]).tolist()
        assert max(abs(mpf(g) - w) for g, w in zip(got, snr, strict=True)) <= 1e-12


def test_canary_fifty_digits():
    """1 - exp(-B) without expm1 loses half its digits at t = 1e-8."""
    t = torch.tensor([1e-8], dtype=torch.float64)
    naive = torch.sqrt(1 - torch.exp(-VP().integral(t)))
    with mpmath.workdps(50):
        assert relative(naive, [CLOSED["vp"][1](mpf(float(t)))]) > 1e-10


def test_everything_registered_has_a_closed_form():
    """Not a law of plug-ins: the house's own kinds are compared with their papers."""
    own = {"vp", "sub-vp", "ve", "edm", "cosine", "rectified"}
    assert own <= set(CLOSED) and own <= set(names("process"))


# --------------------------------------------------------------------------- canaries of the laws


@dataclass(frozen=True)
class Bent(GaussianProcess):
    """A process whose pieces can be bent one by one."""

    shape: str = "none"

    def alpha(self, t: Tensor) -> Tensor:
        if self.shape == "summed":
            return (1 - t).sum()
        return 1 + t**2 if self.shape == "growing alpha" else 1 - t / 2

    def sigma(self, t: Tensor) -> Tensor:
        bends = {
            "rising snr": lambda: 1.2 * t - t**2,
            "float32": lambda: t.float().double(),
            "nan": lambda: t * torch.where(t > 0.5, math.nan, 1.0),
            "negative": lambda: -t,
            "kinked": lambda: t + (t > 0.5) * 0.2,
        }
        return bends.get(self.shape, lambda: t.clone())()


def bent(shape: str) -> Callable[[], Bent]:
    return lambda: Bent(shape)


def test_unbent_keeps_the_laws():
    contract = type("Good", (ProcessContract,), {"make": staticmethod(bent("none"))})()
    laws = [name for name in dir(contract) if name.startswith("test_")]
    assert len(laws) >= 15
    for law in laws:
        getattr(contract, law)()


@pytest.mark.parametrize(
    ("law", "shape"),
    [
        ("test_noise_grows", "rising snr"),
        ("test_noise_grows", "nan"),
        ("test_times_of_any_shape", "summed"),
        ("test_rates_are_derivatives", "float32"),
        ("test_rates_are_derivatives", "kinked"),
        ("test_drift_and_diffusion_move_the_moments", "rising snr"),
        ("test_time_inverts_angle", "rising snr"),
        ("test_transitions_lead_to_the_marginal", "rising snr"),
        ("test_cast_once", "nan"),
    ],
)
def test_canary_bent(law: str, shape: str):
    breaks(ProcessContract, law, bent(shape))


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ("rising snr", "does not fall at t ="),
        ("summed", "must keep the shape"),
        ("nan", "= nan; it must be finite"),
        ("negative", "not negative"),
    ],
)
def test_check_says_what_is_wrong(shape: str, words: str):
    with pytest.raises(InputError, match=words):
        Bent(shape).check()


# Single formulae of GaussianProcess replaced by popular mistakes; each must break a law.


def with_formula(monkeypatch: pytest.MonkeyPatch, name: str, formula: Callable[..., Any]) -> None:
    monkeypatch.setattr(GaussianProcess, name, formula)


def test_canary_transition(monkeypatch: pytest.MonkeyPatch):
    def forgets_the_past(self: GaussianProcess, s: Any, t: Any):
        (a_s, _), (a_t, s_t) = self.scales(s), self.scales(t)
        return a_t / a_s, s_t**2

    with_formula(monkeypatch, "transition", forgets_the_past)
    for law in ("test_transitions_compose", "test_transitions_lead_to_the_marginal"):
        breaks(ProcessContract, law, VP)


def test_canary_bridge(monkeypatch: pytest.MonkeyPatch):
    scales = GaussianProcess.bridge_scales

    def large_variance(self: GaussianProcess, t: Any, s: Any, eta: Any = 1.0):
        keep, pull, _ = scales(self, t, s, eta)
        return keep, pull, eta**2 * self.transition(s, t)[1]

    with_formula(monkeypatch, "bridge_scales", large_variance)
    for law in ("test_bridge_averages_to_the_marginal", "test_bridge_is_bayes"):
        breaks(ProcessContract, law, VP)


def test_canary_diffusion(monkeypatch: pytest.MonkeyPatch):
    def without_drift(self: GaussianProcess, t: Any):
        return (2 * self.scales(t)[1] * self.rates(t)[1]).sqrt()

    with_formula(monkeypatch, "diffusion", without_drift)
    breaks(ProcessContract, "test_drift_and_diffusion_move_the_moments", VP)


def test_canary_conversions(monkeypatch: pytest.MonkeyPatch):
    def wrong_sign(self: GaussianProcess, mean: Tensor, x: Tensor, t: Any):
        alpha, sigma = self.scales(t, x)
        return (x - alpha * mean) / sigma**2

    with_formula(monkeypatch, "score", wrong_sign)
    breaks(ProcessContract, "test_conversions", Rectified)


def test_constructors_refuse_empty_ranges():
    for maker in (lambda: VP(5.0, 1.0), lambda: VE(2.0, 1.0), lambda: EDM(1.0, 1.0)):
        with pytest.raises(InputError, match="is not above"):
            maker()
