"""Views of the score field over the plane: learned scores, their errors, Langevin samples."""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from unnoise.catalogue.ranges import Examples, Few, Positive, Several, Steps
from unnoise.catalogue.registry import register
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.data import Dataset
from unnoise.denoisers import GaussianDenoiser, Mixture
from unnoise.evaluation import loss_by_level, score_error
from unnoise.models import OdeModel, load, needs
from unnoise.plots import Curves, Line, Plane, lattice, panels
from unnoise.processes import GaussianProcess
from unnoise.solvers import langevin
from unnoise.system.progress import counting
from unnoise.views.base import (
    Drawn,
    Unconditional,
    View,
    View4,
    density,
    law_of,
    needs_plane,
    view_of,
)


@register("view", "score")
@final
@dataclass(frozen=True)
class ScoreField(View):
    """Score field: arrows over the density at several noise levels, with Langevin paths.

    Arguments:
        levels: panels, noise from the data's own size down to a thirtieth of it.
        paths: Langevin paths in each panel.
        steps: of each path.
        seed: of the paths.
    """

    levels: Several = 4
    paths: Few = 5
    steps: Steps = 100
    seed: int = 0

    def draw(self, model: OdeModel, data: Dataset) -> Drawn:
        needs_plane(data, "score")
        view, law, belief = view_of(data), law_of(data, model.process), Unconditional(model)
        row: list[Plane] = []
        for sigma in ratios(model.process, self.levels, 1.0, 1 / 30):
            t = time_of(model.process, sigma)
            walk = walks(belief, t, view, self.paths, self.steps, self.seed)
            row.append(
                Plane(
                    view=view,
                    title=f"noise {sigma:.2g}",
                    heat=density(law, t, view, alpha_of(model.process, t)),
                    arrows=arrows(belief, t, view),
                    paths=walk if self.paths else None,
                )
            )
        return Drawn(panels([row]), [])


@register("view", "errors")
@final
@dataclass(frozen=True)
class ScoreErrors(View):
    """Score error over the plane, for data whose law is known; loss by level.

    The maps show log10 of ``sigma |score - true score|``, an error in units of the noise.

    Arguments:
        levels: maps, noise from the data's own size down to a thirtieth of it.
        count: data points that the losses are averaged over.
        seed: of their noise.
    """

    levels: Several = 3
    count: Examples = 2000
    seed: int = 0

    def draw(self, model: OdeModel, data: Dataset) -> Drawn:
        needs_plane(data, "errors")
        process, view = model.process, view_of(data)
        law, belief = law_of(data, process, exact=True), Unconditional(model)
        row: list[Plane | Curves] = []
        lines: list[str] = []
        for sigma in ratios(process, self.levels, 1.0, 1 / 30):
            t = time_of(process, sigma)
            heat = error_map(belief, law, t, view)
            noise = Noise(self.seed, range(self.count))
            drawn = process.forward(law.draw(noise)[0], t).sample(noise.child("forward"))
            there = score_error(belief, law, drawn.float(), t) * float(process.scales(t)[1])
            lines.append(
                f"noise {sigma:.2g}: sigma |score - true score| is {float(there.mean()):.3f} where "
                f"the data is, {float(10 ** heat.mean()):.3f} over the plane (geometric mean)"
            )
            row.append(Plane(view, f"noise {sigma:.2g}: log10 of the error", heat, "error"))
        row.append(losses(belief, law, process, self.count, self.seed))
        return Drawn(panels([row], side=330), lines)


@register("view", "naive")
@final
@dataclass(frozen=True)
class Naive(View):
    """Naive score matching at one noise level, beside score matching at all of them.

    Above the model whose picture this is, below the naive one: learned scores at the naive one's
    level, the error there, and samples: annealed from noise, and by Langevin dynamics at
    that level alone, which never crosses a valley without data.

    Arguments:
        against: run or file of the naive model.
        level: noise level that it was trained at, in units of the data.
        steps: Langevin steps.
        count: samples.
        seed: of the samples.
    """

    against: str
    level: Positive = 0.02
    steps: Steps = 3000
    count: Examples = 1000
    seed: int = 0

    def draw(self, model: OdeModel, data: Dataset) -> Drawn:
        needs_plane(data, "naive")
        other = load(self.against)
        if needs(other, OdeModel).shape != (2,):
            raise InputError(f"against = {self.against!r}: give a run trained on the same data.")
        view = view_of(data)
        noise = Noise(self.seed, range(self.count))
        good = model.sample(self.count, seed=self.seed)
        start = (noise.child("start").uniform(torch.empty(self.count, 2)) - 0.5) * 2 * view[1]
        poor = settled(other, time_of(other.process, self.level), start, self.steps, noise)
        rows: list[list[Plane]] = []
        lines: list[str] = []
        for name, one, x in (("all levels", model, good), ("one level", other, poor)):
            process = one.process
            law, t = law_of(data, process, exact=True), time_of(process, self.level)
            heat, belief = density(law, t, view, alpha_of(process, t)), Unconditional(one)
            shares = shares_of(law, x)
            told = " / ".join(f"{share:.2f}" for share in shares)
            rows.append(
                [
                    Plane(
                        view,
                        f"{name}: score",
                        heat,
                        arrows=arrows(belief, t, view),
                    ),
                    Plane(view, "log10 of its error", error_map(belief, law, t, view), "error"),
                    Plane(view, f"its samples: {told}", density(law, 0.0, view), points=x),
                ]
            )
            lines.append(f"{name}: shares of the clouds {told}")
        truth = law_of(data, model.process).log_weights.exp()
        lines.append("the data: " + " / ".join(f"{float(w):.2f}" for w in truth))
        return Drawn(panels(rows), lines)


def ratios(process: GaussianProcess, count: int, high: float, low: float) -> list[float]:
    """Noise levels sigma / alpha from high to low, inside what the process has."""
    ends = process.angle(torch.tensor([process.t_min, process.t_max], dtype=torch.float64)).tan()
    high, low = min(high, float(ends[1])), max(low, float(ends[0]))
    return torch.logspace(math.log10(high), math.log10(low), count).tolist()


def time_of(process: GaussianProcess, sigma: float) -> Tensor:
    """Where sigma / alpha is so much."""
    return process.time(torch.atan(torch.tensor(sigma, dtype=torch.float64)))


def alpha_of(process: GaussianProcess, t: Tensor) -> float:
    return float(process.scales(t)[0])


def arrows(
    belief: GaussianDenoiser, t: Tensor, view: View4, count: int = 17
) -> tuple[Tensor, Tensor]:
    """The score on a lattice, in data units; long arrows shortened, log(1 + length)."""
    at, alpha = lattice(view, count, count).float(), alpha_of(belief.process, t)
    with torch.no_grad():
        score = belief.score(alpha * at, t).double() * alpha
    length = score.norm(dim=1, keepdim=True).clamp(min=1e-12)
    shown = torch.log1p(length)
    room = (view[1] - view[0]) / count
    return at.double(), score / length * shown / shown.max() * room


def error_map(belief: GaussianDenoiser, law: Mixture, t: Tensor, view: View4) -> Tensor:
    """log10 of sigma |score - true score| over a view, shape (100, 100)."""
    at = lattice(view, 100, 100)
    alpha, sigma = (float(c) for c in belief.process.scales(t))
    found = torch.cat(
        [score_error(belief, law, (alpha * part).float(), t) for part in at.split(2000)]
    )
    return (sigma * found.double()).clamp(min=1e-4).log10().reshape(100, 100)


def walks(
    belief: GaussianDenoiser, t: Tensor, view: View4, count: int, steps: int, seed: int
) -> Tensor:
    """Langevin paths at one noise level, in data units, shape (steps + 1, count, 2)."""
    noise = Noise(seed, range(max(count, 1)))
    start = (noise.child("start").uniform(torch.empty(len(noise), 2)) - 0.5) * 1.8 * view[1]
    return _langevin(belief, t, start, steps, noise)


def settled(model: OdeModel, t: Tensor, start: Tensor, steps: int, noise: Noise) -> Tensor:
    """Where Langevin dynamics at one noise level ends, in data units, shape (B, 2)."""
    return _langevin(Unconditional(model), t, start, steps, noise)[-1]


def _langevin(
    belief: GaussianDenoiser, t: Tensor, start: Tensor, steps: int, noise: Noise
) -> Tensor:
    alpha, sigma = (float(c) for c in belief.process.scales(t))
    found = [start]
    with torch.no_grad():
        walk = langevin(
            lambda x: belief.score(x, t),
            alpha * start,
            2 * (0.16 * sigma) ** 2,
            steps,
            noise.child("walk"),
        )
        with counting("Langevin dynamics", steps, "steps") as count:
            for x in walk:
                found.append(x / alpha)
                count()
    return torch.stack(found)


def losses(
    belief: GaussianDenoiser, law: Mixture, process: GaussianProcess, count: int, seed: int
) -> Curves:
    """Noise-prediction loss by level, of what was learned and of the truth."""
    noise = Noise(seed, range(count))
    x0 = law.draw(noise.child("data"))[0]
    levels = levels_of(process)
    learned = loss_by_level(belief, x0.float(), log_snr=levels, noise=noise.child("z"))
    known = loss_by_level(law, x0, log_snr=levels, noise=noise.child("z"))
    return Curves(
        [
            Line("learned", levels, learned.loss.tolist(), learned.standard_error.tolist()),
            Line("the best there is", levels, known.loss.tolist(), dashed=True),
        ],
        "loss of predicted noise",
        "log signal-to-noise ratio (noise, data)",
    )


def levels_of(process: GaussianProcess, count: int = 12) -> list[float]:
    """log SNR of even levels between the process's ends, from noise to data, within +-10."""
    ends = torch.tensor([process.t_max, process.t_min], dtype=torch.float64)
    low, high = process.log_snr(ends).clamp(-10, 10).tolist()
    return torch.linspace(low, high, count, dtype=torch.float64).tolist()


def shares_of(law: Mixture, x: Tensor) -> list[float]:
    """Share of points that lie nearest to each of the law's clouds."""
    nearest = torch.cdist(x.double(), law.means).argmin(1)
    return (torch.bincount(nearest, minlength=len(law.means)) / len(x)).tolist()
