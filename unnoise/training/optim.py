"""Optimisers, AdamW (over torch's fused kernel) and SGD, and schedules of their learning rate.

``torch.optim.AdamW(...)`` imports torch._dynamo, which costs a second; the kernel beneath it does
not. Where a torch release lacks the kernel the same formula is computed step by step; a test holds
both equal to torch.optim.
"""

# The kernels have no public names.
# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, final

import torch
from torch import Tensor, nn

from unnoise.catalogue.ranges import Fraction, Positive, Share
from unnoise.catalogue.registry import register
from unnoise.core.errors import InputError
from unnoise.training.shares import local, put

BETAS = (0.9, 0.99)  # of [training] where nobody says others

Memory = dict[str, list[Tensor]]  # by name, a tensor for each parameter


class Step(NamedTuple):
    """The numbers of an optimiser step.

    Arguments:
        lr: learning rate.
        betas: averaging of the gradient and of its square.
        weight_decay: share of ``lr`` times the weight that is taken off.
        divisor: of the gradients, which unscales and clips them.
    """

    lr: float
    betas: tuple[float, float]
    weight_decay: float
    divisor: float


class Optimiser(ABC):
    """Optimiser of a training, as the [training] table names it."""

    family: ClassVar[str] = "optimiser"

    @abstractmethod
    def begin(self, weights: list[Tensor], betas: tuple[float, float]) -> Memory:
        """What is remembered of the gradients of weights, before the first step.

        Raises:
            InputError: it has no use for betas that somebody set.
        """

    @abstractmethod
    def step(self, how: Step, weights: list[Tensor], grads: list[Tensor], memory: Memory) -> None:
        """Change weights that have a gradient, and what is remembered of it, in place."""


@register("optimiser", "adamw")
@final
@dataclass(frozen=True)
class AdamW(Optimiser):
    """Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019); the default.

    Arguments:
        epsilon: added to the root of the averaged square.
    """

    epsilon: Positive = 1e-8

    def begin(self, weights: list[Tensor], betas: tuple[float, float]) -> Memory:
        return {
            "first": [torch.zeros_like(w) for w in weights],
            "second": [torch.zeros_like(w) for w in weights],
            # The kernel counts steps in a tensor a parameter.
            "count": [torch.zeros((), device=w.device) for w in weights],
        }

    def step(self, how: Step, weights: list[Tensor], grads: list[Tensor], memory: Memory) -> None:
        first, second, counts = memory["first"], memory["second"], memory["count"]
        lr, (beta1, beta2), decay, divisor = how
        torch._foreach_add_(counts, 1)
        if hasattr(torch, "_fused_adamw_"):
            torch._fused_adamw_(
                weights,
                grads,
                first,
                second,
                [],
                counts,
                lr=lr,
                beta1=beta1,
                beta2=beta2,
                weight_decay=decay,
                eps=self.epsilon,
                amsgrad=False,
                maximize=False,
                grad_scale=None if divisor == 1 else weights[0].new_tensor(divisor),
            )
            return
        for weight, grad, m, v, count in zip(weights, grads, first, second, counts, strict=True):
            grad = grad / divisor
            weight.mul_(1 - lr * decay)
            m.lerp_(grad, 1 - beta1)
            v.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
            size = (v / (1 - beta2**count)).sqrt().add_(self.epsilon)
            weight.sub_(lr / (1 - beta1**count) * m / size)


@register("optimiser", "sgd")
@final
@dataclass(frozen=True)
class SGD(Optimiser):
    """Stochastic gradient descent with momentum and decoupled weight decay.

    ``v = momentum v + gradient``, ``w = (1 - lr weight_decay) w - lr v``.

    Arguments:
        momentum: share of the last step's direction that is kept, in [0, 1].
    """

    momentum: Fraction = 0.9

    def begin(self, weights: list[Tensor], betas: tuple[float, float]) -> Memory:
        if tuple(betas) != BETAS:
            raise InputError(
                f"betas = {betas}: sgd has none. Leave them out; momentum is a setting of sgd."
            )
        return {"velocity": [torch.zeros_like(w) for w in weights]}

    def step(self, how: Step, weights: list[Tensor], grads: list[Tensor], memory: Memory) -> None:
        for weight, grad, v in zip(weights, grads, memory["velocity"], strict=True):
            v.mul_(self.momentum).add_(grad, alpha=1 / how.divisor)
            weight.mul_(1 - how.lr * how.weight_decay).sub_(v, alpha=how.lr)


@final
class Optimising:
    """An optimiser at work: the parameters it steps, and what it remembers of their gradients.

    Arguments:
        optimiser: how.
        parameters: named parameters, in a fixed order.
        betas, weight_decay: as of ``Step``; [training]'s or a phase's own.
        norm: of the whole gradient, from the norms of its parts.

    Raises:
        InputError: the optimiser has no use for betas that somebody set.
    """

    def __init__(
        self,
        optimiser: Optimiser,
        parameters: Mapping[str, nn.Parameter],
        betas: tuple[float, float] = BETAS,
        weight_decay: float = 0.0,
        norm: Callable[[Tensor], Tensor] = torch.linalg.vector_norm,
    ) -> None:
        self.optimiser, self.betas, self.weight_decay = optimiser, betas, weight_decay
        self.names, self.parameters = list(parameters), list(parameters.values())
        self.norm, self.divisor = norm, 1.0
        weights = [p.detach() for p in self.parameters]
        self.memory = optimiser.begin(weights, betas)
        # What is computed with: of shared tensors this process's part.
        self._weights = [local(w) for w in weights]
        self._memory = {key: [local(v) for v in each] for key, each in self.memory.items()}

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Optimiser step at learning rate ``lr``; parameters without a gradient are left alone."""
        used = [i for i, p in enumerate(self.parameters) if p.grad is not None]
        grads = [local(p.grad) for p in self.parameters if p.grad is not None]
        weights = [self._weights[i] for i in used]
        memory = {key: [each[i] for i in used] for key, each in self._memory.items()}
        how = Step(lr, self.betas, self.weight_decay, self.divisor)
        self.optimiser.step(how, weights, grads, memory)

    def zero_grad(self) -> None:
        self.divisor = 1.0
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def clip(self, most: float, scale: float = 1.0) -> float:
        """Gradient clipping: the next step unscales by ``scale`` and clips the norm to ``most``.

        The step divides on its way, which saves a pass over the gradient.

        Returns:
            The gradient's norm, divided by ``scale`` but not yet shrunk.
        """
        grads = [local(p.grad) for p in self.parameters if p.grad is not None]
        norm = float(self.norm(torch.stack(torch._foreach_norm(grads)))) / scale if grads else 0.0
        self.divisor = scale * (norm / most if norm > most else 1.0)
        return norm

    def state(self) -> dict[str, Tensor]:
        """State dict of the optimiser for a checkpoint, by name."""
        return {
            f"{name}.{key}": tensors[i]
            for i, name in enumerate(self.names)
            for key, tensors in self.memory.items()
        }

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict; a missing entry is a KeyError."""
        for name, value in self.state().items():
            put(value, state[name])


class Schedule(ABC):
    """Learning rate schedule after the warm-up, as a share of the peak."""

    family: ClassVar[str] = "schedule"

    @abstractmethod
    def __call__(self, progress: float) -> float:
        """The share at ``progress`` in [0, 1], counted from the end of the warm-up."""


@register("schedule", "cosine")
@final
@dataclass(frozen=True)
class CosineSchedule(Schedule):
    """Cosine learning rate schedule: falls like half a cosine.

    Arguments:
        final: share that is left at the end.
    """

    final: Fraction = 0.02

    def __call__(self, progress: float) -> float:
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * progress))


@register("schedule", "inverse-sqrt")
@final
@dataclass(frozen=True)
class InverseSqrtSchedule(Schedule):
    """Inverse square root learning rate schedule: ``1 / sqrt(max(progress / hold, 1))``.

    Arguments:
        hold: share of the training, after the warm-up, at the peak; above 0.

    References:
        Karras et al., Analyzing and improving the training dynamics of diffusion models, CVPR
        2024 (hold is t_ref there, in units of the whole training).
    """

    hold: Share = 0.2

    def __call__(self, progress: float) -> float:
        return 1 / math.sqrt(max(progress / self.hold, 1.0))


@register("schedule", "constant")
@final
@dataclass(frozen=True)
class ConstantSchedule(Schedule):
    """Constant learning rate schedule: stays at its peak."""

    def __call__(self, progress: float) -> float:
        return 1.0
