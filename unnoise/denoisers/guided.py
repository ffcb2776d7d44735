"""Guidance as denoiser wrappers: classifier-free, autoguidance, classifier guidance."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import final

import torch
from torch import Tensor

from unnoise.catalogue.registry import member
from unnoise.core.broadcast import double
from unnoise.core.condition import Given
from unnoise.core.distributions import Normal
from unnoise.core.errors import InputError
from unnoise.denoisers.base import GaussianDenoiser, Tilt, Tilted
from unnoise.denoisers.guidance import Guidance

LogProb = Callable[[Tensor, Tensor, Given], Tensor]


@final
class ClassifierFree(GaussianDenoiser):
    """Classifier-free guidance: ``mean = unconditional + scale (conditional - unconditional)``.

    Arguments:
        inner: a denoiser trained with label dropout.
        guidance: a scale, or a Guidance; at scales 1 and 0 it costs one network call, else one of
            twice the rows.
        slots: of the condition that it compares with their absence; a network's ``guided``. None
            means label and tokens.

    References:
        Ho and Salimans, Classifier-free diffusion guidance, 2022, eq. 6.
    """

    def __init__(
        self,
        inner: GaussianDenoiser,
        guidance: Guidance | float,
        slots: Iterable[str] | None = None,
    ) -> None:
        super().__init__()
        self.inner = inner
        self.slots = None if slots is None else frozenset(slots)
        self.process = inner.process
        self.guidance: Guidance = member(Guidance, guidance)

    def forward(self, x: Tensor, t: Tensor, cond: Given = None) -> Normal:
        if cond is None:
            return self.inner(x, t, cond)
        scale = self.guidance.scale_of(self.process, t)
        if bool((scale == 1).all()):
            return self.inner(x, t, cond)
        if bool((scale == 0).all()):
            return self.inner(x, t, cond.null(self.slots))
        t = double(t)
        twice = torch.cat([t, t]) if t.ndim else t
        both = self.inner(torch.cat([x, x]), twice, cond.cat(cond.null(self.slots)))
        given, without = both[: len(x)], both.mean[len(x) :]
        # The doubt is that of the conditional belief.
        return replace(given, mean=self.guidance.mean(without, given.mean - without, scale))


@final
class Autoguided(GaussianDenoiser):
    """Autoguidance, by a weaker model: ``mean = weaker + scale (inner - weaker)``.

    Arguments:
        inner: the denoiser to guide.
        weaker: one that makes the same mistakes, only more of them: smaller, or trained for less
            long, on the same data and under the same process. Both hear the condition.
        guidance: a scale, or a Guidance; 1 is ``inner`` alone, 0 ``weaker`` alone.

    References:
        Karras et al., Guiding a diffusion model with a bad version of itself, NeurIPS 2024, eq. 3.
    """

    def __init__(
        self, inner: GaussianDenoiser, weaker: GaussianDenoiser, guidance: Guidance | float
    ) -> None:
        super().__init__()
        self.inner, self.weaker = inner, weaker
        self.process = inner.process
        self.guidance: Guidance = member(Guidance, guidance)

    def forward(self, x: Tensor, t: Tensor, cond: Given = None) -> Normal:
        scale = self.guidance.scale_of(self.process, t)
        if bool((scale == 1).all()):
            return self.inner(x, t, cond)
        # What one network has prepared of a condition is nothing to another.
        anew = None if cond is None else replace(cond, prepared=None)
        if bool((scale == 0).all()):
            return self.weaker(x, t, anew)
        given, without = self.inner(x, t, cond), self.weaker(x, t, anew).mean
        return replace(given, mean=self.guidance.mean(without, given.mean - without, scale))


@final
class Guided(Tilted):
    """Classifier guidance, by any differentiable log p(y | x_t): Bayes' rule for the score.

    ``mean = mean + scale sigma^2 / alpha grad log p(y | x_t)``.

    Arguments:
        inner: the denoiser to guide.
        log_prob: ``log_prob(x, t, cond)`` gives log p(y | x_t) of each row up to a constant, shape
            (B,), differentiable in x.
        guidance: a scale, or a Guidance; 1 is Bayes' rule, 0 leaves the belief alone.

    References:
        Song et al., Score-based generative modeling through SDEs, ICLR 2021, eq. 14; Dhariwal and
        Nichol, Diffusion models beat GANs on image synthesis, NeurIPS 2021, section 4.
    """

    def __init__(
        self, inner: GaussianDenoiser, log_prob: LogProb, guidance: Guidance | float = 1.0
    ) -> None:
        super().__init__()
        self.inner = inner
        self.process = inner.process
        self.log_prob = log_prob
        self.guidance: Guidance = member(Guidance, guidance)

    def tilt(self, x: Tensor, t: Tensor, cond: Given = None) -> Tilt:
        alpha, sigma = self.process.scales(t, x)
        if not bool((alpha > 0).all()):
            raise InputError(
                "guidance divides by alpha, which is 0 at t = 1 under "
                f"{type(self.process).__name__}; start at t = {self.process.t_max:g}."
            )
        belief = self.inner(x, t, cond)
        scale = self.guidance.scale_of(self.process, t)
        if bool((scale == 0).all()):
            return Tilt(belief, belief, x.new_zeros(len(x)))
        with torch.enable_grad():
            # Who differentiates the belief in x (likelihoods do) needs the guidance's part as well.
            probe = x if x.requires_grad else x.detach().requires_grad_()
            found = self.log_prob(probe, t, cond)
            if found.shape != x.shape[:1] or not found.requires_grad:
                raise InputError(
                    f"the guide's log-probability has shape {tuple(found.shape)}"
                    f"{'' if found.requires_grad else ' and no gradient'}; it must give one number "
                    f"a row, ({len(x)},), by differentiable operations on x."
                )
            (gradient,) = torch.autograd.grad(found.sum(), probe, create_graph=x.requires_grad)
        pull = sigma**2 / alpha * gradient
        tilted = replace(belief, mean=self.guidance.mean(belief.mean, pull, scale))
        return Tilt(belief, tilted, scale.to(found) * found.detach())
