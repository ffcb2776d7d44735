"""What a sample is asked to be: the one typed value that carries every kind of condition."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from unnoise.core.errors import InputError


@dataclass(frozen=True)
class Condition:
    """Conditions of a batch; every slot is None or has one row for each sample.

    Arguments:
        label: class numbers, shape (B,), int64, from 0.
        tokens: text tokens, shape (B, L), int64.
        image: an image to follow (low resolution, masked ...), shape (B, *event).
        vector: any embedding, shape (B, D).
        measured: what was measured of the sample, for inverse problems, shape (B, *measurement);
            no network reads it.
        keep: shape (B,), bool: where False the sample's condition is hidden from the network
            (the null condition of classifier-free guidance). None keeps all.
    """

    label: Tensor | None = None
    tokens: Tensor | None = None
    image: Tensor | None = None
    vector: Tensor | None = None
    measured: Tensor | None = None
    keep: Tensor | None = None

    def __post_init__(self) -> None:
        sizes = {name: len(value) for name, value in self._given().items()}
        if len(set(sizes.values())) > 1:
            raise InputError(
                f"condition slots differ in length: {sizes}; each needs one row a sample."
            )

    def _given(self) -> dict[str, Tensor]:
        slots = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in slots.items() if value is not None}

    def _map(self, change: Callable[[Tensor], Tensor]) -> "Condition":
        return replace(self, **{name: change(value) for name, value in self._given().items()})

    @property
    def slots(self) -> frozenset[str]:
        """Names of the slots that hold something, ``keep`` aside."""
        return frozenset(self._given()) - {"keep"}

    def __len__(self) -> int:
        return next((len(value) for value in self._given().values()), 0)

    def kept(self) -> Tensor:
        """``keep`` with None spelled out, shape (B,), bool."""
        if self.keep is not None:
            return self.keep
        first = next(iter(self._given().values()))
        return torch.ones(len(first), dtype=torch.bool, device=first.device)

    def drop(self, keep: Tensor) -> "Condition":
        """Hide the condition where ``keep``, shape (B,), bool, is False (hidden stays hidden)."""
        return replace(self, keep=self.kept() & keep) if self.slots else self

    def null(self) -> "Condition":
        """The same batch with every condition hidden."""
        return self.drop(torch.zeros_like(self.kept())) if self.slots else self

    def cat(self, *others: "Condition") -> "Condition":
        """Batches one after another; all must have the same slots."""
        parts = [replace(c, keep=c.kept()) if c.slots else c for c in (self, *others)]
        if len({c.slots for c in parts}) > 1:
            raise InputError(
                f"conditions with slots {[sorted(c.slots) for c in parts]} cannot be joined; "
                "give every part the same slots."
            )
        joined = {n: torch.cat([c._given()[n] for c in parts]) for n in parts[0]._given()}
        return Condition(**joined)

    def to(self, device: torch.device | str) -> "Condition":
        return self._map(lambda value: value.to(device))

    def __getitem__(self, index: slice | Tensor) -> "Condition":
        return self._map(lambda value: value[index])
