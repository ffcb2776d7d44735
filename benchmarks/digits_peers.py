"""The peers, set up as their own documentation does it, at 8x8 pixels and ten classes.

Nothing of them is imported before it is asked for; a missing one raises ImportError.
"""

import copy
import importlib
import importlib.util
import math
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, final

import torch
from digits_measure import requested, stored
from peer_networks import tutorial_unet
from torch import Tensor

BATCH = 64
CHUNK = 100  # sampled at once: faster on a CPU than all 1,000
STEPS = 50


def to_levels(x: Tensor) -> Tensor:
    """Samples in [-1, 1] as the nearest of the levels k / 8 - 1."""
    return ((x + 1) * 8).round().clamp(0, 16).long().flatten(1)


class Peer(ABC):
    """Somebody else's diffusion model of the same 1,200 digits.

    Arguments:
        seed: of torch's global generator.
    """

    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)
        levels, self.labels = stored("train")
        self.images = (levels.float() / 8 - 1).reshape(-1, 1, 8, 8)
        self.told: dict[str, Any] = {}

    @abstractmethod
    def module(self) -> torch.nn.Module:
        """What is trained."""

    @abstractmethod
    def optimiser(self) -> torch.optim.Optimizer: ...

    @abstractmethod
    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Of a batch of images in [-1, 1]."""

    @abstractmethod
    def rate(self, done: float) -> float:
        """Learning rate, as a share of its peak, when this share of the budget is spent."""

    @abstractmethod
    def after_step(self, step: int) -> None: ...

    @abstractmethod
    def samples(self) -> Iterator[tuple[str, Tensor]]:
        """Name and levels, shape (1000, 64), of each way of sampling."""

    @final
    def train(self, budget: float) -> None:
        """Train for ``budget`` processor seconds of this process."""
        module, optimiser = self.module(), self.optimiser()
        peaks = [group["lr"] for group in optimiser.param_groups]
        module.train()
        step, began, wall = 0, time.process_time(), time.perf_counter()
        while (spent := time.process_time() - began) < budget:
            for group, peak in zip(optimiser.param_groups, peaks, strict=True):
                group["lr"] = peak * self.rate(spent / budget)
            rows = torch.randint(len(self.images), (BATCH,))
            optimiser.zero_grad()
            self.loss(self.images[rows], self.labels[rows]).backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimiser.step()
            step += 1
            self.after_step(step)
        module.eval()
        self.told = {
            "training_cpu": time.process_time() - began,
            "training_wall": time.perf_counter() - wall,
            "training_steps": step,
            "parameters": sum(p.numel() for p in module.parameters()),
        }


@final
class Diffusers(Peer):
    """diffusers: the network of the class-conditional unit of Hugging Face's diffusion course,
    (32, 64, 64) with attention on the two lower floors, its labels by ``num_class_embeds``; the
    training loop of the tutorial "Train a diffusion model" (AdamW, clipping, warm-up and cosine, no
    EMA) with the course's learning rate 1e-3 (the tutorial has 1e-4; not tuned here); DDIM.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        diffusers = importlib.import_module("diffusers")
        self.net = tutorial_unet(8, num_class_embeds=10)
        self.noising: Any = diffusers.DDPMScheduler(
            num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2"
        )
        self.sampler: Any = diffusers.DDIMScheduler.from_config(self.noising.config)

    def module(self) -> torch.nn.Module:
        return self.net

    def optimiser(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.net.parameters(), lr=1e-3)

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        noise = torch.randn_like(images)
        t = torch.randint(0, 1000, (len(images),))
        noisy = self.noising.add_noise(images, noise, t)
        return torch.nn.functional.mse_loss(self.net(noisy, t, labels).sample, noise)

    def rate(self, done: float) -> float:
        return min(done / 0.05, 1.0) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    def after_step(self, step: int) -> None:
        pass

    @torch.no_grad()
    def samples(self) -> Iterator[tuple[str, Tensor]]:
        made: list[Tensor] = []
        self.sampler.set_timesteps(STEPS)
        for labels in requested().split(CHUNK):
            x = torch.randn(len(labels), 1, 8, 8)
            for t in self.sampler.timesteps:
                x = self.sampler.step(self.net(x, t, labels).sample, t, x).prev_sample
            made.append(to_levels(x))
        yield f"DDIM-{STEPS}", torch.cat(made)


@final
class Lucidrains(Peer):
    """denoising-diffusion-pytorch: classifier_free_guidance.Unet of width 32 on three floors (8, 4
    and 2 pixels) and its GaussianDiffusion; Adam (.9, .99), clipping and EMA decay .995 as in its
    Trainer, but the EMA ramped up and moved every step, and learning rate 1e-3 (its own is 1e-4
    for far longer trainings; not tuned here); DDIM at its default guidance and without.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        module = _file_of("denoising_diffusion_pytorch", "classifier_free_guidance.py")
        unet = module.Unet(dim=32, num_classes=10, channels=1, dim_mults=(1, 2, 4))
        self.diffusion: Any = module.GaussianDiffusion(
            unet, image_size=8, timesteps=1000, sampling_timesteps=STEPS
        )
        self.average: Any = copy.deepcopy(self.diffusion)

    def module(self) -> torch.nn.Module:
        return self.diffusion

    def optimiser(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.diffusion.parameters(), lr=1e-3, betas=(0.9, 0.99))

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        return self.diffusion((images + 1) / 2, classes=labels)  # it wants [0, 1]

    def rate(self, done: float) -> float:
        return 1.0

    def after_step(self, step: int) -> None:
        decay = min(0.995, (1 + step) / (10 + step))
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.diffusion.parameters(), strict=True)
            for mean, value in pairs:
                mean.lerp_(value, 1 - decay)

    def samples(self) -> Iterator[tuple[str, Tensor]]:
        net = self.average.model
        for name, scale in (("guidance 6", 6.0), ("no guidance", 1.0)):
            if scale == 1:
                # Version 2.3 fails here: its network returns one tensor where two are awaited.
                net.forward_with_cond_scale = _plain(net)
            parts = [self.average.sample(c, cond_scale=scale) for c in requested().split(CHUNK)]
            yield f"DDIM-{STEPS}, {name}", to_levels(torch.cat(parts) * 2 - 1)


def _plain(net: Any) -> Callable[..., tuple[Tensor, Tensor]]:
    """A conditional prediction, in the form of a guided one."""

    def forward(x: Tensor, t: Tensor, classes: Tensor, **_: Any) -> tuple[Tensor, Tensor]:
        out: Tensor = net(x, t, classes, cond_drop_prob=0.0)
        return out, out

    return forward


def _file_of(package: str, name: str) -> Any:
    """A module of a package without the package's own ``__init__``, which wants torchvision."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ImportError(f"no package {package!r}")
    path = Path(found.submodule_search_locations[0]) / name
    spec = importlib.util.spec_from_file_location(f"peer_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


PEERS: dict[str, Callable[[int], Peer]] = {
    "diffusers": Diffusers,
    "denoising-diffusion-pytorch": Lucidrains,
}
