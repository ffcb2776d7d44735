"""The condition of a batch: class label, text tokens, vector, local values, with a mask a slot."""

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from unnoise.core.errors import InputError

GUIDED = frozenset({"label", "tokens"})  # what guidance hides where a network says nothing else


@dataclass(frozen=True, init=False)
class Condition:
    """Conditions of a batch; every slot is None or has one row for each sample.

    Arguments:
        label: class numbers, shape (B,), int64, from 0.
        tokens: text tokens, shape (B, L), int64; 0 is padding.
        local: values along the event (a small picture, frames of a spectrogram), shape (B, ...).
        vector: any embedding, shape (B, D).
        measured: the measurement of an inverse problem, shape (B, *measurement); no network
            reads it.
        keep: slot -> mask (B,), bool: where False the sample's slot is hidden from the network (the
            null condition of classifier-free guidance); a slot without a mask is kept. One mask is
            short for that of label, tokens and vector.
        prepared: what a network computed of the other slots ahead of a walk, shape (B, ...).
        image: the old name of ``local``.
    """

    _masked_by_one: ClassVar[tuple[str, ...]] = ("label", "tokens", "vector")

    label: Tensor | None
    tokens: Tensor | None
    local: Tensor | None
    vector: Tensor | None
    measured: Tensor | None
    keep: Mapping[str, Tensor] | None
    prepared: Tensor | None

    def __init__(
        self,
        label: Tensor | None = None,
        tokens: Tensor | None = None,
        local: Tensor | None = None,
        vector: Tensor | None = None,
        measured: Tensor | None = None,
        keep: Mapping[str, Tensor] | Tensor | None = None,
        prepared: Tensor | None = None,
        *,
        image: Tensor | None = None,
    ) -> None:
        if image is not None:
            local = _renamed(image)
        values = (label, tokens, local, vector, measured, None, prepared)
        for field, value in zip(fields(self), values, strict=True):
            object.__setattr__(self, field.name, value)
        given = self._given()
        if isinstance(keep, Tensor):
            keep = {slot: keep for slot in self._masked_by_one if slot in given}
        sizes = {slot: len(value) for slot, value in given.items()}
        sizes |= {f"keep of {slot}": len(mask) for slot, mask in (keep or {}).items()}
        if len(set(sizes.values())) > 1:
            raise InputError(
                f"condition slots differ in length: {sizes}; each needs one row a sample."
            )
        object.__setattr__(self, "keep", dict(keep) if keep else None)

    @property
    def image(self) -> Tensor | None:
        """The old name of ``local``."""
        return _renamed(self.local)

    def _given(self) -> dict[str, Tensor]:
        slots = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "keep"}
        return {name: value for name, value in slots.items() if value is not None}

    def _map(self, change: Callable[[Tensor], Tensor]) -> "Condition":
        masks = {slot: change(mask) for slot, mask in (self.keep or {}).items()}
        changed = {name: change(value) for name, value in self._given().items()}
        return Condition(**changed, keep=masks)

    @property
    def slots(self) -> frozenset[str]:
        """Names of the slots that hold something, ``keep`` and ``prepared`` aside."""
        return frozenset(self._given()) - {"prepared"}

    def __len__(self) -> int:
        return next((len(value) for value in self._given().values()), 0)

    def kept(self, slot: str = "label") -> Tensor:
        """The mask of a slot with None spelled out, shape (B,), bool."""
        if self.keep is not None and slot in self.keep:
            return self.keep[slot]
        first = next(iter(self._given().values()))
        return torch.ones(len(first), dtype=torch.bool, device=first.device)

    def drop(self, keep: Tensor, slots: Iterable[str] | None = None) -> "Condition":
        """Condition dropout: hide slots where ``keep`` (B,), bool, is False; hidden stays hidden.

        Arguments:
            keep: the mask.
            slots: which; a network's ``guided``, or label and tokens.
        """
        named = self.slots & frozenset(GUIDED if slots is None else slots)
        masks = {slot: self.kept(slot) & keep.to(self.kept(slot).device) for slot in named}
        return replace(self, keep={**(self.keep or {}), **masks}) if masks else self

    def null(self, slots: Iterable[str] | None = None) -> "Condition":
        """The null condition of classifier-free guidance: ``slots`` hidden in every row."""
        return self.drop(torch.zeros(len(self), dtype=torch.bool), slots)

    def cat(self, *others: "Condition") -> "Condition":
        """Concatenate along the batch; all must have the same slots. Tokens are padded alike."""
        parts = [self, *others]
        if len({frozenset(c._given()) for c in parts}) > 1:
            raise InputError(
                f"conditions with slots {[sorted(c.slots) for c in parts]} cannot be joined; "
                "give every part the same slots."
            )
        joined = {n: _joined([c._given()[n] for c in parts], n) for n in self._given()}
        masked = [slot for slot in joined if any(slot in (c.keep or {}) for c in parts)]
        masks = {slot: torch.cat([c.kept(slot) for c in parts]) for slot in masked}
        return Condition(**joined, keep=masks)

    def to(self, device: torch.device | str) -> "Condition":
        return self._map(lambda value: value.to(device))

    def __getitem__(self, index: slice | Tensor) -> "Condition":
        return self._map(lambda value: value[index])


Given = Condition | None  # under what a batch is asked about: one row a sample, or nothing


def _joined(values: list[Tensor], slot: str) -> Tensor:
    if slot == "tokens":
        longest = max(value.shape[1] for value in values)
        values = [functional.pad(value, (0, longest - value.shape[1])) for value in values]
    return torch.cat(values)


def _renamed(value: Tensor | None) -> Tensor | None:
    warnings.warn(
        "Condition.image is now Condition.local; the old name goes with 1.0.",
        DeprecationWarning,
        stacklevel=3,
    )
    return value
