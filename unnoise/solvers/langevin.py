"""Langevin dynamics, as correctors at a fixed noise level for predictor-corrector sampling."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from unnoise.catalogue.ranges import Draws, Positive
from unnoise.catalogue.registry import register
from unnoise.core.condition import Given
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.processes import GaussianProcess


class Corrector(ABC):
    """Corrector (MCMC): moves states at a fixed time t towards the law p_t.

    Attributes:
        calls: network calls of a correction.
        couples_batch: whether a row depends on the rows beside it.
    """

    family: ClassVar[str] = "corrector"
    calls: int = 1
    couples_batch: bool = False

    @abstractmethod
    def numbers(self, process: GaussianProcess, times: Tensor) -> Sequence[Any]:
        """Coefficients of the corrector at times[0] ... times[-2], before each next step."""

    @abstractmethod
    def correct(
        self, denoiser: Any, x: Tensor, t: Tensor, numbers: Any, *, cond: Given, noise: Noise
    ) -> Tensor:
        """Correct states at time ``t``, shape (B, *event); ``numbers`` are those of this time."""


def langevin(
    score: Callable[[Tensor], Tensor],
    x: Tensor,
    size: float,
    steps: int,
    noise: Noise | None = None,
) -> Iterator[Tensor]:
    """Unadjusted Langevin dynamics towards any density: ``x + size score(x) + sqrt(2 size) z``.

    Arguments:
        score: grad log p, from states (B, *event) to the same shape.
        x: states to start from.
        size: step size > 0; its bias vanishes with it.
        steps: number of steps.
        noise: one stream for each row; seed 0 and samples 0 ... B-1 when absent.

    Yields:
        The state after each step, a fresh tensor.

    Raises:
        InputError: size <= 0 or not a number.

    References:
        Parisi, Correlation functions and computer simulations, 1981; Song and Ermon, NeurIPS 2019,
        eq. 4, with size = epsilon / 2.
    """
    if not 0 < size < float("inf"):
        raise InputError(f"size = {size:g}: a Langevin step must be a number above 0.")
    noise = Noise(0, range(len(x))) if noise is None else noise
    for i in range(steps):
        x = x + size * score(x) + (2 * size) ** 0.5 * noise.child(i).normal(x)
        yield x


@register("corrector", "langevin")
@final
@dataclass(frozen=True)
class Langevin(Corrector):
    """Langevin corrector with step size ``2 (snr sigma)^2``, set by the noise level alone.

    sigma is the smallest scale that p_t has, so the step is as long as is safe on any data. With a
    predictor that only changes the level this is annealed Langevin dynamics.

    Arguments:
        snr: step size in units of the noise level, > 0.
        repeats: steps at each level.

    References:
        Song and Ermon, Generative modeling by estimating gradients of the data distribution,
        NeurIPS 2019, algorithm 1.
    """

    snr: Positive = 0.16
    repeats: Draws = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "calls", self.repeats)

    def numbers(self, process: GaussianProcess, times: Tensor) -> list[float]:
        return (2 * (self.snr * process.scales(times[:-1])[1]) ** 2).tolist()

    def correct(
        self, denoiser: Any, x: Tensor, t: Tensor, numbers: float, *, cond: Given, noise: Noise
    ) -> Tensor:
        walk = langevin(lambda x: denoiser.score(x, t, cond), x, numbers, self.repeats, noise)
        for state in walk:
            x = state
        return x


@register("corrector", "langevin-paper")
@final
@dataclass(frozen=True)
class LangevinPaper(Corrector):
    """Langevin corrector of score SDE, step size ``2 a^2 (snr |z| / |score|)^2``, batch-mean norms.

    The rule of the paper's algorithms 4 and 5, a^2 being 1 - beta_i of a VP chain and 1 for VE. It
    couples the samples of a batch; ``langevin`` does not and is as good.

    Arguments:
        snr: signal-to-noise ratio r, > 0.
        repeats: steps at each level.

    References:
        Song et al., Score-based generative modeling through SDEs, ICLR 2021, algorithms 4 and 5.
    """

    couples_batch = True

    snr: Positive = 0.16
    repeats: Draws = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "calls", self.repeats)

    def numbers(self, process: GaussianProcess, times: Tensor) -> list[float]:
        kept, _ = process.transition(times[1:], times[:-1])
        return (kept**2).tolist()

    def correct(
        self, denoiser: Any, x: Tensor, t: Tensor, numbers: float, *, cond: Given, noise: Noise
    ) -> Tensor:
        for i in range(self.repeats):
            score, z = denoiser.score(x, t, cond), noise.child(i).normal(x)
            ratio = z.flatten(1).norm(dim=1).mean() / score.flatten(1).norm(dim=1).mean()
            size = 2 * numbers * (self.snr * ratio) ** 2
            x = x + size * score + torch.sqrt(2 * size) * z
        return x
