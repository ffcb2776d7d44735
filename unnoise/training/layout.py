"""Distributed training: data parallel (DDP) or fully sharded (FSDP2) weights."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, final

import torch
import torch.distributed as dist
from torch import Tensor, nn

from unnoise.core.errors import InputError
from unnoise.models.base import Begins, Model
from unnoise.system import parallel
from unnoise.training.averages import Average
from unnoise.training.shares import whole

State = Mapping[str, Tensor]


class Layout(ABC):
    """Distributed strategy: how the processes that train a model hold its weights.

    Attributes:
        trained: the model whose parameters are trained; their tensors may be shares.
        module: what is called for a loss.
        independent: whether a process can compute without the others, and in several phases.
    """

    trained: Model
    module: Any
    independent: bool

    @abstractmethod
    def quiet(self) -> AbstractContextManager[None]:
        """Context without gradient synchronisation (no_sync), for gradient accumulation."""

    @abstractmethod
    def divisor(self, share: int) -> int:
        """What the summed loss of this process's ``share`` examples is divided by."""

    @abstractmethod
    def exchange(self, parameters: Sequence[nn.Parameter]) -> None:
        """Sum the gradients of all processes, once in a phase, after the last micro-batch."""

    @abstractmethod
    def norm(self, norms: Tensor) -> Tensor:
        """Global gradient norm, from the norms of this process's part of each parameter."""

    @abstractmethod
    def meet(self, state: State, average: Average) -> None:
        """Gather the state and averages that process 0 needs to evaluate and save alone."""

    @abstractmethod
    def state(self, state: State) -> State:
        """Full (unsharded) state; of sharded weights that of the last ``meet``."""

    @abstractmethod
    def lent(self, average: Average) -> AbstractContextManager[Model]:
        """Context: the user's model with averaged weights (EMA), for evaluation in process 0."""

    @abstractmethod
    def finish(self, average: Average) -> None:
        """Put the averaged weights (EMA) into the user's model, in every process."""


@final
class Replicated(Layout):
    """Data parallel training: every process holds all weights, or there is only one.

    Arguments:
        model: the user's.
        accelerator: accelerate's.
    """

    independent = True

    def __init__(self, model: Model, accelerator: Any) -> None:
        self.trained = self.module = model
        self.size = accelerator.num_processes

    def quiet(self) -> AbstractContextManager[None]:
        return nullcontext()

    def divisor(self, share: int) -> int:
        return share * self.size

    @torch.no_grad()
    def exchange(self, parameters: Sequence[nn.Parameter]) -> None:
        if self.size == 1:
            return
        asked = [p for p in parameters if p.requires_grad]
        # One flat sum of all gradients, and how many processes have each.
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in asked]
        there = torch.tensor([float(p.grad is not None) for p in asked], device=grads[0].device)
        flat = torch.cat([*(grad.flatten() for grad in grads), there])
        dist.all_reduce(flat)
        *parts, there = flat.split([*(p.numel() for p in asked), len(asked)])
        for parameter, part, some in zip(asked, parts, there.tolist(), strict=True):
            parameter.grad = part.view_as(parameter) if some else None
        if buffers := list(self.trained.buffers()):
            parallel.same_everywhere(buffers)

    def norm(self, norms: Tensor) -> Tensor:
        return norms.norm()

    def meet(self, state: State, average: Average) -> None:
        pass

    def state(self, state: State) -> State:
        return state

    @contextmanager
    def lent(self, average: Average) -> Generator[Model]:
        average.swap()
        try:
            yield self.trained
        finally:
            average.swap()

    def finish(self, average: Average) -> None:
        average.swap()


@final
class Sharded(Layout):
    """Sharding (FSDP2): each process holds a shard of weights, gradients, averages and optimiser.

    The weights of a block come together only while it computes. The user's model waits in main
    memory, whole, for looks and for the end.

    Arguments:
        model: the user's, the same in every process.
        device: to train on.
    """

    independent = False

    def __init__(self, model: Model, device: torch.device) -> None:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        phases = [phase.name for phase in model.phases()]
        if len(phases) > 1 or isinstance(model, Begins):
            what = f"{len(phases)} phases" if len(phases) > 1 else "first values from data"
            raise InputError(
                f"sharded = true: a model with {what} cannot be sharded. Set training.sharded to "
                "false."
            )
        self.model, self.device = model.cpu(), device
        self.trained = copy.deepcopy(model)
        mesh = init_device_mesh(device.type, (parallel.size(),))
        lists = [each for each in self.trained.modules() if isinstance(each, nn.ModuleList)]
        for block in (block for each in lists for block in each):
            if not isinstance(block, nn.ModuleList):
                fully_shard(block, mesh=mesh)
        self.module = fully_shard(self.trained, mesh=mesh)
        self._state: State = {}

    def divisor(self, share: int) -> int:
        return share  # FSDP takes the mean over processes

    def exchange(self, parameters: Sequence[nn.Parameter]) -> None:
        pass  # FSDP does it in the backward pass

    @contextmanager
    def quiet(self) -> Generator[None]:
        self.module.set_requires_gradient_sync(False)
        try:
            yield
        finally:
            self.module.set_requires_gradient_sync(True)

    def norm(self, norms: Tensor) -> Tensor:
        total = norms.square().sum()
        dist.all_reduce(total)
        return total.sqrt()

    def meet(self, state: State, average: Average) -> None:
        self._fill(average)
        gathered = ((name, whole(value)) for name, value in state.items())
        # All take part in the gathering of each; one keeps it, off the device.
        self._state = {n: v.cpu() for n, v in gathered if parallel.rank() == 0}

    def state(self, state: State) -> State:
        return self._state

    @contextmanager
    def lent(self, average: Average) -> Generator[Model]:
        try:
            yield self.model.to(self.device)
        finally:
            self.model.cpu()

    def finish(self, average: Average) -> None:
        self._fill(average)
        self.model.to(self.device)

    @torch.no_grad()
    def _fill(self, average: Average) -> None:
        found = {**self.trained.state_dict(), **average.state()}
        for name, value in self.model.state_dict().items():
            value.copy_(whole(found[name]))
