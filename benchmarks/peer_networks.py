"""Networks of the peers, imported when asked for; a missing one raises ImportError."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any, final

import torch
from torch import Tensor, nn

from unnoise import Condition, UNet
from unnoise.networks import Network

SHAPE = (1, 28, 28)
_FEATURES = 128


def tutorial_unet(side: int, **more: Any) -> nn.Module:
    """diffusers' U-Net of (32, 64, 64) channels with attention on the two lower floors, as in the
    units of Hugging Face's diffusion course."""
    return importlib.import_module("diffusers").UNet2DModel(
        sample_size=side,
        in_channels=1,
        out_channels=1,
        layers_per_block=2,
        block_out_channels=(32, 64, 64),
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        **more,
    )


def azula_unet() -> nn.Module:
    """azula's U-Net of 2.4 M weights."""
    made: Any = importlib.import_module("azula.nn.unet").UNet
    return made(1, 1, mod_features=_FEATURES, hid_channels=(32, 64, 96), hid_blocks=(2, 2, 2))


def ours(classes: int | None = None) -> UNet:
    """At least three quarters of the tutorial's weights, most of them where pixels are few."""
    return UNet(shape=SHAPE, width=16, multipliers=(2, 7), patch=2, classes=classes)


@final
class Peer(Network):
    """A peer's network as one of ours: it reads the clock and a label.

    Arguments:
        inner: called as ``call(inner, x, features)`` or as ``call(inner, x, time, label)``.
    """

    def __init__(self, inner: nn.Module, call: Callable[..., Tensor]) -> None:
        super().__init__()
        self.inner, self.call = inner, call
        self.shape, self.classes, self.reads = SHAPE, 10, frozenset({"label"})

    def compute(self, x: Tensor, clock: Tensor, cond: Condition | None) -> Tensor:
        assert cond is not None and cond.label is not None
        return self.call(self.inner, x, clock, cond.label)


@final
class _Modulated(nn.Module):
    """azula's network takes features of clock and label; these are of the usual kind."""

    def __init__(self) -> None:
        super().__init__()
        self.net = azula_unet()
        self.label = nn.Embedding(10, _FEATURES)
        self.mix = nn.Sequential(
            nn.Linear(_FEATURES, _FEATURES), nn.SiLU(), nn.Linear(_FEATURES, _FEATURES)
        )
        self.register_buffer("scale", torch.logspace(-2, 1, _FEATURES // 2))

    def forward(self, x: Tensor, clock: Tensor, label: Tensor) -> Tensor:
        angle = clock[:, None] * self.get_buffer("scale")
        waves = torch.cat([angle.sin(), angle.cos()], 1)
        return self.net(x, self.mix(waves + self.label(label)))


def conditional(seed: int) -> Mapping[str, Callable[[], Network]]:
    """Networks of the same task, by name: 28x28 pixels, ten classes, a clock of log SNR."""

    def diffusers() -> Network:
        torch.manual_seed(seed)
        net = tutorial_unet(28, num_class_embeds=10)
        # Its clock runs from 0 to 999; log SNR from 8 (clean) to -6 (noise).
        return Peer(net, lambda net, x, c, label: net(x, (8 - c) * 999 / 14, label).sample)

    def azula() -> Network:
        torch.manual_seed(seed)
        return Peer(_Modulated(), lambda net, x, clock, label: net(x, clock, label))

    return {"unnoise": lambda: ours(10), "diffusers": diffusers, "azula": azula}
