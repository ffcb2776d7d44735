"""View of diagnostics: what a model and its process get wrong, in four panels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from unnoise.catalogue.ranges import Examples
from unnoise.catalogue.registry import register
from unnoise.core.noise import Noise
from unnoise.data import Dataset
from unnoise.denoisers import Mixture
from unnoise.evaluation import kernel_gaussianity, loss_by_level, prior_mismatch, round_trip
from unnoise.models import OdeModel
from unnoise.plots import Curves, Line, panels
from unnoise.processes import GaussianProcess
from unnoise.solvers import Euler, Heun, Solver
from unnoise.views.base import Drawn, View, first_axis, law_of
from unnoise.views.fields import levels_of

BETAS = (1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 0.6)
STEPS = (4, 8, 16, 32, 64)


@register("view", "diagnostics")
@final
@dataclass(frozen=True)
class Diagnostics(View):
    """Diagnostics: loss by noise level, Gaussianity of steps, round trip, prior mismatch.

    Arguments:
        count: examples for the losses.
        coded: examples that are encoded and decoded.
        seed: of their noise.
    """

    count: Examples = 500
    coded: Examples = 32
    seed: int = 0

    def draw(self, model: OdeModel, data: Dataset) -> Drawn:
        process, count = model.process, min(self.count, len(data))
        batch = data.batch(torch.arange(count), Noise(self.seed, range(count)).child("level"))
        cond = batch.cond if model.classes else None
        levels = levels_of(process)
        noise = Noise(self.seed, range(count)).child("z")
        with model.still(None):
            learned = loss_by_level(model.denoiser, batch.x, cond, log_snr=levels, noise=noise)
        curves = [Line("learned", levels, learned.loss.tolist(), learned.standard_error.tolist())]
        if data.law is not None:
            law = law_of(data, process)
            known = loss_by_level(law, batch.x.double(), cond, log_snr=levels, noise=noise)
            curves.append(Line("the best there is", levels, known.loss.tolist(), dashed=True))
        low, high = prior_mismatch(process, data.info.moments())
        log_density, span = line_density(data, process)
        kernels = kernel_gaussianity(log_density, BETAS, span)
        few = min(self.coded, count)
        some = None if cond is None else cond[:few]
        trips: list[Line] = []
        solvers: tuple[tuple[str, Solver], ...] = (("Euler", Euler()), ("Heun", Heun()))
        for name, solver in solvers:
            errors = [
                round_trip(model, batch.x[:few], some, solver=solver, steps=steps)
                for steps in STEPS
            ]
            trips.append(Line(name, STEPS, errors))
        adaptive = round_trip(model, batch.x[:few], some)
        trips.append(Line("Dormand-Prince", STEPS, [adaptive] * len(STEPS), dashed=True))
        losses = Curves(
            curves, "loss of predicted noise", "log signal-to-noise ratio (noise, data)"
        )
        steps_back = Curves(
            [Line("", BETAS, [max(k, 1e-12) for k in kernels])],
            "a step back is not normal: KL in nats",
            "beta, variance of the step",
            log_x=True,
            log_y=True,
        )
        coded = Curves(trips, "data, encoded and decoded: error", "steps", log_x=True, log_y=True)
        worst = max(range(len(levels)), key=lambda i: float(learned.loss[i]))
        lines = [
            f"prior: KL(p_1 || prior) is {low:.2g} to {high:.2g} nats",
            f"loss of predicted noise: {float(learned.loss.mean()):.4f} in the mean, "
            f"{float(learned.loss[worst]):.4f} at log SNR {levels[worst]:.1f}",
            f"a step back is off the normal law by {kernels[0]:.1g} nats at beta "
            f"{BETAS[0]:g}, by {kernels[-1]:.1g} at {BETAS[-1]:g} (along one axis of the data)",
            f"encoded and decoded: off by {adaptive:.1g} (Dormand-Prince), "
            f"{trips[1].y[-1]:.1g} (Heun, {STEPS[-1]} steps)",
        ]
        return Drawn(panels([[losses, steps_back, coded]], side=360), lines)


def line_density(
    data: Dataset, process: GaussianProcess
) -> tuple[Callable[[Tensor], Tensor], tuple[float, float]]:
    """The data's law along one axis: its first coordinate where the law is known, else a smoothed
    sample along the first principal axis; and the ends of the line that holds it."""
    if data.law is not None:
        law = first_axis(law_of(data, process))
    else:
        x = data.batch(torch.arange(min(len(data), 1000))).x.double()
        along = data.info.moments().turn(x)[:, -1:]
        width = 0.9 * float(along.std()) * len(x) ** -0.2  # Silverman's rule
        law = Mixture(process, along, width**2)
    spread = float(law.variances.max()) ** 0.5
    span = float(law.means.min()) - 6 * spread, float(law.means.max()) + 6 * spread
    return lambda x: law.log_prob(x[:, None], 0.0), span
