"""The laws of heads over the registry."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.kinds import breaks, make
from unnoise.catalogue.registry import names
from unnoise.core.errors import InputError
from unnoise.denoisers import NetworkDenoiser
from unnoise.denoisers.heads import EDMHead, Eps, Scaling, V
from unnoise.networks import MLP
from unnoise.processes import VP, Cosine, Rectified
from unnoise.testing import HeadContract
from unnoise.testing.compare import draw, worst

# What a perfect network answers, as the papers have it: f(alpha, sigma, x0, eps).
TARGETS: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]] = {
    "eps": lambda a, s, x0, eps: eps,
    "x0": lambda a, s, x0, eps: x0,
    "v": lambda a, s, x0, eps: (a * eps - s * x0) / torch.hypot(a, s),
    "flow": lambda a, s, x0, eps: eps - x0,
}


def edm_target(spread: float) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """Karras et al. table 1: (x0 - c_skip y) / c_out with y = x / alpha at noise sigma / alpha."""

    def target(a: Tensor, s: Tensor, x0: Tensor, eps: Tensor) -> Tensor:
        level = s / a
        y = x0 + level * eps
        size = (level**2 + spread**2).sqrt()
        usual = (x0 - spread**2 / size**2 * y) / (level * spread / size)
        # Where a = 0 the limit: the input is noise alone, the output the data in its own units.
        return torch.where(a > 1e-9, usual, (spread**-1) * x0 + 0 * y.nan_to_num())

    return target


TARGETS["edm"] = edm_target(0.5)


class TestRegistered(HeadContract):
    @pytest.fixture(autouse=True, params=names("head"))
    def kind(self, request: pytest.FixtureRequest) -> None:
        self.name = request.param
        self.spread = 0.5 if self.name == "edm" else 1.0

    def make(self):
        return make("head", self.name)

    def target(self, alpha: Tensor, sigma: Tensor, x0: Tensor, eps: Tensor) -> Tensor:
        return TARGETS[self.name](alpha, sigma, x0, eps)  # a new head needs its paper's formula


class TestEDMOfOtherData(HeadContract):
    spread = 1.7

    def make(self):
        return EDMHead(sigma_data=1.7)

    def target(self, alpha: Tensor, sigma: Tensor, x0: Tensor, eps: Tensor) -> Tensor:
        return edm_target(1.7)(alpha, sigma, x0, eps)


def test_edm_network_answers_unit_variance():
    """Its purpose: target of variance one for data of variance sigma_data^2, at every level."""
    alpha, sigma = VP().scales(torch.linspace(0.01, 1, 30))
    x0, eps = 0.5 * draw(20000, 1, name="x0"), draw(20000, 1, name="eps")
    spread = edm_target(0.5)(alpha, sigma, x0, eps).std(0)
    assert worst(spread, torch.ones(30).double()) < 0.04  # 5 s.e. of a standard deviation: 0.025


def test_edm_of_unit_data_is_v_with_its_sign_turned():
    alpha, sigma = VP().scales(torch.linspace(0, 1, 30))
    for c, d, sign in zip(
        EDMHead(1.0).scaling(alpha, sigma), V().scaling(alpha, sigma), (1, -1, 1), strict=True
    ):
        assert worst(c, sign * d, scale=1.0) < 1e-14


@pytest.mark.parametrize("process", [Rectified(), Cosine()], ids=str)
def test_eps_head_is_refused_where_no_signal_is_left(process):
    network = MLP((2,), width=8, depth=1)
    with pytest.raises(InputError, match=r'alpha\(1\) = 0.*Use head = "v" or "flow"'):
        NetworkDenoiser(network, process, Eps())
    NetworkDenoiser(network, process, V())


# ------------------------------------------------------------------------------------ canaries


def with_scaling(change: Callable[[Scaling], Scaling]):
    class Bent(V):
        def scaling(self, alpha: Tensor, sigma: Tensor) -> Scaling:
            return change(V.scaling(self, alpha, sigma))

    return Bent


@pytest.mark.parametrize(
    ("law", "change"),
    [
        ("test_perfect_network_means_perfect_belief", lambda c: c._replace(out=-c.out)),
        ("test_perfect_network_means_perfect_belief", lambda c: c._replace(skip=0.999 * c.skip)),
        ("test_inputs_have_unit_size", lambda c: c._replace(into=torch.ones_like(c.into))),
        ("test_finite_or_refused", lambda c: c._replace(out=c.out / (c.skip - 1))),
    ],
)
def test_canary_head(law: str, change: Callable[[Scaling], Scaling]):
    target = staticmethod(TARGETS["v"])
    breaks(
        HeadContract, law, with_scaling(change), target=target, processes=lambda self: [Rectified()]
    )
