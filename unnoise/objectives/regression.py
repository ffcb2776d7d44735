"""Weighted regression: denoising score matching in all its weightings."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from unnoise.catalogue.registry import register
from unnoise.core.condition import Given
from unnoise.core.noise import Noise
from unnoise.denoisers import GaussianDenoiser
from unnoise.objectives.base import Loss, Objective
from unnoise.objectives.times import Times, TimeUniform
from unnoise.objectives.weights import EpsWeight, Weight


@register("objective", "regression")
@final
@dataclass(frozen=True)
class Regression(Objective):
    """Denoising score matching (weighted regression): ``E_t E_eps w(t) |mean(x_t, t) - x_0|^2``.

    Averaged over the event's dimensions. Where times are importance-sampled, it is divided by their
    density. The minimiser is the exact denoiser, whatever the weight and the law of times.

    Arguments:
        times: the law of t.
        weight: w(t).

    References:
        Vincent, A connection between score matching and denoising autoencoders, 2011; Ho et al.,
        NeurIPS 2020, eq. 14; Song et al., ICLR 2021, eq. 7.
    """

    times: Times = TimeUniform()
    weight: Weight = EpsWeight()

    def __call__(self, denoiser: GaussianDenoiser, x0: Tensor, cond: Given, noise: Noise) -> Loss:
        process = denoiser.process
        t = self.times.sample(process, noise.child("time"))
        x = process.forward(x0, t).sample(noise.child("forward"))
        error = (denoiser(x, t, cond).mean - x0).float().square().flatten(1).mean(1)
        alpha, sigma = process.scales(t)
        weight = self.weight(process, t) * self.times.correction(process, t)
        value = weight.to(error) * error
        return Loss(value, {"log_snr": 2 * (alpha.log() - sigma.log()), "loss": value.detach()})
