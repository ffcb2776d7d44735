"""Agreement with the schedulers of diffusers where both mean one algorithm (docs/diffusers.md).

Both walk DDPM's chain with the exact belief about a mixture; theirs computes its tables in float32.
"""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from unnoise.core.condition import Condition
from unnoise.core.distributions import Normal
from unnoise.core.noise import Noise
from unnoise.denoisers import GaussianDenoiser, Mixture
from unnoise.processes import DDPMChain
from unnoise.solvers import DDIM, DEIS, Ancestral, DPMSolverPP, Solver, UniPC, trajectory
from unnoise.testing.compare import draw

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    diffusers = pytest.importorskip("diffusers")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # theirs, of numpy

CHAIN = DDPMChain()
BETAS = {"beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}
ENOUGH = 2e-4  # of the states, whose deviation is about 1
COUNT = 20


class Sure(GaussianDenoiser):
    """The exact belief about a mixture, as a point: their fixed_small variance."""

    def __init__(self) -> None:
        super().__init__()
        self.process, variances = CHAIN, torch.tensor([0.05, 0.1, 0.02, 0.08, 0.04]).double()
        self.inner = Mixture(CHAIN, draw(5, 3, name="means"), variances)

    def forward(self, x: Tensor, t: Tensor, cond: Condition | None = None) -> Normal:
        return Normal(self.inner(x, t, cond).mean)


class Draws:
    """Stands in for a Noise: normals by step, whatever the path below it."""

    def __init__(self, drawn: list[Tensor], at: int | None = None):
        self.drawn, self.at = drawn, at

    def __len__(self) -> int:
        return len(self.drawn[0])

    def child(self, name: Any) -> "Draws":
        return Draws(self.drawn, name if self.at is None else self.at)

    def normal(self, like: Tensor) -> Tensor:
        return self.drawn[self.at or 0]


def theirs(scheduler: Any, noisy: Callable[[Tensor], dict[str, Any]]) -> Iterator[Tensor]:
    """States after each step of a scheduler, from the noise of seed 0."""
    scheduler.set_timesteps(COUNT)
    scheduler.set_begin_index(0) if hasattr(scheduler, "set_begin_index") else None
    belief, x = Sure(), start()
    for i, k in enumerate(scheduler.timesteps):
        t = (k.double() + 1) / 1000
        eps = belief.noise(x, t)
        x = scheduler.step(eps, k, x, **noisy(drawn()[i])).prev_sample
        yield x


def ours(solver: Solver, scheduler: Any) -> Iterator[Tensor]:
    times = torch.cat([(scheduler.timesteps.double() + 1) / 1000, torch.zeros(1).double()])
    noise: Any = Draws(drawn())
    for step in trajectory(solver, Sure(), start(), times, noise=noise):
        yield step.x


def start() -> Tensor:
    return draw(6, 3, name="start")


def drawn() -> list[Tensor]:
    return [Noise(i, range(6)).normal(start()) for i in range(COUNT)]


def gaps(solver: Solver, scheduler: Any, noisy: Any = lambda z: {}) -> list[float]:
    """Largest difference after each step."""
    pairs = zip(list(theirs(scheduler, noisy)), ours(solver, scheduler), strict=True)
    return [float((a - b).abs().max()) for a, b in pairs]


def multistep(name: str, **how: Any) -> Any:
    kind = getattr(diffusers, name)
    return kind(**BETAS, timestep_spacing="trailing", **how)


def given(z: Tensor) -> dict[str, Any]:
    return {"variance_noise": z}


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_ddim(eta: float):
    scheduler = diffusers.DDIMScheduler(**BETAS, clip_sample=False, timestep_spacing="leading")

    def noisy(z: Tensor) -> dict[str, Any]:
        return {"eta": eta, **(given(z) if eta else {})}

    assert max(gaps(DDIM(eta), scheduler, noisy)) < ENOUGH


def test_ddpm_is_ancestral(monkeypatch: pytest.MonkeyPatch):
    scheduler = diffusers.DDPMScheduler(
        **BETAS, clip_sample=False, variance_type="fixed_small", timestep_spacing="leading"
    )
    queue = iter(drawn())
    module = diffusers.schedulers.scheduling_ddpm
    monkeypatch.setattr(module, "randn_tensor", lambda *a, **k: next(queue))
    assert max(gaps(Ancestral(), scheduler)) < ENOUGH


@pytest.mark.parametrize("depth", [1, 2])
def test_dpm_solver_pp(depth: int):
    scheduler = multistep("DPMSolverMultistepScheduler", solver_order=depth)
    assert max(gaps(DPMSolverPP(depth), scheduler)) < ENOUGH


@pytest.mark.parametrize("depth", [1, 2])
def test_dpm_solver_pp_sde(depth: int):
    scheduler = multistep(
        "DPMSolverMultistepScheduler", solver_order=depth, algorithm_type="sde-dpmsolver++"
    )
    assert max(gaps(DPMSolverPP(depth, eta=1.0), scheduler, given)) < ENOUGH


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_unipc(depth: int):
    """Theirs lowers the order of the last steps; ours only that of the one into the data."""
    scheduler = multistep("UniPCMultistepScheduler", solver_order=depth, solver_type="bh2")
    found = gaps(UniPC(depth), scheduler)
    assert max(found[: COUNT if depth < 3 else COUNT - 2]) < ENOUGH


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_deis(depth: int):
    """All but the last step, which theirs takes to the chain's first level and not to the data."""
    scheduler = multistep("DEISMultistepScheduler", solver_order=depth, solver_type="logrho")
    assert max(gaps(DEIS(depth), scheduler)[:-1]) < ENOUGH


def test_third_order_is_where_we_differ():
    """Theirs drops half of the quadratic term; from the third step on the walks part."""
    scheduler = multistep("DPMSolverMultistepScheduler", solver_order=3, lower_order_final=False)
    found = gaps(DPMSolverPP(3), scheduler)
    assert max(found[:2]) < ENOUGH and max(found) > 10 * ENOUGH


@pytest.mark.parametrize("wrong", [DDIM(eta=0.9), DPMSolverPP(1), UniPC(1), DEIS(2)], ids=str)
def test_canary_another_solver_is_seen(wrong: Solver):
    scheduler = multistep("DPMSolverMultistepScheduler", solver_order=2)
    assert max(gaps(wrong, scheduler)[:-1]) > ENOUGH
