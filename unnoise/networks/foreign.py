"""Networks of others: a plain torch module, or a diffusers UNet, as a network of a denoiser."""

import inspect
from abc import ABC
from collections.abc import Iterable
from typing import Any, ClassVar, Protocol, final, runtime_checkable

import torch
from torch import Tensor, nn

from unnoise.catalogue.construction import amend
from unnoise.catalogue.ranges import Count, Shape
from unnoise.catalogue.registry import member, register
from unnoise.core.condition import Condition
from unnoise.core.errors import InputError, short
from unnoise.networks.base import Network

_SLOTS = ("label", "tokens", "vector", "local")  # the order in which a module is given them


class Module(ABC):
    """Any torch module, as a member of a recipe: registered as a network of its own by its user."""

    family: ClassVar[str] = "network"


Module.register(nn.Module)


@runtime_checkable
class LearnsClasses(Protocol):
    """A network that is told by its first training how many classes there are."""

    def learn_classes(self, classes: int) -> None: ...


@register("network", "foreign")
@final
class Foreign(Network):
    """Plain torch module as a network, called as ``module(x, clock)``, or with a label behind.

    ``x`` has shape (B, *shape), ``clock`` is log SNR, shape (B,), and what it returns has the shape
    of ``x`` (of a diffusers output its ``sample``, of a tuple the first). A label that is hidden,
    for classifier-free guidance, is passed as the number ``classes``: an embedding of labels needs
    classes + 1 rows. Other slots are zeros where they are hidden.

    Arguments:
        module: any torch module; one that shall be saved is made by a registered function or class.
        shape: of an event, (C, H, W), (C, L) or (D,).
        reads: slots of the condition that it is called with, in the order label, tokens, vector,
            local.
        classes: number of labels; None takes that of the data it is first trained on.

    Raises:
        InputError: it cannot be called so.
    """

    def __init__(
        self,
        module: Module,
        shape: Shape,
        reads: tuple[str, ...] = (),
        classes: Count | None = None,
    ) -> None:
        super().__init__()
        unknown = sorted(set(reads) - set(_SLOTS))
        if unknown:
            raise InputError(
                f"reads = {short(unknown[0])}: no such slot. Known: {', '.join(_SLOTS)}."
            )
        self.module: nn.Module = member(Module, module)
        self.shape, self.reads, self.classes = shape, frozenset(reads), classes
        self._order = [slot for slot in _SLOTS if slot in self.reads]
        try:
            inspect.signature(self.module.forward).bind(*[None] * (2 + len(self._order)))
        except TypeError as error:
            asked = ", ".join(["x", "clock", *self._order])
            raise InputError(
                f"{self._called} is called as module({asked}), but its forward has {error}."
            ) from error
        except ValueError:  # a signature that Python cannot read is tried
            pass

    @property
    def _called(self) -> str:
        return type(self.module).__name__

    def learn_classes(self, classes: int) -> None:
        """Be told the number of classes by the data of the first training."""
        if self.classes is None and "label" in self.reads:
            self.classes = classes
            amend(self, classes=classes)

    def compute(self, x: Tensor, clock: Tensor, cond: Condition | None) -> Tensor:
        told = [] if cond is None else [self._shown(cond, slot) for slot in self._order]
        try:
            found: Any = self.module(x, clock.to(x.dtype), *told)
        except IndexError as error:
            if "label" not in self.reads or "out of range in self" not in str(error):
                raise
            raise InputError(
                f"{self._called} was called with label {self.classes}, which stands for a hidden "
                "one: give its embedding classes + 1 rows, or train with label_dropout = 0."
            ) from error
        found = getattr(found, "sample", found)
        found = found[0] if isinstance(found, tuple) else found
        if not isinstance(found, Tensor) or found.shape != x.shape:
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise InputError(
                f"{self._called} returned {shape} for x of shape {tuple(x.shape)}; it must return "
                "the same shape."
            )
        return found

    def _shown(self, cond: Condition, slot: str) -> Tensor:
        """A slot as the module is given it."""
        value: Tensor = getattr(cond, slot)
        kept = cond.kept(slot).to(value.device).reshape(-1, *[1] * (value.ndim - 1))
        hidden = self.classes or 0 if slot == "label" else 0
        return torch.where(kept, value, torch.full_like(value, hidden))


def adopted(network: Any, shape: Iterable[int] | None, reads: Iterable[str] | None) -> Any:
    """A network of ours, or a plain module with what it does not say of itself.

    Arguments:
        network: any torch module; a Network, a name or a table is given back as it is.
        shape: of an event, for a module; a diffusers UNet says it itself.
        reads: slots of the condition that a module is called with.

    Raises:
        InputError: a module without a shape, or a shape for what has its own.
    """
    if isinstance(network, Network) or not isinstance(network, nn.Module):
        if shape is not None or reads is not None:
            what = "shape" if shape is not None else "reads"
            raise InputError(f"{what} is for a plain torch module; other networks have their own.")
        return network
    config: Any = getattr(network, "config", None)
    classes: int | None = getattr(config, "num_class_embeds", None)
    if shape is None:
        shape, reads = (
            _said_by(config, type(network).__name__),
            reads or ("label" if classes else None),
        )
    told = (reads,) if isinstance(reads, str) else tuple(sorted(reads or ()))
    # The last of their rows stands for no class.
    known = classes - 1 if classes and "label" in told else None
    return Foreign(network, tuple(shape), told, known)  # pyright: ignore[reportArgumentType]


def _said_by(config: Any, called: str) -> tuple[int, ...]:
    """The shape of an event that a diffusers model's own settings say."""
    size = getattr(config, "sample_size", None)
    if not isinstance(size, int | tuple | list):
        raise InputError(
            f"a {called} does not say what its events are; give their shape: "
            "Diffusion(module, shape=(1, 28, 28))."
        )
    sides: tuple[int, ...] = (size, size) if isinstance(size, int) else tuple(size)
    return (config.in_channels, *sides)
