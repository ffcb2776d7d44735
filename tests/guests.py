"""Models that are no Diffusion, as a stranger would write them: a GAN and a normalizing flow."""

import math
from typing import Any, final

import torch
from torch import Tensor, nn

import unnoise
from unnoise.catalogue.ranges import Shape, Width
from unnoise.core.condition import Condition
from unnoise.core.noise import Noise, seeded
from unnoise.likelihood import Likelihood
from unnoise.models import DrawSampling, Generative, Phase
from unnoise.objectives import Loss


@unnoise.register("model", "toy-gan")
@final
class ToyGan(Generative):
    """A GAN with two critic steps a generator step."""

    def __init__(self, shape: Shape = (2,), width: Width = 16, seed: int = 0) -> None:
        super().__init__()
        self.event, size = tuple(shape), math.prod(shape)
        self.info: Any = None
        self.recipe: dict[str, Any] = {}
        self.sampling = DrawSampling()
        with seeded(seed, "weights"):
            self.generator = nn.Sequential(nn.Linear(4, width), nn.Tanh(), nn.Linear(width, size))
            self.critic = nn.Sequential(
                nn.Linear(size, width), nn.SiLU(), nn.Dropout(0.1), nn.Linear(width, 1)
            )

    @property
    def shape(self) -> tuple[int, ...]:
        return self.event

    @property
    def classes(self) -> int | None:
        return None

    def phases(self) -> list[Phase]:
        return [
            Phase("critic", self.critic, self.critic_loss, betas=(0.5, 0.9), repeats=2),
            Phase("generator", self.generator, self.generator_loss, rate=0.5, weight_decay=0.0),
        ]

    def draw(self, noise: Noise) -> Tensor:
        z = noise.child("latent").normal(torch.empty(len(noise), 4))
        x = self.generator(z.to(next(self.parameters())))
        return x.reshape(len(noise), *self.shape)

    def critic_loss(self, x0: Tensor, cond: Condition | None, noise: Noise) -> Loss:
        real, fake = self.critic(x0.flatten(1)), self.critic(self.draw(noise).detach().flatten(1))
        value = nn.functional.softplus(-real)[:, 0] + nn.functional.softplus(fake)[:, 0]
        return Loss(value, {"real": real[:, 0].detach(), "fake": fake[:, 0].detach()})

    def generator_loss(self, x0: Tensor, cond: Condition | None, noise: Noise) -> Loss:
        value = nn.functional.softplus(-self.critic(self.draw(noise).flatten(1)))[:, 0]
        return Loss(value, {})

    def sample(
        self, n: int, cond: Condition | None = None, *, seed: int = 0, first: int = 0
    ) -> Tensor:
        with torch.no_grad():
            return self.draw(Noise(seed, range(first, first + n)))


@unnoise.register("model", "toy-flow")
@final
class ToyFlow(Generative):
    """A normalizing flow of one ActNorm and one linear map: its likelihood is exact."""

    begun: Tensor

    def __init__(self, shape: Shape = (2,), seed: int = 0) -> None:
        super().__init__()
        self.event, size = tuple(shape), math.prod(shape)
        self.info: Any = None
        self.recipe: dict[str, Any] = {}
        self.sampling = DrawSampling()
        with seeded(seed, "weights"):
            self.mix = nn.Linear(size, size)
        with torch.no_grad():
            self.mix.weight.mul_(0.1).add_(torch.eye(size))
        self.loc = nn.Parameter(torch.zeros(size))
        self.log_scale = nn.Parameter(torch.zeros(size))
        self.register_buffer("begun", torch.tensor(False))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.event

    @property
    def classes(self) -> int | None:
        return None

    def begin(self, x0: Tensor, cond: Condition | None) -> None:
        flat = x0.flatten(1)
        self.loc.copy_(flat.mean(0))
        self.log_scale.copy_(flat.std(0).clamp(min=1e-3).log())

    def phases(self) -> list[Phase]:
        return [Phase("flow", self, self.loss)]

    def loss(self, x0: Tensor, cond: Condition | None, noise: Noise) -> Loss:
        return Loss(-self.log_prob(x0))

    def encode(self, x: Tensor, cond: Condition | None = None) -> Tensor:
        z = self.mix((x.flatten(1) - self.loc) * (-self.log_scale).exp())
        return z.reshape(x.shape)

    def decode(self, latent: Tensor, cond: Condition | None = None) -> Tensor:
        turned = torch.linalg.solve(self.mix.weight, (latent.flatten(1) - self.mix.bias).T).T
        return (turned * self.log_scale.exp() + self.loc).reshape(latent.shape)

    def log_prob(self, x: Tensor) -> Tensor:
        z = self.encode(x).flatten(1)
        volume = torch.linalg.slogdet(self.mix.weight)[1] - self.log_scale.sum()
        return -0.5 * (z.square() + math.log(2 * math.pi)).sum(1) + volume

    def likelihood(
        self, x: Tensor, cond: Condition | None = None, *, seed: int = 0, first: int = 0
    ) -> Likelihood:
        with torch.no_grad():
            value = self.log_prob(x).double()
            return Likelihood(value, torch.zeros_like(value), self.encode(x), 1)

    def sample(
        self, n: int, cond: Condition | None = None, *, seed: int = 0, first: int = 0
    ) -> Tensor:
        noise = Noise(seed, range(first, first + n))
        z = noise.child("latent").normal(torch.empty(n, *self.shape))
        with torch.no_grad():
            return self.decode(z.to(self.loc))
