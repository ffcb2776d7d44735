"""Which answers a model has learned: with its condition, without it, or both."""

from unnoise.core.errors import InputError
from unnoise.denoisers import Constant, Guidance
from unnoise.models.base import Model


def check_branches(model: Model, guidance: Guidance, hidden: bool = False) -> None:
    """Refuse to ask a model for an answer that its training never practised.

    Training hides each guided slot of the condition in a share of the examples. Where that share
    was 0 the model knows nothing of an absent condition, where it was 1 nothing of a present one;
    it would answer all the same. A share that is not known is not refused.

    Arguments:
        model: that is asked.
        guidance: how strongly it leans towards its condition: 1 asks it with, 0 without, any other
            both.
        hidden: whether the condition is absent in every row.

    Raises:
        InputError: it never learned that.
    """
    shares = {slot: (model.hidden or {}).get(slot) for slot in model.guided & model.reads}
    without = hidden or guidance != Constant(1.0)
    with_it = not hidden and guidance != Constant(0.0)
    for slot, share in sorted(shares.items()):
        if share == 0 and without:
            raise InputError(
                f"training never hid the {slot} (label_dropout = 0), so this model has no answer "
                f"without it: give the {slot} and leave guidance at 1, or train with label_dropout "
                "= 0.1."
            )
        if share == 1 and with_it:
            raise InputError(
                f"training always hid the {slot} (label_dropout = 1), so this model knows no "
                f"{slot}: ask with guidance = 0, or train with label_dropout = 0.1."
            )
