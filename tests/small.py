"""Models and data so small that a test trains one in a moment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unnoise.core.noise import Noise
from unnoise.data import Dataset, TensorDataset, moons
from unnoise.models import Diffusion
from unnoise.networks import MLP
from unnoise.training import Event, Run, Stepped, Training, fit

SETTINGS: dict[str, Any] = {
    "steps": 30,
    "batch": 16,
    "warmup": 5,
    "ema_half_life": 64.0,
    "threads": 1,
}


def points(count: int = 100) -> Dataset:
    """Two half moons, in the plane."""
    return moons(count=count)


def pictures(count: int = 60) -> TensorDataset:
    """Pictures of 4x4 pixels, 5 levels and 3 classes; class c has c + 1 bright rows."""
    u = Noise(0, range(count)).child("pictures").uniform(torch.empty(count, 1, 4, 4))
    labels = torch.arange(count) % 3
    bright = torch.arange(4)[None, :] <= labels[:, None]
    stored = (u * 2).long() + 3 * bright[:, None, :, None].long()
    return TensorDataset("rows", stored.clamp(max=4), labels, levels=5, licence="none")


def diffusion(data: Dataset | None = None, **settings: Any) -> Diffusion:
    """An untrained model for some data, its last layer not zero as it is at birth."""
    info = (points() if data is None else data).info
    network = {"width": 16, "depth": 1, "context": 8, "classes": info.classes, **settings}
    model = Diffusion(MLP(shape=info.shape, **network))
    model.info = info
    fill(model.network.out)  # pyright: ignore
    return model


def fill(layer: torch.nn.Module) -> None:
    """Weights of about 0.1 in a layer, always the same."""
    with torch.no_grad():
        for i, weight in enumerate(layer.parameters()):
            rows = torch.empty(weight.shape if weight.ndim > 1 else (1, len(weight)))
            drawn = Noise(7, range(len(rows))).child(i).normal(rows)
            weight.copy_(0.1 * drawn.reshape(weight.shape))


def trained(data: Dataset | None = None, **changes: Any) -> Diffusion:
    """A model after thirty steps."""
    data = points() if data is None else data
    model = diffusion(data)
    fit(model, data, **{**SETTINGS, **changes})
    return model


def weights(model: torch.nn.Module) -> dict[str, Tensor]:
    """A copy of a model's weights."""
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    """Whether two sets of tensors are equal, names and bits."""
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def temporary(folder: Path) -> list[Path]:
    """Temporary files that something left behind."""
    return [path for path in folder.rglob("*") if ".tmp-" in path.name]


class Heard:
    """A listener that keeps everything."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event, run: Run) -> None:
        self.events.append(event)

    def losses(self) -> list[float]:
        return [event.loss for event in self.events if isinstance(event, Stepped)]


def run_of(settings: Training, **model: Any) -> Run:
    run = Run(diffusion(pictures(), **model), pictures(), settings, None)
    run.model.train()
    return run
