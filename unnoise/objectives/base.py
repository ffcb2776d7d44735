"""Base class of training objectives (loss functions): one loss for each sample."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor

from unnoise.core.condition import Given
from unnoise.core.noise import Noise


@dataclass(frozen=True)
class Loss:
    """Per-sample loss of an objective, and figures for the log.

    Arguments:
        value: loss of each sample, shape (B,), differentiable.
        logs: figures for the log, each of shape (B,), detached.
    """

    value: Tensor
    logs: dict[str, Tensor] = field(default_factory=dict[str, Tensor])


class Objective(ABC):
    """Training objective (loss function) of a denoiser."""

    family: ClassVar[str] = "objective"

    @abstractmethod
    def __call__(self, denoiser: Any, x0: Tensor, cond: Given, noise: Noise) -> Loss:
        """The loss of each sample.

        Arguments:
            denoiser: what is taught, a Denoiser.
            x0: clean data, shape (B, *event).
            cond: conditions, one row for each sample.
            noise: one stream for each sample.
        """
