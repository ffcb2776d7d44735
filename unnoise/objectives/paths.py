"""Score matching on simulated paths, for SDEs without closed-form marginals."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from unnoise.catalogue.ranges import Draws, Steps
from unnoise.core.condition import Given
from unnoise.core.noise import Noise
from unnoise.denoisers import ScoreModel
from unnoise.objectives.base import Loss, Objective
from unnoise.objectives.matching import reduced_sliced_score_matching, signs
from unnoise.processes import simulate


@final
@dataclass(frozen=True)
class PathScoreMatching(Objective):
    """Sliced score matching on simulated paths of any SDE, at uniform times.

    ``E_t t (2 v . (d score / dx) v + |score|^2)``, per dimension. The process need only be
    simulated. Where the law of x_t is known the other objectives have less variance and no bias of
    the steps; no recipe can name an SDE of functions, so none can name this. A score grows about
    like 1 / sqrt(t) towards the data, which the weight t evens out.

    Arguments:
        steps: Euler-Maruyama steps of each path.
        projections: directions a sample, random signs; each costs a backward pass.

    References:
        Song et al., Sliced score matching, UAI 2019, eq. 8; Song et al., Score-based generative
        modeling through SDEs, ICLR 2021, section 3.3.
    """

    steps: Steps = 30
    projections: Draws = 1

    def __call__(self, denoiser: ScoreModel, x0: Tensor, cond: Given, noise: Noise) -> Loss:
        process = denoiser.process
        u = noise.child("time").uniform(torch.empty(len(noise), dtype=torch.float64))
        t = process.t_min + (1 - process.t_min) * u.to(x0.device)
        with torch.no_grad():
            shares = torch.linspace(0, 1, self.steps + 1, dtype=torch.float64, device=t.device)
            x = simulate(process, x0, shares[:, None] * t, noise.child("path"))
        along = signs(x, self.projections, noise.child("way"))
        found = reduced_sliced_score_matching(lambda y: denoiser.score(y, t, cond), x, along)
        value = (2 / x0[0].numel() * t).to(found) * found
        return Loss(value, {"loss": value.detach()})
