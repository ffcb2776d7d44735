"""UniPC (Zhao et al. 2023), the unified predictor-corrector."""

from dataclasses import dataclass
from typing import Annotated, final

import torch
from annotated_types import Interval
from torch import Tensor

from unnoise.catalogue.registry import register
from unnoise.processes import GaussianProcess
from unnoise.solvers.multistep import (
    Combination,
    Multistep,
    clean_weights,
    newest,
)
from unnoise.spaces.moments import Moments

ToThree = Annotated[int, Interval(ge=1, le=3)]


@register("solver", "unipc")
@final
@dataclass(frozen=True)
class UniPC(Multistep):
    """UniPC (unified predictor-corrector): DPM-Solver++ with a corrector, at no extra network call.

    The predictor UniP interpolates x0_hat through the newest ``depth`` predictions; when the next
    one is known, the corrector UniC does the step again with it among them, which gains an order.
    B(h) is the authors' second choice, e^h - 1, which only matters where the interpolant is
    straight.

    Arguments:
        depth: predictions that a step looks at, 1 to 3; the order is depth + 1.

    References:
        Zhao et al., UniPC: a unified predictor-corrector framework for fast sampling of diffusion
        models, NeurIPS 2023, algorithms 5-8.
    """

    depth: ToThree = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", self.depth + 1)

    def numbers(
        self, process: GaussianProcess, times: Tensor, data: Moments | None
    ) -> list[Combination]:
        alpha, sigma = process.scales(times)
        place = process.log_snr(times) / 2
        keep = (sigma[1:] / sigma[:-1]).tolist()
        count = range(len(keep))
        ahead = clean_weights(place, [newest(i, self.depth) for i in count], 1.0, alpha[1:])
        made_again = [[i + 1, *newest(i, self.depth)] for i in count[:-1]]
        again = clean_weights(place, [*made_again, []], 1.0, alpha[1:])
        rows: list[Combination] = []
        for i in count:
            # A step from pure noise has nothing between its ends to be made better by.
            known = i and bool(torch.isfinite(place[i - 1]))
            before = (keep[i - 1], again[i - 1]) if known else None
            rows.append(Combination((0.0, 1.0), keep[i], ahead[i], again=before))
        return rows
