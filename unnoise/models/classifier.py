"""Noise-aware classifiers p(y | x_t), for classifier guidance."""

from typing import Any, final

import torch
from torch import Tensor

from unnoise.catalogue.ranges import Positive
from unnoise.catalogue.registry import member, register
from unnoise.core.broadcast import double, match
from unnoise.core.condition import Condition
from unnoise.core.errors import InputError, either
from unnoise.core.noise import Noise
from unnoise.data import DataInfo
from unnoise.denoisers import LogProb
from unnoise.denoisers.heads import clock
from unnoise.models.base import Model, Phase
from unnoise.models.guides import Guide, by_classifier
from unnoise.networks import ClassifierNetwork
from unnoise.objectives import Loss, Times, TimeUniform
from unnoise.processes import VP, GaussianProcess


@register("model", "classifier")
@final
class Classifier(Model):
    """Classifier of noisy events, p(y | x_t) at every noise level, for classifier guidance.

    ``p(y | x_t) = softmax network(x_t / sqrt(alpha^2 data_std^2 + sigma^2), log SNR)``, learned by
    cross-entropy. All Gaussian processes are one circle, so it answers under any of them whose
    noise levels it has practised (``under``).

    Arguments:
        network: e.g. ``HalfUNet(shape=(1, 8, 8), classes=10)``.
        process: how data becomes noise.
        times: the law of t in training.
        data_std: standard deviation of the modelled data.

    Raises:
        InputError: the process is no schedule.

    References:
        Dhariwal and Nichol, Diffusion models beat GANs on image synthesis, NeurIPS 2021,
        section 4; Song et al., ICLR 2021, appendix I.
    """

    def __init__(
        self,
        network: ClassifierNetwork,
        process: GaussianProcess | str = VP(),
        times: Times | str = TimeUniform(),
        data_std: Positive = 0.5,
    ) -> None:
        super().__init__()
        self.network: ClassifierNetwork = member(ClassifierNetwork, network)
        self.process: GaussianProcess = member(GaussianProcess, process)
        self.process.check()
        self.times: Times = member(Times, times)
        self.data_std = data_std
        self.info: DataInfo | None = None
        self.recipe: dict[str, Any] = {}

    @property
    def shape(self) -> tuple[int, ...]:
        return self.network.shape

    @property
    def classes(self) -> int:
        return self.network.classes

    def why_not(self, ability: type) -> str:
        """Why it has not an ability."""
        return "draws nothing. It can guide a run that does, by " + either("guide=", "--guide")

    def as_guide(self) -> Guide:
        """Guidance by p(y | x_t)."""
        return by_classifier(self.eval())

    def phases(self) -> list[Phase]:
        return [Phase("classifier", self.network, self.loss)]

    def loss(self, x0: Tensor, cond: Condition | None, noise: Noise) -> Loss:
        """``-log p(y | x_t)`` of modelled values ``x0``, shape (B, *event); hidden labels count 0.

        Raises:
            InputError: there are no labels, or one that it does not know.
        """
        t = self.times.sample(self.process, noise.child("time"))
        x = self.process.forward(x0, t).sample(noise.child("forward"))
        found = self.log_probs(x, t)
        kept, label = self._asked(cond)
        value = -found.gather(1, label[:, None])[:, 0] * kept
        value = value * self.times.correction(self.process, t).to(value)
        alpha, sigma = self.process.scales(t)
        return Loss(value, {"log_snr": 2 * (alpha.log() - sigma.log()), "loss": value.detach()})

    def log_probs(self, x: Tensor, t: Tensor | float) -> Tensor:
        """log p(y | x_t) of every class, shape (B, classes), float32.

        Arguments:
            x: states at time t, shape (B, *event).
            t: times in (0, 1] of its own process, shape () or (B,).
        """
        return self._read(x, self.process, double(t))

    def log_prob(self, x: Tensor, t: Tensor, cond: Condition | None) -> Tensor:
        """log p(label | x_t) in nats, shape (B,), under its own process; 0 for hidden labels."""
        return self.under(self.process)(x, t, cond)

    def under(self, process: GaussianProcess) -> LogProb:
        """``log_prob`` for states of another Gaussian process, as ``Guided`` takes it.

        Arguments:
            process: whose states it will be asked about.

        Raises:
            InputError: that process knows noise levels which this classifier never practised.
        """
        ours, theirs = (
            [float(p.angle(torch.tensor(t, dtype=torch.float64)).tan()) for t in (p.t_min, p.t_max)]
            for p in (self.process, process)
        )
        if theirs[0] < ours[0] * 0.999 or theirs[1] > ours[1] * 1.001:
            raise InputError(
                f"this classifier has practised noise levels {ours[0]:.3g} to {ours[1]:.3g}; the "
                f"model walks from {theirs[1]:.3g} to {theirs[0]:.3g}. Train it under the model's "
                "own process."
            )

        def log_prob(x: Tensor, t: Tensor, cond: Condition | None) -> Tensor:
            kept, label = self._asked(cond)
            found = self._read(x, process, double(t))
            return found.gather(1, label[:, None].to(x.device))[:, 0] * kept.to(x.device)

        return log_prob

    def _read(self, x: Tensor, process: GaussianProcess, t: Tensor) -> Tensor:
        alpha, sigma = process.scales(t)
        into = match((alpha**2 * self.data_std**2 + sigma**2).rsqrt(), x).to(x)
        seen = clock(alpha, sigma).to(x.device).float().expand(len(x))
        weight = next(self.network.parameters())
        return self.network((into * x).to(weight.dtype), seen).float().log_softmax(1)

    def _asked(self, cond: Condition | None) -> tuple[Tensor, Tensor]:
        """Which labels are shown, and the labels."""
        if cond is None or cond.label is None:
            raise InputError("a classifier needs labels; give Condition(label=...).")
        bad = cond.label[(cond.label < 0) | (cond.label >= self.classes)]
        if len(bad):
            known = f"this classifier knows labels 0 to {self.classes - 1}"
            raise InputError(f"label {int(bad[0])}: {known}.")
        return cond.kept(), cond.label
