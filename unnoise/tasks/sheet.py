"""Sample sheets that show themselves: ``unnoise.show``, in a notebook and elsewhere."""

from collections.abc import Iterable, Sequence
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import torch
from torch import Tensor

from unnoise.catalogue.registry import build
from unnoise.core.errors import InputError, short, within
from unnoise.models.conditions import UNIFORM, drawn_classes
from unnoise.plots import SampleLabels, png_bytes, save_image
from unnoise.spaces import Labels, Space, display_of
from unnoise.tasks.output import check_target

if TYPE_CHECKING:
    from PIL.Image import Image

Label = int | str | Sequence[int | str] | Tensor


@final
class Sheet:
    """Sample sheet: a picture of samples that a notebook shows by itself.

    Arguments:
        image: a Pillow image.
        about: plain values for the PNG's text chunk, such as {"n": 64}.
    """

    def __init__(self, image: "Image", about: dict[str, Any]) -> None:
        self.image = image
        self.about = about

    def __repr__(self) -> str:
        width, height = self.image.size
        return f"<sheet of {self.about['n']:,} samples, {width} x {height}: .save('samples.png')>"

    def _repr_png_(self) -> bytes:
        """The PNG that IPython asks for."""
        return png_bytes(self.image, self.about)

    def save(self, path: str | Path) -> None:
        """Write the sheet into a PNG file.

        Arguments:
            path: of the file; one that unnoise made is replaced.

        Raises:
            InputError: another suffix, no such folder, or a file that unnoise did not make.
            StorageError: the disk refuses.
        """
        path = Path(path)
        if path.suffix.lower() != ".png":
            raise InputError(f"{path}: a sheet is a .png file; give a name that ends in .png.")
        check_target(path)
        save_image(self.image, path, self.about)


def show(x: Tensor, model: Any, label: Label | None = None, *, columns: int | None = None) -> Sheet:
    """Sample sheet of events: a contact sheet, scatter plot, line plots, whatever suits the data.

    Arguments:
        x: modelled values, shape (N, *event), such as ``model.sample(64)``; or one event.
        model: whose events they are: a model or a data set.
        label: class of all or of each, by number or name; "uniform" as of ``sample``. Those of a
            class stand together under its name, or in its colour.
        columns: events in a row, in their own order; None chooses, so that the sheet is near
            square.

    Returns:
        A ``Sheet``: a notebook shows it, ``save`` writes it, ``image`` is a Pillow image.

    Raises:
        InputError: values that are no events of the model, labels of another number, or a model
            that does not know what its events are.
    """
    info = getattr(model, "info", model)
    space: Any = getattr(model if info is None else info, "space", None)
    if not isinstance(space, Space):
        raise InputError(f"model = {short(model)}: give a model or a data set; it says what x is.")
    events = _events(x, space)
    known: Labels | None = getattr(info, "labels", None)
    labels = None if label is None else _labels(label, len(events), known)
    display = display_of(space)
    drawing = build("drawing", display.drawing)
    about: dict[str, Any] = {"what": "samples", "n": len(events)}
    if getattr(info, "name", None):
        about["data"] = within(str(getattr(info, "name", "")), 80)
    return Sheet(drawing.sheet(display.visible(space, events), columns, labels), about)


def _events(x: Tensor, space: Space) -> Tensor:
    """Modelled values (N, *event), of a batch or of one event."""
    if not isinstance(x, Tensor):
        raise InputError(f"x is a {type(x).__name__}; give a tensor of shape (N, *event).")
    if not x.is_floating_point():
        raise InputError(
            f"x is {short(x.dtype)}; give modelled values (float). data.info.to_model(levels) "
            "makes them of stored ones."
        )
    batch = x[None] if x.shape == space.shape else x
    if tuple(batch.shape[1:]) != tuple(space.shape) or not len(batch):
        raise InputError(
            f"x has shape {short(tuple(x.shape))}; accepted is (N, *event), N >= 1, with event = "
            f"{short(tuple(space.shape))}."
        )
    return batch.detach().float().cpu()


def _labels(label: Label, count: int, known: Labels | None) -> SampleLabels:
    """Classes of ``count`` samples, of one for all or one for each."""
    if isinstance(label, str) and label == UNIFORM and known is not None:
        return SampleLabels(drawn_classes(known, UNIFORM, range(count), 0), known.names)
    if not isinstance(label, Tensor):
        many = (
            [label] * count if isinstance(label, str) or not isinstance(label, Iterable) else label
        )
        label = torch.tensor([_number(each, known) for each in many], dtype=torch.int64)
    if label.ndim == 0:
        label = label.expand(count)
    if label.shape != (count,) or label.is_floating_point() or label.is_complex():
        raise InputError(
            f"label of shape {short(tuple(label.shape))}, {short(label.dtype)}; give a class "
            f"number, or {count:,} of them."
        )
    numbers = label.detach().cpu().long()
    most = 2**31 if known is None else known.classes
    bad = numbers[(numbers < 0) | (numbers >= most)]
    if len(bad):
        raise InputError(f"label {int(bad[0])}: the classes here are 0 to {most - 1}.")
    return SampleLabels(numbers, None if known is None else known.names)


def _number(label: int | str, known: Labels | None) -> int:
    if isinstance(label, str):
        if known is None:
            raise InputError(f"label {short(label)}: the classes here have no names; give numbers.")
        return known.number(label)
    try:
        number = index(label)  # whole numbers of numpy as well
    except TypeError as error:
        raise InputError(f"label {short(label)}: give class numbers, or names.") from error
    return min(max(number, -1), 2**31)  # far beyond any class, and refused as such
