"""Abilities of models: what commands, engine and evaluation ask for instead of a class."""

from typing import Any, Protocol, TypeVar, runtime_checkable

from torch import Tensor

from unnoise.core.condition import Condition
from unnoise.core.errors import InputError, within
from unnoise.likelihood import Likelihood
from unnoise.models.plan import Plan
from unnoise.models.request import SampleRequest

Ability = TypeVar("Ability")


@runtime_checkable
class Draws(Protocol):
    """A model that draws samples.

    Whoever wants its samples shared by several processes also takes ``first``, the number of the
    first sample, such that ``sample(1, first=17)`` is row 17 of ``sample(64)``.
    """

    def sample(self, n: int, cond: Condition | None = None, *, seed: int = 0) -> Tensor:
        """``n`` samples as modelled values, shape (n, *event)."""
        ...


@runtime_checkable
class Walks(Draws, Protocol):
    """A model that draws by walking from noise to data."""

    def plan(self, request: SampleRequest, denoiser: Any = None) -> Plan:
        """A walk, checked and planned."""
        ...


@runtime_checkable
class HasLikelihood(Protocol):
    """A model that says how probable data is."""

    def likelihood(self, x: Tensor, cond: Condition | None = None, *, seed: int = 0) -> Likelihood:
        """Log-density of modelled values (B, *event), exact or a bound."""
        ...


@runtime_checkable
class HasLatents(Protocol):
    """A model with a latent for every datum."""

    def encode(self, x: Tensor, cond: Condition | None = None) -> Tensor:
        """Latents of modelled values (B, *event)."""
        ...

    def decode(self, latent: Tensor, cond: Condition | None = None) -> Tensor:
        """Modelled values of latents; the inverse of ``encode``."""
        ...


@runtime_checkable
class Classifies(Protocol):
    """A model that says how probable each class of a noisy event is."""

    classes: int

    def log_probs(self, x: Tensor, t: Tensor | float) -> Tensor:
        """log p(y | x_t) of every class, shape (B, classes)."""
        ...


_WHY_NOT: dict[type, str] = {
    Draws: "draws nothing",
    Walks: "draws without a walk from noise to data",
    HasLikelihood: "knows no likelihood",
    HasLatents: "has no latents",
    Classifies: "knows no classes",
}


def needs(model: Any, ability: type[Ability], who: str = "") -> Ability:
    """A model that has an ability.

    Arguments:
        model: any model; one that has a method ``why_not(ability)`` is asked for the reason.
        ability: ``Draws``, ``Walks``, ``HasLikelihood`` ... or a class.
        who: how a refusal calls it, such as the name of its run.

    Raises:
        InputError: it has not; the sentence says why, and what to give.
    """
    if isinstance(model, ability):
        return model
    kind = type(model).__name__
    why = _WHY_NOT.get(ability, f"is no {ability.__name__}")
    asked = getattr(model, "why_not", None)
    told = asked(ability) if callable(asked) else None
    what = f"{within(who, 80)} holds a {kind}" if who else f"this is a {kind}"
    raise InputError(f"{what}, which {told or why}. Give another model.")
