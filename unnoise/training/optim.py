"""Optimisers: AdamW (over torch's fused kernel) and SGD, a family like any other.

``torch.optim.AdamW(...)`` imports torch._dynamo, which costs a second; the kernel beneath it does
not. Where a torch release lacks the kernel the same formula is computed step by step; a test holds
both equal to torch.optim.
"""

# The kernels have no public names.
# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from unnoise.catalogue.ranges import Fraction, Positive
from unnoise.catalogue.registry import register
from unnoise.core.errors import InputError
from unnoise.training.shares import local, put

BETAS = (0.9, 0.99)  # of [training] where nobody says others


class OptimiserState(ABC):
    """An optimiser at work: the parameters it steps, and what it remembers of their gradients.

    Arguments:
        parameters: named parameters, in a fixed order.
        norm: of the whole gradient, from the norms of its parts.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        norm: Callable[[Tensor], Tensor] = torch.linalg.vector_norm,
    ) -> None:
        self.names = list(parameters)
        self.parameters = list(parameters.values())
        self.norm = norm
        self.divisor = 1.0

    @abstractmethod
    def step(self, lr: float) -> None:
        """Optimiser step at learning rate ``lr``; parameters without a gradient are left alone."""

    @abstractmethod
    def remembered(self) -> dict[str, list[Tensor]]:
        """Tensors of the state by name, one for each parameter."""

    @final
    def zero_grad(self) -> None:
        self.divisor = 1.0
        for parameter in self.parameters:
            parameter.grad = None

    @final
    @torch.no_grad()
    def clip(self, most: float, scale: float = 1.0) -> float:
        """Gradient clipping: the next step unscales by ``scale`` and clips the norm to ``most``.

        The kernel divides on its way, which saves a pass over the gradient.

        Returns:
            The gradient's norm, divided by ``scale`` but not yet shrunk.
        """
        grads = [local(p.grad) for p in self.parameters if p.grad is not None]
        norm = float(self.norm(torch.stack(torch._foreach_norm(grads)))) / scale if grads else 0.0
        self.divisor = scale * (norm / most if norm > most else 1.0)
        return norm

    @final
    def state(self) -> dict[str, Tensor]:
        """State dict of the optimiser for a checkpoint, by name."""
        held = self.remembered()
        return {
            f"{name}.{key}": tensors[i]
            for i, name in enumerate(self.names)
            for key, tensors in held.items()
        }

    @final
    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict; a missing entry is a KeyError."""
        for name, value in self.state().items():
            put(value, state[name])


class Optimiser(ABC):
    """Optimiser of a training, as the [training] table names it."""

    family: ClassVar[str] = "optimiser"

    @abstractmethod
    def start(
        self,
        parameters: Mapping[str, nn.Parameter],
        betas: tuple[float, float],
        weight_decay: float,
        norm: Callable[[Tensor], Tensor],
    ) -> OptimiserState:
        """Begin to optimise parameters.

        Arguments:
            parameters, norm: as of ``OptimiserState``.
            betas: averaging of the gradient and of its square; [training] betas or a phase's own.
            weight_decay: [training] weight_decay or a phase's own.

        Raises:
            InputError: it has no use for betas that somebody set.
        """


@final
class AdamWState(OptimiserState):
    """AdamW at work (Loshchilov and Hutter, ICLR 2019).

    Arguments:
        parameters, norm: as of ``OptimiserState``.
        betas: averaging of the gradient and of its square.
        weight_decay: share of ``lr`` times the weight that is taken off each step.
        epsilon: added to the root of the averaged square.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        betas: tuple[float, float],
        weight_decay: float,
        epsilon: float = 1e-8,
        norm: Callable[[Tensor], Tensor] = torch.linalg.vector_norm,
    ) -> None:
        super().__init__(parameters, norm)
        self.betas, self.weight_decay, self.epsilon = betas, weight_decay, epsilon
        self.first = [torch.zeros_like(p) for p in self.parameters]
        self.second = [torch.zeros_like(p) for p in self.parameters]
        # The kernel counts steps in a tensor a parameter.
        self.counts = [torch.zeros((), device=p.device) for p in self.parameters]
        # What is computed with: of shared tensors this process's part.
        self._local = [
            [local(t.detach()) for t in each] for each in (self.parameters, self.first, self.second)
        ]

    def remembered(self) -> dict[str, list[Tensor]]:
        return {"first": self.first, "second": self.second, "count": self.counts}

    @torch.no_grad()
    def step(self, lr: float) -> None:
        used = [i for i, p in enumerate(self.parameters) if p.grad is not None]
        grads = [local(g) for i in used if (g := self.parameters[i].grad) is not None]
        counts = [self.counts[i] for i in used]
        torch._foreach_add_(counts, 1)
        weights, first, second = ([each[i] for i in used] for each in self._local)
        beta1, beta2 = self.betas
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
                weight_decay=self.weight_decay,
                eps=self.epsilon,
                amsgrad=False,
                maximize=False,
                grad_scale=None if self.divisor == 1 else weights[0].new_tensor(self.divisor),
            )
            return
        for weight, grad, m, v, count in zip(weights, grads, first, second, counts, strict=True):
            grad = grad / self.divisor
            weight.mul_(1 - lr * self.weight_decay)
            m.lerp_(grad, 1 - beta1)
            v.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
            size = (v / (1 - beta2**count)).sqrt().add_(self.epsilon)
            weight.sub_(lr / (1 - beta1**count) * m / size)


@register("optimiser", "adamw")
@final
@dataclass(frozen=True)
class AdamW(Optimiser):
    """Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019); the default.

    Arguments:
        epsilon: added to the root of the averaged square.
    """

    epsilon: Positive = 1e-8

    def start(
        self,
        parameters: Mapping[str, nn.Parameter],
        betas: tuple[float, float],
        weight_decay: float,
        norm: Callable[[Tensor], Tensor],
    ) -> OptimiserState:
        return AdamWState(parameters, betas, weight_decay, self.epsilon, norm)


@final
class SGDState(OptimiserState):
    """SGD at work: ``v = momentum v + gradient``, ``w = (1 - lr weight_decay) w - lr v``.

    Arguments:
        parameters, norm: as of ``OptimiserState``.
        momentum: share of the last step's direction that is kept.
        weight_decay: share of ``lr`` times the weight that is taken off each step.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        momentum: float,
        weight_decay: float,
        norm: Callable[[Tensor], Tensor] = torch.linalg.vector_norm,
    ) -> None:
        super().__init__(parameters, norm)
        self.momentum, self.weight_decay = momentum, weight_decay
        self.velocity = [torch.zeros_like(p) for p in self.parameters]

    def remembered(self) -> dict[str, list[Tensor]]:
        return {"velocity": self.velocity}

    @torch.no_grad()
    def step(self, lr: float) -> None:
        for parameter, velocity in zip(self.parameters, self.velocity, strict=True):
            if parameter.grad is not None:
                weight, v = local(parameter.detach()), local(velocity)
                v.mul_(self.momentum).add_(local(parameter.grad), alpha=1 / self.divisor)
                weight.mul_(1 - lr * self.weight_decay).sub_(v, alpha=lr)


@register("optimiser", "sgd")
@final
@dataclass(frozen=True)
class SGD(Optimiser):
    """Stochastic gradient descent with momentum and decoupled weight decay.

    Arguments:
        momentum: share of the last step's direction that is kept, in [0, 1].
    """

    momentum: Fraction = 0.9

    def start(
        self,
        parameters: Mapping[str, nn.Parameter],
        betas: tuple[float, float],
        weight_decay: float,
        norm: Callable[[Tensor], Tensor],
    ) -> OptimiserState:
        if tuple(betas) != BETAS:
            raise InputError(
                f"betas = {betas}: sgd has none. Leave them out; momentum is a setting of sgd."
            )
        return SGDState(parameters, self.momentum, weight_decay, norm)
