"""Experiment trackers: TensorBoard and Weights & Biases."""

import importlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, final

from unnoise.catalogue.registry import register
from unnoise.core.errors import InputError
from unnoise.training import Ended, Event, Run, Stepped


class Tracker(ABC):
    """Base class of experiment trackers; made for a run by ``open``."""

    family: ClassVar[str] = "tracker"
    every: int = 10

    @final
    def __call__(self, event: Event, run: Run) -> None:
        if isinstance(event, Stepped) and (
            event.step % self.every == 0 or event.step == event.steps
        ):
            figures = {"loss": event.loss, "lr": event.lr, "images_per_second": event.rate}
            self.tell(event.step, figures)
        elif isinstance(event, Ended):
            self.close()

    @abstractmethod
    def open(self, folder: Path, tables: dict[str, Any]) -> None:
        """Begin, for a run in ``folder`` by the recipe ``tables``."""

    @abstractmethod
    def tell(self, step: int, figures: dict[str, float]) -> None:
        """Figures of a step, by name."""

    @abstractmethod
    def close(self) -> None:
        """Nothing more will come."""


def _library(module: str, name: str) -> Any:
    """What the user has installed, or has not."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        cure = f'Install it with: pip install "unnoise[{name}]"'
        raise InputError(f"This needs {name}. {cure}") from error


@register("tracker", "tensorboard")
@final
class TensorBoard(Tracker):
    """TensorBoard event files in the run's folder; ``tensorboard --logdir runs`` shows them."""

    def open(self, folder: Path, tables: dict[str, Any]) -> None:
        library = _library("torch.utils.tensorboard", "tensorboard")
        self._writer: Any = library.SummaryWriter(str(folder / "tensorboard"))

    def tell(self, step: int, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


@register("tracker", "wandb")
@final
class WandB(Tracker):
    """Weights & Biases run, under the user's own login; WANDB_MODE=offline stays here.

    Arguments:
        project: its name there.
    """

    def __init__(self, project: str = "unnoise") -> None:
        self.project = project

    def open(self, folder: Path, tables: dict[str, Any]) -> None:
        where = {"project": self.project, "name": folder.name, "dir": str(folder)}
        self._run: Any = _library("wandb", "wandb").init(**where, config=tables)

    def tell(self, step: int, figures: dict[str, float]) -> None:
        self._run.log(figures, step=step)

    def close(self) -> None:
        self._run.finish()
