"""Denoiser -> denoiser: pull the belief towards a condition."""

from collections.abc import Callable
from dataclasses import replace
from typing import final

import torch
from torch import Tensor

from unnoise.core.broadcast import double
from unnoise.core.condition import Condition
from unnoise.core.distributions import Normal
from unnoise.core.errors import InputError
from unnoise.denoisers.base import GaussianDenoiser


@final
class ClassifierFree(GaussianDenoiser):
    """Classifier-free guidance: ``mean = unconditional + scale (conditional - unconditional)``.

    Arguments:
        inner: a denoiser trained with label dropout.
        scale: 1 is plain conditional, 0 unconditional (one network call each); tables that speak
            of a weight w mean scale = 1 + w.

    References:
        Ho and Salimans, Classifier-free diffusion guidance, 2022, eq. 6.
    """

    def __init__(self, inner: GaussianDenoiser, scale: float) -> None:
        super().__init__()
        self.inner = inner
        self.process = inner.process
        self.scale = scale

    def forward(self, x: Tensor, t: Tensor, cond: Condition | None = None) -> Normal:
        if self.scale == 1 or cond is None:
            return self.inner(x, t, cond)
        if self.scale == 0:
            return self.inner(x, t, cond.null())
        t = double(t)
        twice = torch.cat([t, t]) if t.ndim else t
        both = self.inner(torch.cat([x, x]), twice, cond.cat(cond.null()))
        given, without = both.mean.chunk(2)
        # The doubt is that of the conditional belief.
        var, lean = (
            c[: len(x)] if isinstance(c, Tensor) and c.ndim else c for c in (both.var, both.lean)
        )
        return replace(both, mean=without + self.scale * (given - without), var=var, lean=lean)


@final
class Guided(GaussianDenoiser):
    """Guidance by any differentiable log-probability: Bayes' rule at the level of the score.

    ``mean = mean + scale sigma^2 / alpha grad log p(y | x_t)``.

    Arguments:
        inner: the denoiser to guide.
        log_prob: ``log_prob(x, t)`` gives log p(y | x_t) of each row up to a constant, shape (B,),
            differentiable in x.
        scale: 1 is Bayes' rule, 0 leaves the belief alone.

    References:
        Song et al., Score-based generative modeling through SDEs, ICLR 2021, eq. 14; Dhariwal and
        Nichol, Diffusion models beat GANs on image synthesis, NeurIPS 2021, section 4.
    """

    def __init__(
        self,
        inner: GaussianDenoiser,
        log_prob: Callable[[Tensor, Tensor], Tensor],
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.inner = inner
        self.process = inner.process
        self.log_prob = log_prob
        self.scale = scale

    def forward(self, x: Tensor, t: Tensor, cond: Condition | None = None) -> Normal:
        alpha, sigma = self.process.scales(t, x)
        if not bool((alpha > 0).all()):
            raise InputError(
                "guidance divides by alpha, which is 0 at t = 1 under "
                f"{type(self.process).__name__}; start at t = {self.process.t_max:g}."
            )
        with torch.enable_grad():
            # Who differentiates the belief in x (likelihoods do) needs the guidance's part as well.
            probe = x if x.requires_grad else x.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(
                self.log_prob(probe, t).sum(), probe, create_graph=x.requires_grad
            )
        belief = self.inner(x, t, cond)
        return replace(belief, mean=belief.mean + self.scale * sigma**2 / alpha * gradient)
