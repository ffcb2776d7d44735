"""Helpers for sharded tensors (DTensor), of which each process holds a part."""

from typing import Any

import torch
from torch import Tensor


def local(tensor: Tensor) -> Tensor:
    """Local shard of a tensor in this process, in the same memory."""
    shared = _shared(tensor)
    return tensor if shared is None else shared.to_local()


def whole(tensor: Tensor) -> Tensor:
    """Full tensor, gathered from all shards; every process must call this."""
    shared = _shared(tensor)
    return tensor if shared is None else shared.full_tensor()


@torch.no_grad()
def put(tensor: Tensor, value: Tensor) -> None:
    """Overwrite a tensor with a full value; of a sharded one each process takes its own shard.

    Raises:
        RuntimeError: the value has another shape.
    """
    if tensor.shape != value.shape:
        raise RuntimeError(f"shape {tuple(value.shape)} instead of {tuple(tensor.shape)}")
    shared = _shared(tensor)
    if shared is not None:
        from torch.distributed.tensor import distribute_tensor

        mesh, places = shared.device_mesh, shared.placements
        # Without a source nothing is exchanged: process 0 may do it alone.
        value = local(distribute_tensor(value.to(shared.device), mesh, places, src_data_rank=None))
    local(tensor).copy_(value)


def _shared(tensor: Any) -> Any:
    """The tensor if it is shared (a DTensor, whose import takes a second), else None."""
    return tensor if hasattr(tensor, "full_tensor") else None
