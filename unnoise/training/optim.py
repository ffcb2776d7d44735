"""AdamW over torch's fused kernel.

``torch.optim.AdamW(...)`` imports torch._dynamo, which costs a second; the kernel beneath it does
not. Where a torch release lacks the kernel the same formula is computed step by step; a test holds
both equal to torch.optim.
"""

# The kernels have no public names.
# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from unnoise.training.shares import local, put


class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019).

    Arguments:
        parameters: named parameters, in a fixed order.
        betas: averaging of the gradient and of its square.
        weight_decay: share of ``lr`` times the weight that is taken off each step.
        epsilon: added to the root of the averaged square.
        norm: of the whole gradient, from the norms of its parts.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        betas: tuple[float, float],
        weight_decay: float,
        epsilon: float = 1e-8,
        norm: Callable[[Tensor], Tensor] = torch.linalg.vector_norm,
    ) -> None:
        self.names = list(parameters)
        self.parameters = list(parameters.values())
        self.betas, self.weight_decay, self.epsilon = betas, weight_decay, epsilon
        self.norm = norm
        self.divisor = 1.0
        self.first = [torch.zeros_like(p) for p in self.parameters]
        self.second = [torch.zeros_like(p) for p in self.parameters]
        # The kernel counts steps in a tensor a parameter.
        self.counts = [torch.zeros((), device=p.device) for p in self.parameters]
        # What is computed with: of shared tensors this process's part.
        self._local = [
            [local(t.detach()) for t in each] for each in (self.parameters, self.first, self.second)
        ]

    def zero_grad(self) -> None:
        self.divisor = 1.0
        for parameter in self.parameters:
            parameter.grad = None

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

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Optimiser step at learning rate ``lr``; parameters without a gradient are left alone."""
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

    def state(self) -> dict[str, Tensor]:
        """State dict of the optimiser for a checkpoint, by name."""
        found: dict[str, Tensor] = {}
        for i, name in enumerate(self.names):
            found[f"{name}.first"] = self.first[i]
            found[f"{name}.second"] = self.second[i]
            found[f"{name}.count"] = self.counts[i]
        return found

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict; a missing entry is a KeyError."""
        for name, value in self.state().items():
            put(value, state[name])
