"""Guides: classifier-free guidance, classifier guidance, autoguidance, any log-probability."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast, final, runtime_checkable

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
from unnoise.spaces import Labels

if TYPE_CHECKING:
    from unnoise.models.classifier import Classifier
    from unnoise.models.ode_model import OdeModel


@final
@dataclass(frozen=True)
class Guide:
    """Guide: what the belief of a model is compared with, as a function that wraps a denoiser.

    Arguments:
        arrange: ``arrange(model, denoiser, guidance)`` gives the guided denoiser, or refuses, by
            an InputError, a model that it cannot guide; ``guidance`` is None where nobody said how
            strongly.
        labels: the classes that can be asked for; None takes the model's.
        divides_by_alpha: whether it has no answer where alpha is 0.
        needs_label: whether it has nothing to say without a label.
    """

    arrange: Callable[["OdeModel", GaussianDenoiser, Guidance | None], GaussianDenoiser]
    labels: Labels | None = None
    divides_by_alpha: bool = False
    needs_label: bool = False


@runtime_checkable
class CanGuide(Protocol):
    """A model that knows how it guides others."""

    def as_guide(self) -> Guide: ...


def guide_of(given: Any) -> Guide:
    """The guide that the argument ``guide`` of ``SampleRequest`` means.

    Arguments:
        given: None, a weaker model, a Classifier, a function ``log_prob(x, t, cond)``, or a Guide.

    Raises:
        InputError: it is none of these.
    """
    if given is None:
        return Guide(_without_condition)
    if isinstance(given, Guide):
        return given
    if isinstance(given, CanGuide):
        return given.as_guide()
    if callable(given) and not isinstance(given, torch.nn.Module):
        return by_log_prob(cast(LogProb, given))
    raise InputError(
        f"guide = {type(given).__name__}: give a weaker model, a Classifier, or a function "
        "log_prob(x, t, cond)."
    )


def _without_condition(
    model: "OdeModel", denoiser: GaussianDenoiser, guidance: Guidance | None
) -> GaussianDenoiser:
    """The model itself without its condition: classifier-free guidance."""
    return ClassifierFree(denoiser, guidance or model.sampling.guidance, model.network.guided)


def by_log_prob(log_prob: LogProb) -> Guide:
    """Any log-probability, as of ``Guided``; the model itself stays plain conditional."""
    return Guide(
        lambda _, denoiser, guidance: Guided(denoiser, log_prob, guidance or 1.0),
        divides_by_alpha=True,
    )


def by_classifier(classifier: "Classifier") -> Guide:
    """p(y | x_t) of a classifier trained on the same data; the model is asked unconditionally."""

    def arrange(
        model: "OdeModel", denoiser: GaussianDenoiser, guidance: Guidance | None
    ) -> GaussianDenoiser:
        _check_alike("the classifier", classifier, model, unlabelled=True)
        log_prob = classifier.under(denoiser.process)
        alone = ClassifierFree(denoiser, 0.0, model.network.guided)
        return Guided(alone, log_prob, guidance or 1.0)

    return Guide(arrange, classifier.labels, divides_by_alpha=True, needs_label=True)


def by_weaker(weaker: "OdeModel") -> Guide:
    """A model that errs more in the same way, of the same data and process: autoguidance."""

    def arrange(
        model: "OdeModel", denoiser: GaussianDenoiser, guidance: Guidance | None
    ) -> GaussianDenoiser:
        _check_alike("the weaker model", weaker, model)
        times = torch.linspace(0, 1, 65, dtype=torch.float64)
        ours, theirs = (each.process.angle(times) for each in (weaker, model))
        if (ours - theirs).abs().max() > 1e-9:
            raise InputError(
                f"the weaker model was trained under another process, {weaker.process}; the model "
                f"under {model.process}. Train both under the same."
            )
        if guidance is None:
            raise InputError("say how strongly to lean away from the weaker model: guidance = 2.")
        return Autoguided(denoiser, weaker.denoiser, guidance)

    return Guide(arrange)


def _check_alike(
    who: str, guiding: "Classifier | OdeModel", model: "OdeModel", unlabelled: bool = False
) -> None:
    """Refuse other events, or other labels (``unlabelled``: a model without any will do)."""
    if tuple(guiding.shape) != tuple(model.shape):
        raise InputError(
            f"{who} was made for events of shape {tuple(guiding.shape)}; the model makes "
            f"{tuple(model.shape)}."
        )
    if guiding.classes != model.classes and not (unlabelled and model.classes is None):
        raise InputError(
            f"{who} knows {guiding.classes or 'no'} labels, the model {model.classes or 'none'}; "
            "train both on the same data."
        )
