"""Dormand and Prince to a tolerance, sample by sample, in both directions."""

import pytest
import torch
from torch import Tensor

from tests.kinds import make
from unnoise.catalogue.registry import names
from unnoise.core.errors import InputError, NumbersError
from unnoise.denoisers import Mixture
from unnoise.processes import EDM, VP, GaussianProcess
from unnoise.solvers import RK4, DormandPrince, Heun, grid, integrate
from unnoise.solvers.dormand_prince import ERRORS, NODES, ROWS
from unnoise.testing import GaussianBelief
from unnoise.testing.compare import draw, worst


def truth(process: GaussianProcess) -> Mixture:
    return Mixture(process, torch.tensor([[-0.8, 0.1], [0.9, 0.3]]).double(), 0.05)


def test_tableau():
    """The conditions of orders one to three for both methods, and rows that sum to their nodes."""
    nodes = torch.tensor(NODES, dtype=torch.float64)
    for node, row in zip(NODES, ROWS, strict=True):
        assert sum(row) == pytest.approx(node, abs=1e-14)
    fifth = torch.tensor([*ROWS[-1], 0.0], dtype=torch.float64)
    fourth = fifth - torch.tensor(ERRORS, dtype=torch.float64)
    for weights, order in ((fifth, 5), (fourth, 4)):
        for k in range(order):
            assert float(weights @ nodes**k) == pytest.approx(1 / (k + 1), abs=1e-14)


@pytest.mark.parametrize("name", names("process"))
def test_meets_its_tolerance(name: str):
    process = make("process", name)
    belief = GaussianBelief(process)
    ends = torch.tensor([process.t_max, 0.05], dtype=torch.float64)
    x = float(process.scales(1.0)[1]) * draw(6, 3)
    (mean, spread), (end_mean, end_spread) = (belief.law(float(t)) for t in ends)
    exact = end_mean + end_spread * (x - mean) / spread
    errors = []
    for tolerance in (1e-4, 1e-7, 1e-10):
        solver = DormandPrince(rtol=tolerance, atol=tolerance)
        errors.append(worst(integrate(solver, belief, x, ends), exact, scale=1.0))
        assert errors[-1] < 300 * tolerance, (tolerance, errors)
    assert errors[2] < errors[0] / 10


def test_neighbours_do_not_matter():
    """A row alone, beside an easy one and beside a hard one has the same bits."""
    model, times = truth(VP()), grid(VP(), 2)
    x = draw(3, 2)
    alone = integrate(DormandPrince(), model, x[:1], times)
    hard = torch.cat([x[:1], torch.tensor([[0.0477, 1e-3]]).double(), 8 * x[1:]])
    assert torch.equal(integrate(DormandPrince(), model, hard, times)[:1], alone)


def test_canary_joint_error():
    """With one error for the whole batch, neighbours do matter."""

    class Joint(DormandPrince):
        def _attempt(self, *arguments):
            tried = super()._attempt(*arguments)
            return tried._replace(error=tried.error.square().mean().sqrt().expand_as(tried.error))

    model, times = truth(VP()), grid(VP(), 2)
    x = draw(3, 2)
    hard = torch.cat([x[:1], 8 * x[1:]])
    alone = integrate(Joint(), model, x[:1], times)
    assert not torch.equal(integrate(Joint(), model, hard, times)[:1], alone)


def round_trip(solver, dtype: torch.dtype, process: GaussianProcess, steps: int = 1) -> float:
    """Largest |x - decode(encode(x))| (D10)."""
    model = truth(process)
    x = (truth(process).means + 0.2 * draw(2, 2)).to(dtype)
    down = torch.linspace(process.t_max, process.t_min, steps + 1).double()
    down[0], down[-1] = process.t_max, process.t_min

    def walked(x: Tensor, times: Tensor) -> Tensor:
        return integrate(solver, model, x, times)

    return worst(walked(walked(x, down.flip(0)), down), x, scale=1.0)


@pytest.mark.parametrize("process", [VP(), EDM(), make("process", "rectified")], ids=str)
def test_there_and_back(process: GaussianProcess):
    fine = DormandPrince(rtol=1e-9, atol=1e-9)
    assert round_trip(fine, torch.float64, process) <= 1e-6
    assert round_trip(DormandPrince(rtol=1e-5, atol=1e-6), torch.float32, process) <= 1e-3
    assert round_trip(Heun(), torch.float64, process, steps=4) > 1e-3  # canary


def test_rising_times_need_a_solver_that_can():
    from unnoise.solvers import DDIM

    times = torch.tensor([0.01, 0.5, 1.0])
    with pytest.raises(InputError, match="times must fall"):
        integrate(DDIM(), truth(VP()), draw(2, 2), times)
    with pytest.raises(InputError, match="start at the process's t_min"):
        integrate(RK4(), truth(VP()), draw(2, 2), torch.tensor([0.0, 0.5, 1.0]))


def test_gives_up_with_a_sentence():
    with pytest.raises(NumbersError, match="did not reach rtol"):
        integrate(DormandPrince(most=2), truth(VP()), draw(2, 2), grid(VP(), 2))
