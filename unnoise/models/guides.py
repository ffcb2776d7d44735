"""Who tells a model where its samples should go, and how strongly."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, cast, final, runtime_checkable

import torch

from unnoise.core.errors import InputError
from unnoise.denoisers import (
    Autoguided,
    ClassifierFree,
    GaussianDenoiser,
    Guidance,
    Guided,
    LogProb,
)
from unnoise.denoisers.guidance import Constant
from unnoise.processes import GaussianProcess


class GuidedModel(Protocol):
    """What guides ask of a model."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def classes(self) -> int | None: ...
    @property
    def denoiser(self) -> GaussianDenoiser: ...


class NoisyClassifier(Protocol):
    """A classifier of noisy events."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def classes(self) -> int: ...
    def under(self, process: GaussianProcess) -> LogProb: ...


class Guide(ABC):
    """What is compared with what the model believes anyway.

    Attributes:
        divides_by_alpha: whether it has no answer where alpha is 0.
        needs_label: whether it has nothing to say without a label.
    """

    divides_by_alpha: ClassVar[bool] = False
    needs_label: ClassVar[bool] = False

    @abstractmethod
    def check(self, model: GuidedModel) -> None:
        """Refuse a model that it cannot guide.

        Raises:
            InputError: says how they differ.
        """

    @abstractmethod
    def classes(self, model: GuidedModel) -> int | None:
        """Number of labels that can be asked for; None where there are none."""

    @abstractmethod
    def scale(self, asked: Guidance | None, own: Guidance) -> Guidance:
        """How strongly, where nobody said (``asked`` is None); ``own`` is the model's default."""

    @abstractmethod
    def arrange(
        self, denoiser: GaussianDenoiser, guidance: Guidance, slots: frozenset[str]
    ) -> GaussianDenoiser:
        """The guided denoiser; ``slots`` of the condition may be hidden."""


@final
class Itself(Guide):
    """The model without its condition: classifier-free guidance."""

    def check(self, model: GuidedModel) -> None:
        """Every model can."""

    def classes(self, model: GuidedModel) -> int | None:
        return model.classes

    def scale(self, asked: Guidance | None, own: Guidance) -> Guidance:
        return own if asked is None else asked

    def arrange(
        self, denoiser: GaussianDenoiser, guidance: Guidance, slots: frozenset[str]
    ) -> GaussianDenoiser:
        return ClassifierFree(denoiser, guidance, slots)


@final
@dataclass(frozen=True)
class Weaker(Guide):
    """A model that errs more in the same way: autoguidance.

    Arguments:
        model: trained on the same data under the same process.
    """

    model: GuidedModel

    def check(self, model: GuidedModel) -> None:
        _same_events("the weaker model", self.model.shape, model)
        if self.model.classes != model.classes:
            raise InputError(
                f"the weaker model knows {self.model.classes or 'no'} labels, the model "
                f"{model.classes or 'none'}; train both on the same data."
            )
        ours, theirs = (each.denoiser.process for each in (self.model, model))
        if _angles(ours).sub(_angles(theirs)).abs().max() > 1e-9:
            raise InputError(
                f"the weaker model was trained under another process, {ours}; the model under "
                f"{theirs}. Train both under the same."
            )

    def classes(self, model: GuidedModel) -> int | None:
        return model.classes

    def scale(self, asked: Guidance | None, own: Guidance) -> Guidance:
        if asked is None:
            raise InputError("say how strongly to lean away from the weaker model: guidance = 2.")
        return asked

    def arrange(
        self, denoiser: GaussianDenoiser, guidance: Guidance, slots: frozenset[str]
    ) -> GaussianDenoiser:
        return Autoguided(denoiser, self.model.denoiser, guidance)


@final
@dataclass(frozen=True)
class ByClassifier(Guide):
    """p(y | x_t) of a classifier; the model itself is asked unconditionally.

    Arguments:
        classifier: trained on the same data, with noise.
    """

    divides_by_alpha = True
    needs_label = True
    classifier: NoisyClassifier

    def check(self, model: GuidedModel) -> None:
        _same_events("the classifier", self.classifier.shape, model)
        self.classifier.under(model.denoiser.process)
        if model.classes not in (None, self.classifier.classes):
            raise InputError(
                f"the classifier knows {self.classifier.classes} labels, the model "
                f"{model.classes}; train both on the same data."
            )

    def classes(self, model: GuidedModel) -> int | None:
        return self.classifier.classes

    def scale(self, asked: Guidance | None, own: Guidance) -> Guidance:
        return Constant() if asked is None else asked

    def arrange(
        self, denoiser: GaussianDenoiser, guidance: Guidance, slots: frozenset[str]
    ) -> GaussianDenoiser:
        log_prob = self.classifier.under(denoiser.process)
        alone = ClassifierFree(denoiser, 0.0, slots)
        return Guided(alone, log_prob, guidance)


@final
@dataclass(frozen=True)
class ByLogProb(Guide):
    """Any log-probability; the model itself stays plain conditional.

    Arguments:
        log_prob: as of ``Guided``.
    """

    divides_by_alpha = True
    log_prob: LogProb

    def check(self, model: GuidedModel) -> None:
        """It is asked, and checked, in the first step."""

    def classes(self, model: GuidedModel) -> int | None:
        return model.classes

    def scale(self, asked: Guidance | None, own: Guidance) -> Guidance:
        return Constant() if asked is None else asked

    def arrange(
        self, denoiser: GaussianDenoiser, guidance: Guidance, slots: frozenset[str]
    ) -> GaussianDenoiser:
        return Guided(denoiser, self.log_prob, guidance)


@runtime_checkable
class CanGuide(Protocol):
    """A model that knows how it guides others."""

    def as_guide(self) -> Guide: ...


def guide_of(given: Any) -> Guide:
    """What the argument ``guide`` of ``Diffusion.sample`` means.

    Arguments:
        given: None, a weaker model, a Classifier, a function ``log_prob(x, t, cond)``, or a Guide.

    Raises:
        InputError: it is none of these.
    """
    if given is None:
        return Itself()
    if isinstance(given, Guide):
        return given
    if isinstance(given, CanGuide):
        return given.as_guide()
    if callable(given) and not isinstance(given, torch.nn.Module):
        return ByLogProb(cast(LogProb, given))
    raise InputError(
        f"guide = {type(given).__name__}: give a weaker model, a Classifier, or a function "
        "log_prob(x, t, cond)."
    )


def _same_events(who: str, shape: tuple[int, ...], model: GuidedModel) -> None:
    if tuple(shape) != tuple(model.shape):
        raise InputError(
            f"{who} was made for events of shape {tuple(shape)}; the model makes "
            f"{tuple(model.shape)}."
        )


def _angles(process: GaussianProcess) -> torch.Tensor:
    return process.angle(torch.linspace(0, 1, 65, dtype=torch.float64))
