"""Diffusion models: a network, a process and an objective as one thing to train and sample."""

from collections.abc import Iterator
from typing import Any, ClassVar, final

from torch import Tensor
from typing_extensions import Unpack

from unnoise.catalogue.registry import member, register
from unnoise.core.condition import Condition
from unnoise.core.noise import Noise
from unnoise.data import DataInfo
from unnoise.denoisers import FixedSmall, GaussianDenoiser, Head, NetworkDenoiser, Variance
from unnoise.likelihood.given import check_data
from unnoise.models.base import Phase
from unnoise.models.files import save
from unnoise.models.ode_model import OdeModel
from unnoise.models.plan import Plan, plan
from unnoise.models.request import SampleKeywords, SampleRequest
from unnoise.models.sampling import Sampling
from unnoise.networks import Network
from unnoise.objectives import Loss, Objective, Regression
from unnoise.processes import VP, GaussianProcess
from unnoise.solvers import Step


@register("model", "diffusion")
@final
class Diffusion(OdeModel):
    """A network that learns to denoise, and everything that follows from it.

    Arguments:
        network: e.g. ``UNet(shape=(1, 8, 8), classes=10)``.
        process: how data becomes noise.
        head: what the network predicts: "v", "eps", "x0", "flow", "edm", or a Head.
        objective: what it is taught.
        variance: how sure its beliefs are.

    Raises:
        InputError: the process is no schedule, or the head cannot work under it.
    """

    sampling_kind: ClassVar[str | None] = "walk"

    def __init__(
        self,
        network: Network,
        process: GaussianProcess | str = VP(),
        head: Head | str = "v",
        objective: Objective | str = Regression(),
        variance: Variance | str = FixedSmall(),
    ) -> None:
        super().__init__()
        self.denoiser = NetworkDenoiser(
            member(Network, network),
            member(GaussianProcess, process),
            member(Head, head),
            member(Variance, variance),
        )
        self._objective: Objective = member(Objective, objective)
        self.reads, self.guided = self.network.reads, self.network.guided
        self.sampling = Sampling()
        self.info: DataInfo | None = None
        self.recipe: dict[str, Any] = {}

    @property
    def objective(self) -> Objective:
        """What it is taught; fixed, like the network, because the file tells how it was made."""
        return self._objective

    @property
    def shape(self) -> tuple[int, ...]:
        """Event shape."""
        return self.network.shape

    @property
    def classes(self) -> int | None:
        """Number of labels; None where the network reads none."""
        return self.network.classes

    # -- training -------------------------------------------------------------------------------

    def loss(self, x0: Tensor, cond: Condition | None, noise: Noise) -> Loss:
        """The objective's loss on modelled values ``x0``, shape (B, *event)."""
        return self.objective(self.denoiser, x0, cond, noise)

    def phases(self) -> list[Phase]:
        return [Phase("diffusion", self.denoiser, self.loss)]

    # -- sampling -------------------------------------------------------------------------------

    def plan(self, request: SampleRequest, denoiser: GaussianDenoiser | None = None) -> Plan:
        """Check a request and plan its walk once, for any of its samples; draws nothing.

        Arguments:
            request: what is asked.
            denoiser: in place of the model's own, such as one that shares its calls with others.
        """
        return plan(self, request, denoiser)

    def sample(
        self, n: int, cond: Condition | None = None, **keywords: Unpack[SampleKeywords]
    ) -> Tensor:
        """Draw samples. Sample k of a seed is the same whatever ``n`` and ``first`` are.

        Arguments:
            n, cond, keywords: as of ``SampleRequest``.

        Returns:
            Modelled values, shape (n, *event), float32; ``model.info.to_bytes`` makes pictures.

        Raises:
            InputError: before the first network call, when an argument cannot be used.
            NumbersError: the samples hold NaN or infinite numbers.
        """
        return self.plan(SampleRequest.of(n, cond, keywords)).sample()

    def walk(
        self, n: int, cond: Condition | None = None, **keywords: Unpack[SampleKeywords]
    ) -> Iterator[Step]:
        """The steps that ``sample`` takes, for films and progress; arguments as there."""
        return self.plan(SampleRequest.of(n, cond, keywords)).walk()

    def vary(self, x: Tensor, strength: float = 0.5, **keywords: Unpack[SampleKeywords]) -> Tensor:
        """Variations of given data: some of the way to noise, and back another way.

        Arguments:
            x: modelled values, shape (B, *event).
            strength: share of the way, in angle: near 0 keeps everything, 1 nothing.
            keywords: as of ``sample``.

        Returns:
            One for each, shape (B, *event); another ``seed`` gives others.

        References:
            Meng et al., SDEdit, ICLR 2022, algorithm 1.
        """
        check_data(x, "the data to vary", self.shape)
        return self.sample(len(x), **{**keywords, "near": (x, strength)})

    # -- files ----------------------------------------------------------------------------------

    def save(self, path: str) -> None:
        """Write the model into one file that is complete by itself; ``unnoise.load`` reads it."""
        save(self, path)
