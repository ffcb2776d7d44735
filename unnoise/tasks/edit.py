"""Real pictures, filled in, coloured, sharpened, varied, relabelled, or walked between."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from unnoise.core.errors import InputError
from unnoise.data import DataInfo
from unnoise.data.pictures.decode import Look, RefusedFile, read_picture
from unnoise.models import Imputation, Measurement, OdeModel
from unnoise.operators import Blur, Downscale, Grey, Mask, Operator, Projection
from unnoise.plots import save_image, sheet
from unnoise.spaces import Picture, display_of
from unnoise.tasks.output import info_of


@dataclass(frozen=True)
class Edited:
    """What became of one picture.

    Arguments:
        shown: pictures for the left of the row, uint8, each (C, H, W), by what they are.
        samples: modelled values, shape (K, *event).
    """

    shown: Mapping[str, Tensor]
    samples: Tensor


class Job(ABC):
    """One kind of edit, of one picture at a time."""

    @abstractmethod
    def edit(self, model: OdeModel, path: Path, count: int, **how: Any) -> Edited:
        """``count`` results for the picture in a file; ``how`` are arguments of ``sample``."""


@final
@dataclass(frozen=True)
class Restore(Job):
    """Results that agree with what is left of a whole picture once a part is hidden.

    Arguments:
        operator: what is left.
        by: the imputation.
        std: standard deviation of the measurement's noise, in modelled units.
    """

    operator: Projection
    by: Imputation
    std: float = 0.0

    def edit(self, model: OdeModel, path: Path, count: int, **how: Any) -> Edited:
        info = info_of(model)
        x = read(path, info, info.shape)
        value = self.operator(x)
        seen = self.operator.impose(torch.zeros_like(x), value)
        given = Measurement(self.operator, value, self.by, self.std)
        samples = model.sample(count, given=given, **how).cpu()
        return Edited({"given": info.to_bytes(x)[0], "seen": info.to_bytes(seen)[0]}, samples)


@final
@dataclass(frozen=True)
class Undo(Job):
    """Results of which an operator leaves the picture: a small or a blurred one.

    Arguments:
        operator: what made it.
        by: the imputation.
        std: standard deviation of the measurement's noise, in modelled units.
    """

    operator: Operator
    by: Imputation
    std: float = 0.0

    def edit(self, model: OdeModel, path: Path, count: int, **how: Any) -> Edited:
        info = info_of(model)
        value = read(path, info, self.operator(torch.zeros(1, *info.shape)).shape[1:])
        std = max(self.std, abs(info.scale) / 12**0.5)  # a level is known to its width only
        given = Measurement(self.operator, value, self.by, std)
        shown = functional.interpolate(info.to_bytes(value), info.shape[1:])[0]
        return Edited({"given": shown}, model.sample(count, given=given, **how).cpu())


@final
@dataclass(frozen=True)
class Vary(Job):
    """Results near the picture.

    Arguments:
        strength: share of the way to noise.
    """

    strength: float

    def edit(self, model: OdeModel, path: Path, count: int, **how: Any) -> Edited:
        info = info_of(model)
        x = read(path, info, info.shape)
        rows = x.expand(count, *x.shape[1:])
        samples = model.vary(rows, self.strength, **how).cpu()
        return Edited({"given": info.to_bytes(x)[0]}, samples)


@final
@dataclass(frozen=True)
class Relabel(Job):
    """The picture as one of another class: inverted under its own, decoded under the other.

    Arguments:
        label: the other class.

    References:
        Song et al., Denoising diffusion implicit models, ICLR 2021, section 4.3 (the inversion).
    """

    label: int

    def edit(self, model: OdeModel, path: Path, count: int, **how: Any) -> Edited:
        """One result; ``how`` are arguments of ``decode``, and ``label`` that of the picture, None
        where nobody knows."""
        if model.classes is None:
            raise InputError("this model knows no labels, so there is no other class to make.")
        info = info_of(model)
        x = read(path, info, info.shape)
        walk = {name: how[name] for name in ("solver", "steps") if name in how}
        latent = model.encode(x, label=how.pop("label", None), **walk)
        samples = model.decode(latent, label=self.label, **how).cpu()
        return Edited({"given": info.to_bytes(x)[0]}, samples)


def read(path: Path, info: DataInfo, event: Sequence[int]) -> Tensor:
    """A picture file as modelled values, shape (1, *event).

    Raises:
        InputError: it cannot be read, or has another size.
    """
    _picture(info)
    pixels = torch.from_numpy(_pixels(path, Look(channels=info.channels)))
    if tuple(pixels.shape[1:]) != tuple(event[1:]):
        raise InputError(
            f"{path} is {pixels.shape[2]} x {pixels.shape[1]}; this model takes {event[2]} x "
            f"{event[1]} here. Scale it first."
        )
    levels = info.levels or 256
    stored = (pixels[None].float() * (levels - 1) / 255).round()
    return info.to_model(stored)


def _picture(info: DataInfo) -> None:
    if info.levels is None or not isinstance(display_of(info.space), Picture):
        raise InputError(
            f"this model makes events of shape {info.shape}, which are no pictures with levels."
        )


def _pixels(path: Path, look: Look) -> np.ndarray[Any, np.dtype[np.uint8]]:
    try:
        return read_picture(path.read_bytes(), look)
    except RefusedFile as error:
        raise InputError(f"{path}: {error}.") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}.") from error


def mask(path: Path, model: OdeModel) -> Mask:
    """What is known according to a picture that is white where it is to be filled in.

    Raises:
        InputError: it has another size than the model's pictures, or leaves nothing to do.
    """
    info = info_of(model)
    _picture(info)
    white = torch.from_numpy(_pixels(path, Look(channels=1)))[0] > 127
    if tuple(white.shape) != tuple(info.shape[1:]):
        raise InputError(
            f"mask {path} is {white.shape[1]} x {white.shape[0]}; the model's pictures are "
            f"{info.shape[2]} x {info.shape[1]}."
        )
    if bool(white.all()) or not bool(white.any()):
        raise InputError(
            f"mask {path} is {'all' if bool(white.all()) else 'nowhere'} white; paint white what "
            "is to be filled in, black what is known."
        )
    return Mask(~white)


def grey(model: OdeModel) -> Grey:
    """The operator of colorization.

    Raises:
        InputError: the model's pictures have no colours.
    """
    info = info_of(model)
    _picture(info)
    if info.channels != 3:
        raise InputError("this model's pictures are grey; there is nothing to colorize.")
    return Grey()


def smaller(factor: int, model: OdeModel) -> Downscale:
    """The operator of super-resolution."""
    info = info_of(model)
    _picture(info)
    if any(n % factor for n in info.shape[1:]) or factor < 2:
        raise InputError(
            f"upscale by {factor}: give a whole number from 2 that divides the model's "
            f"{info.shape[2]} x {info.shape[1]}."
        )
    return Downscale(factor)


def kernel(path: Path) -> Blur:
    """The blur in a .npy file of weights, (h, w), odd in both.

    Raises:
        InputError: it cannot be read or is no kernel.
    """
    try:
        weights = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the kernel {path}: {error}.") from error
    if weights.ndim != 2 or weights.dtype.kind not in "fiu" or not np.isfinite(weights).all():
        raise InputError(
            f"the kernel {path} has shape {weights.shape} and type {weights.dtype}; give finite "
            "numbers (h, w)."
        )
    return Blur(tuple(tuple(map(float, row)) for row in weights))


def edit(
    model: OdeModel,
    paths: Sequence[Path],
    job: Job,
    count: int = 4,
    done: Callable[[int, int], None] | None = None,
    **how: Any,
) -> list[Edited]:
    """Edit files one after another.

    Arguments:
        model: a trained model of pictures.
        paths: the files.
        job: what to do.
        count: results for each.
        done: called with (files done, files in all).
        how: arguments of ``SampleRequest``.
    """
    found: list[Edited] = []
    for i, path in enumerate(paths):
        found.append(job.edit(model, path, count, **how))
        if done is not None:
            done(i + 1, len(paths))
    return found


def between(model: OdeModel, first: Path, last: Path, count: int, **how: Any) -> Edited:
    """Pictures on the way from one to another through the latent space, ends included."""
    info = info_of(model)
    a, b = (read(path, info, info.shape) for path in (first, last))
    path = model.interpolate(a, b, count, **how)[:, 0].cpu()
    return Edited({"from": info.to_bytes(a)[0], "to": info.to_bytes(b)[0]}, path)


def draw(model: OdeModel, edits: Sequence[Edited], path: Path, about: dict[str, Any]) -> None:
    """One picture: a row for each file; what was given, the results, their mean and spread."""
    info = info_of(model)
    names = [*edits[0].shown]
    count = len(edits[0].samples)
    spread = count > 1 and "to" not in names
    labels = [*names, *(str(i + 1) for i in range(count)), *(("mean", "std") if spread else ())]
    cells: list[Tensor] = []
    for each in edits:
        cells += [*each.shown.values(), *info.to_bytes(each.samples)]
        if spread:
            cells += [info.to_bytes(each.samples.mean(0, keepdim=True))[0], _spread(info, each)]
    picture = sheet(torch.stack(cells), columns=len(labels), column_labels=labels)
    save_image(picture, path, about)


def _spread(info: DataInfo, edited: Edited) -> Tensor:
    """Pixel-wise standard deviation, uint8: white is half of the whole range."""
    most = info.scale * (info.levels or 2) / 2
    return (edited.samples.std(0) / abs(most) * 255).round().clamp(0, 255).to(torch.uint8)
