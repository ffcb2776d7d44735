"""Noise-conditional classifier networks, as for classifier guidance."""

import math
from abc import ABC, abstractmethod
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from unnoise.catalogue.ranges import Depth, Examples, Fraction, Multipliers, Several, Shape, Width
from unnoise.catalogue.registry import register
from unnoise.core.errors import InputError
from unnoise.core.noise import seeded
from unnoise.networks.blocks import norm
from unnoise.networks.descent import Descent
from unnoise.networks.embeddings import Context, zero
from unnoise.networks.mlp import Trunk


class ClassifierNetwork(nn.Module, ABC):
    """Base class of classifier networks for noisy events.

    Attributes:
        shape: the event shape it was made for.
        classes: number of labels.
    """

    family: ClassVar[str] = "classifier"
    shape: tuple[int, ...]
    classes: int

    @final
    def forward(self, x: Tensor, clock: Tensor) -> Tensor:
        """Class logits, shape (B, classes).

        Arguments:
            x: inputs, shape (B, *shape).
            clock: the noise level as log SNR, shape (B,), float32.

        Raises:
            InputError: the shape is another.
        """
        if tuple(x.shape[1:]) != self.shape:
            raise InputError(
                f"{type(self).__name__} was made for events of shape {self.shape}; "
                f"given {tuple(x.shape[1:])}."
            )
        return self.compute(x, clock)

    @abstractmethod
    def compute(self, x: Tensor, clock: Tensor) -> Tensor:
        """The computation itself; arguments are those of ``forward``, already checked."""


@register("classifier", "mlp")
@final
class MLPClassifier(ClassifierNetwork):
    """MLP classifier: a multilayer perceptron over the flattened event.

    Arguments:
        shape: event shape, any number of axes.
        classes: number of labels.
        width, depth, context, dropout: as of ``MLP``.
        seed: of the initial weights.
    """

    def __init__(
        self,
        shape: Shape,
        classes: Examples,
        width: Width = 256,
        depth: Depth = 2,
        context: Width = 64,
        dropout: Fraction = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.shape, self.classes = tuple(shape), classes
        with seeded(seed, "weights"):
            self.trunk = Trunk(math.prod(self.shape), width, depth, context, None, dropout)
            self.out = zero(nn.Linear(width, classes))

    def compute(self, x: Tensor, clock: Tensor) -> Tensor:
        return self.out(self.trunk(x.flatten(1), clock, None))


@final
class AttentionPool(nn.Module):
    """Attention pooling: the query is the mean over positions, keys and values all positions.

    Arguments:
        channels: channels in.
        positions: how many positions there are.
        out: numbers out.
        head: channels of a head, at most.

    References:
        Radford et al., Learning transferable visual models from natural language supervision,
        ICML 2021, section 2.4.
    """

    def __init__(self, channels: int, positions: int, out: int, head: int = 64) -> None:
        super().__init__()
        self.heads = next(n for n in range(max(1, channels // head), 0, -1) if channels % n == 0)
        self.norm = norm(channels)
        self.place = nn.Embedding(positions, channels)
        self.ask = nn.Linear(channels, channels)
        self.answer = nn.Linear(channels, 2 * channels)
        self.out = zero(nn.Linear(channels, out))

    def forward(self, x: Tensor) -> Tensor:
        """Shape (B, out), of features (B, channels, ...)."""
        tokens = functional.silu(self.norm(x)).flatten(2).transpose(1, 2)
        mean = tokens.mean(1, keepdim=True)
        place = self.place.weight / tokens.shape[-1] ** 0.5
        tokens = torch.cat([mean, tokens + place.to(tokens)], 1)
        query = self.ask(mean).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        answers = self.answer(tokens).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        keys, values = torch.unbind(answers)
        seen = functional.scaled_dot_product_attention(query, keys, values)
        return self.out(seen.flatten(1))


@register("classifier", "half-unet")
@final
class HalfUNet(ClassifierNetwork):
    """Classifier from the encoder half of a U-Net, with attention pooling.

    Arguments:
        shape: event shape (C, L) or (C, H, W); every length divisible by patch 2^(levels - 1).
        classes: number of labels.
        width, multipliers, blocks, dropout, patch: as of ``UNet``.
        seed: of the initial weights.

    Raises:
        InputError: the shape does not fit.

    References:
        Dhariwal and Nichol, Diffusion models beat GANs on image synthesis, NeurIPS 2021,
        section 4.3 and appendix H.
    """

    def __init__(
        self,
        shape: Shape,
        classes: Examples,
        width: Width = 32,
        multipliers: Multipliers = (1, 2),
        blocks: Several = 1,
        dropout: Fraction = 0.0,
        patch: Several = 1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.shape, self.classes = tuple(shape), classes
        context, sizes = 4 * width, [width * m for m in multipliers]
        with seeded(seed, "weights"):
            self.context = Context(context, None)
            self.descent = Descent(self.shape, width, sizes, blocks, context, dropout, patch)
            factor = patch * 2 ** (len(sizes) - 1)
            positions = math.prod(n // factor for n in self.shape[1:])
            self.pool = AttentionPool(sizes[-1], positions, classes)

    def compute(self, x: Tensor, clock: Tensor) -> Tensor:
        return self.pool(self.descent(x, self.context(clock, None))[-1])
