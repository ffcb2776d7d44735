"""Skip steps with a NaN or infinite loss or gradient, stop after five; loss scaling (float16)."""

from collections.abc import Callable, Mapping
from typing import final

import torch
from torch import Tensor, nn

from unnoise.training.shares import whole

MOST = 5
_FIRST = 2.0**16
_PATIENCE = 1000  # good steps before the scale is doubled


@final
class Guard:
    """Counter of skipped steps: those with a NaN or infinite loss or gradient.

    Attributes:
        row: such steps up to now without a good one between.
        skipped: such steps in all.
    """

    def __init__(self) -> None:
        self.row, self.skipped = 0, 0

    def good(self) -> None:
        """Record a finite step: resets the count of skipped steps in a row."""
        self.row = 0

    def bad(self) -> bool:
        """Record a skipped step; returns whether training must stop."""
        self.row += 1
        self.skipped += 1
        return self.row >= MOST

    def state(self) -> dict[str, Tensor]:
        """State dict for a checkpoint."""
        return {"row": torch.tensor(self.row), "skipped": torch.tensor(self.skipped)}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict; a missing entry is a KeyError."""
        self.row, self.skipped = int(state["row"]), int(state["skipped"])


@final
class LossScale:
    """Dynamic loss scale: keeps float16 gradients from underflow; divides them afterwards.

    It is halved by a step whose gradient overflows, and doubled after a thousand that do not
    (Micikevicius et al., Mixed precision training, ICLR 2018, section 3.2).

    Arguments:
        moves: whether the precision needs it; without, the scale is 1 for good.
    """

    def __init__(self, moves: bool) -> None:
        self.moves = moves
        self.value = _FIRST if moves else 1.0
        self.good = 0

    def went_well(self) -> None:
        """Record a finite gradient; after a thousand in a row the scale doubles."""
        self.good += 1
        if self.moves and self.good % _PATIENCE == 0:
            self.value *= 2

    def overflowed(self) -> bool:
        """Record a gradient overflow and halve a scale above 1; returns whether it was halved."""
        self.good = 0
        if not self.moves or self.value <= 1:
            return False
        self.value /= 2
        return True

    def state(self) -> dict[str, Tensor]:
        """State dict for a checkpoint."""
        return {
            "value": torch.tensor(self.value, dtype=torch.float64),
            "good": torch.tensor(self.good),
        }

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict; a missing entry is a KeyError."""
        self.value, self.good = float(state["value"]), int(state["good"])


def bad_weight(model: nn.Module) -> str | None:
    """Name of the first weight that holds NaN or infinity; None if all are finite."""
    weights = model.named_parameters()
    return next((name for name, w in weights if not bool(whole(w).isfinite().all())), None)


def culprit(model: nn.Module, x: Tensor, again: Callable[[], object]) -> str:
    """Locate the first NaN or infinity of a bad step: examples, layer, gradient or loss.

    Arguments:
        model: with the gradients of the step still in place.
        x: the step's examples.
        again: computes the step's loss once more.

    Returns:
        Such as "the layer network.blocks.2.out", for "the loss is no number: first ...".
    """
    if not bool(torch.isfinite(x).all()):
        return "the examples themselves"
    found: list[str] = []

    def listen(name: str) -> Callable[..., None]:
        def hear(module: nn.Module, given: object, answer: object) -> None:
            if not found and isinstance(answer, Tensor) and not bool(answer.isfinite().all()):
                found.append(name)

        return hear

    # Children answer before the modules that hold them, so the first one heard is the innermost.
    hooks = [m.register_forward_hook(listen(name)) for name, m in model.named_modules() if name]
    try:
        with torch.no_grad():
            again()
    finally:
        for hook in hooks:
            hook.remove()
    if found:
        return f"the layer {found[0]}"
    # Gradients go from the end to the beginning: the last layer is the first that was hit.
    graded = [(n, p.grad) for n, p in model.named_parameters() if p.grad is not None]
    for name, grad in reversed(graded):
        if not bool(torch.isfinite(whole(grad)).all()):
            return f"the gradient of {name}"
    return "the loss"
