"""Tabulated chains against fifty digits: betas as the papers print them, and what follows."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import mpmath
import pytest
import torch
from mpmath import mpf

from tests.kinds import make
from unnoise.catalogue.registry import names
from unnoise.core.errors import InputError
from unnoise.processes import DDPMChain, SMLDChain
from unnoise.processes.chains import (
    Betas,
    LinearBetas,
    ListedBetas,
    ScaledLinearBetas,
    ZeroTerminalSNR,
)

N = 1000


def even(low: Any, high: Any) -> list[Any]:
    return [low + (high - low) * mpf(i) / (N - 1) for i in range(N)]


def cosine() -> list[Any]:
    s = mpf("0.008")
    bar = [mpmath.cos((mpf(i) / N + s) / (1 + s) * mpmath.pi / 2) ** 2 for i in range(N + 1)]
    return [min(1 - b / a, mpf("0.999")) for a, b in pairwise(bar)]


def sigmoid() -> list[Any]:
    span = mpf("0.02") - mpf("1e-4")
    return [mpf("1e-4") + span / (1 + mpmath.exp(-u)) for u in even(mpf(-6), mpf(6))]


def scaled_linear() -> list[Any]:
    ends = mpmath.sqrt(mpf("0.00085")), mpmath.sqrt(mpf("0.012"))
    return [root**2 for root in even(*ends)]


def zero_terminal() -> list[Any]:
    root, kept = [], mpf(1)
    for beta in scaled_linear():
        kept *= 1 - beta
        root.append(mpmath.sqrt(kept))
    shift = [(r - root[-1]) * root[0] / (root[0] - root[-1]) for r in root]
    steps = zip([mpf(1), *shift], shift, strict=False)
    return [1 - (b / a) ** 2 for a, b in steps]


PAPERS: dict[str, Callable[[], list[Any]]] = {
    "linear": lambda: even(mpf("1e-4"), mpf("0.02")),
    "scaled-linear": scaled_linear,
    "sigmoid": sigmoid,
    "cosine": cosine,
    "list": lambda: [mpf(v) for v in make("betas", "list").betas],
    "zero-terminal-snr": zero_terminal,
}


def gap(got: torch.Tensor, wanted: list[Any]) -> float:
    """Largest relative difference; absolute where 0 is wanted."""
    pairs = zip(got.tolist(), wanted, strict=True)
    return max(float(abs(mpf(g) - w) / abs(w)) if w else abs(g) for g, w in pairs)


def table(betas: list[Any]) -> tuple[list[Any], list[Any]]:
    alphas, sigmas, kept = [], [], mpf(1)
    for beta in betas:
        kept *= 1 - beta
        alphas.append(mpmath.sqrt(kept))
        sigmas.append(mpmath.sqrt(1 - kept))
    return alphas, sigmas


@pytest.mark.parametrize("name", names("betas"))
def test_fifty_digits(name: str):
    """Betas, alpha, sigma and every transition of the chain on its own grid, to 1e-12."""
    betas = make("betas", name)
    with mpmath.workdps(50):
        wanted = PAPERS[name]()
        assert gap(betas.values(), wanted) <= 1e-12
        chain = DDPMChain(betas)
        t = torch.arange(1, len(wanted) + 1).double() / len(wanted)
        for got, exact in zip(chain.scales(t), table(wanted), strict=True):
            assert gap(got, exact) <= 1e-12
        keep, added = chain.transition(torch.cat([torch.zeros(1).double(), t[:-1]]), t)
        known = [mpmath.sqrt(1 - beta) for beta in wanted]
        assert gap(keep, known) <= 1e-12 and gap(added[1:], wanted[1:]) <= 1e-10


def test_canary_fifty_digits():
    """A schedule whose last beta is a millionth larger is seen."""
    betas = LinearBetas(last=0.02 * (1 + 1e-6))
    with mpmath.workdps(50):
        assert gap(betas.values(), PAPERS["linear"]()) > 1e-12


def test_smld_levels():
    with mpmath.workdps(50):
        ratio = mpf(5000)
        wanted = [mpf("0.01") * ratio ** (mpf(i) / (N - 1)) for i in range(N)]
        t = torch.arange(1, N + 1).double() / N
        alpha, sigma = SMLDChain().scales(t)
        assert gap(sigma, wanted) <= 1e-12 and bool((alpha == 1).all())
        listed = SMLDChain(sigmas=(0.1, 0.5, 2.0))
        third = torch.tensor([1 / 3, 2 / 3, 1.0], dtype=torch.float64)
        assert listed.scales(third)[1].tolist() == pytest.approx([0.1, 0.5, 2.0], abs=1e-12)


def test_zero_terminal_snr_ends_in_noise():
    chain, plain = DDPMChain(ZeroTerminalSNR()), DDPMChain(ScaledLinearBetas())
    ends = torch.tensor([1 / N, 1.0]).double()
    assert chain.scales(ends)[0][1] == 0 and chain.scales(ends)[1][1] == 1
    assert float(chain.scales(ends)[0][0]) == pytest.approx(float(plain.scales(ends)[0][0]))
    assert float(plain.scales(ends)[0][1]) > 0.06  # what is mended


@pytest.mark.parametrize(
    ("make_one", "said"),
    [
        (lambda: DDPMChain(ListedBetas((0.1, 1.0, 0.2))), r"betas\[1\] = 1"),
        (lambda: DDPMChain(ListedBetas((0.1, -0.2))), r"betas\[1\] = -0.2"),
        (lambda: DDPMChain(ListedBetas((0.1,))), "at least 2"),
        (lambda: SMLDChain(sigmas=(1.0, 0.5)), "rise"),
        (lambda: SMLDChain(sigmas=(0.0, 0.5)), "above 0"),
    ],
)
def test_refuses(make_one: Callable[[], Any], said: str):
    with pytest.raises(InputError, match=said):
        make_one()


def test_every_kind_is_here():
    assert set(names("betas")) == set(PAPERS)
    assert {type(make("betas", name)) for name in PAPERS} >= {
        LinearBetas,
    }
    assert all(isinstance(make("betas", name), Betas) for name in PAPERS)
