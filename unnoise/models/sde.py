"""Score-based model of a general SDE, known by its drift and diffusion alone."""

from typing import Any, final

import torch
from torch import Tensor

from unnoise.catalogue.ranges import MOST, whole
from unnoise.catalogue.registry import member
from unnoise.core.condition import Condition
from unnoise.core.noise import Noise
from unnoise.data import DataInfo
from unnoise.denoisers import NetworkScore
from unnoise.likelihood import Likelihood, log_prob
from unnoise.likelihood.given import check_data
from unnoise.models.base import Generative, Phase
from unnoise.models.conditions import Asked, Conditions
from unnoise.models.sampling import Sampling
from unnoise.networks import Network
from unnoise.objectives import Loss, Objective, PathScoreMatching
from unnoise.processes import SDE
from unnoise.solvers import EulerMaruyama, Solver, grid, integrate
from unnoise.solvers.grids import UniformGrid
from unnoise.system.modes import evaluating, usable


@final
class ScoreDiffusion(Generative):
    """Score-based model of any SDE, trained on simulated paths; for research from Python.

    An SDE is made of functions, which no file holds: keep the weights by ``state_dict``, and train
    by ``fit`` without a folder.

    Arguments:
        network: e.g. ``MLP(shape=(2,))``.
        process: any SDE, such as an ItoSDE.
        objective: what the score is taught.
    """

    def __init__(
        self, network: Network, process: SDE, objective: Objective = PathScoreMatching()
    ) -> None:
        super().__init__()
        self.score_model = NetworkScore(network, process)
        self.objective = objective
        self.sampling = Sampling(solver=EulerMaruyama(), steps=200, grid=UniformGrid())
        self.info: DataInfo | None = None
        self.recipe: dict[str, Any] = {}

    @property
    def shape(self) -> tuple[int, ...]:
        return self.score_model.network.shape

    @property
    def classes(self) -> int | None:
        return self.score_model.network.classes

    def phases(self) -> list[Phase]:
        return [Phase("score", self.score_model, self.loss)]

    def loss(self, x0: Tensor, cond: Condition | None, noise: Noise) -> Loss:
        """The objective's loss on modelled values ``x0``, shape (B, *event)."""
        return self.objective(self.score_model, x0, cond, noise)

    def sample(
        self,
        n: int,
        cond: Condition | None = None,
        *,
        seed: int = 0,
        label: Asked = None,
        solver: Solver | str | None = None,
        steps: int | None = None,
    ) -> Tensor:
        """``n`` samples, shape (n, *event), by a solver that needs no more than an SDE.

        Arguments:
            n: how many.
            cond, label: conditions; without them classes by the data's frequencies.
            seed: any integer.
            solver, steps: of the walk back; None takes the model's own.
        """
        n = whole(n, "n", 1, MOST, " of samples")
        how = self.sampling
        network = self.score_model.network
        cond = Conditions(network, n, cond, label, 0, seed, self.labels)[torch.arange(n)]
        device = next(self.parameters()).device
        with evaluating(self, device.type, None):
            noise, process = Noise(seed, range(n)), self.score_model.process
            used: Solver = member(Solver, how.solver if solver is None else solver)
            times = grid(process, how.steps if steps is None else steps, how.grid)
            x = process.prior((n, *self.shape)).sample(noise.child("start")).to(device)
            some = None if cond is None else cond.to(device)
            return integrate(used, self.score_model, x, times, some, noise.child("walk"))

    def likelihood(
        self, x: Tensor, cond: Condition | None = None, *, seed: int = 0, **how: Any
    ) -> Likelihood:
        """Log-density by the probability-flow ODE; ``how`` as in ``unnoise.log_prob``."""
        check_data(x, "the data", self.shape)
        device = next(self.parameters()).device
        with evaluating(self, device.type, None):
            x = usable(x).to(device)
            return log_prob(self.score_model, x, cond, noise=Noise(seed, range(len(x))), **how)
