"""Abilities of models, asked for by what they can do and refused in a sentence."""

from typing import Any

import pytest
import torch

from tests.guests import ToyFlow, ToyGan
from tests.small import diffusion, pictures
from unnoise.core.errors import InputError
from unnoise.models import (
    Classifier,
    Classifies,
    Draws,
    HasLatents,
    HasLikelihood,
    Model,
    Walks,
    needs,
)
from unnoise.networks import MLPClassifier

ALL = (Draws, Walks, HasLikelihood, HasLatents, Classifies)
CAN: list[tuple[Any, set[Any]]] = [
    (lambda: diffusion(pictures()), {Draws, Walks, HasLikelihood, HasLatents}),
    (lambda: Classifier(MLPClassifier(shape=(2,), classes=3, width=8)), {Classifies}),
    (ToyGan, {Draws}),
    (ToyFlow, {Draws, HasLikelihood, HasLatents}),
]


@pytest.mark.parametrize(("make", "able"), CAN)
def test_abilities(make: Any, able: set[Any]):
    model: Model = make()
    assert {ability for ability in ALL if isinstance(model, ability)} == able
    for ability in ALL:
        if ability in able:
            assert needs(model, ability) is model
            continue
        with pytest.raises(InputError, match=type(model).__name__) as caught:
            needs(model, ability, "runs/mine")
        assert str(caught.value).startswith("runs/mine holds a ") and len(str(caught.value)) <= 200


class Shy(ToyFlow):  # pyright: ignore[reportGeneralTypeIssues]
    likelihood = None  # pyright: ignore[reportAssignmentType,reportIncompatibleMethodOverride]

    def why_not(self, ability: type) -> str | None:
        return "keeps its likelihood to itself" if ability is HasLikelihood else None


def test_a_model_may_say_why_not():
    with pytest.raises(InputError, match="Shy, which keeps its likelihood to itself"):
        needs(Shy(), HasLikelihood)


def test_likelihoods_say_what_they_are():
    model, x = diffusion(), torch.zeros(2, 2)
    exact, bound = model.likelihood(x, steps=4), model.elbo(x, steps=4, draws=1)
    assert (exact.kind, exact.of) == ("exact", "density")
    assert (bound.kind, bound.of) == ("bound", "density")
    levels = diffusion(pictures()).elbo(pictures().batch(torch.arange(2)).x, steps=4, draws=1)
    assert (levels.kind, levels.of) == ("bound", "levels")
