"""Diffusion models: a network, a process and an objective as one thing to train and sample."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, final

from torch import Tensor, nn

from unnoise.catalogue.registry import member, register
from unnoise.core.condition import Condition
from unnoise.core.noise import Noise
from unnoise.data import DataInfo
from unnoise.denoisers import FixedSmall, Head, NetworkDenoiser, Variance
from unnoise.models.base import Phase
from unnoise.models.files import save
from unnoise.models.ode_model import OdeModel
from unnoise.models.sampling import Sampling
from unnoise.networks import Network, adopted
from unnoise.objectives import Loss, Objective, Regression
from unnoise.processes import VP, GaussianProcess


@register("model", "diffusion")
@final
class Diffusion(OdeModel):
    """Diffusion model: a network trained to denoise, with all that follows from it.

    Arguments:
        network: e.g. ``UNet(shape=(1, 8, 8), classes=10)``.
        process: how data becomes noise.
        head: what the network predicts: "v", "eps", "x0", "flow", "edm", or a Head.
        objective: what it is taught.
        variance: how sure its beliefs are.
        shape: of an event, where ``network`` is a plain torch module that is called as
            ``module(x, clock)``, or ``module(x, clock, label)``; see ``Foreign``.
        reads: slots of the condition that such a module is called with, such as {"label"}.

    Raises:
        InputError: the process is no schedule, or the head cannot work under it.
    """

    brought: ClassVar[tuple[str, ...]] = ("shape", "reads")

    @staticmethod
    def adopt(arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments with a plain module as a network of ours."""
        network = adopted(arguments["network"], arguments["shape"], arguments["reads"])
        return {**arguments, "network": network, "shape": None, "reads": None}

    def __init__(
        self,
        network: Network | nn.Module,
        process: GaussianProcess | str = VP(),
        head: Head | str = "v",
        objective: Objective | str = Regression(),
        variance: Variance | str = FixedSmall(),
        *,
        shape: Sequence[int] | None = None,
        reads: Iterable[str] | None = None,
    ) -> None:
        super().__init__()
        self.denoiser = NetworkDenoiser(
            member(Network, adopted(network, shape, reads)),
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

    # -- files ----------------------------------------------------------------------------------

    def save(self, path: str) -> None:
        """Write the model into one file that is complete by itself; ``unnoise.load`` reads it."""
        save(self, path)
