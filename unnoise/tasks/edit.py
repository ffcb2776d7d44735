"""Image editing: inpainting, colorization, super-resolution, variations, interpolation."""

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
from unnoise.system.progress import counting
from unnoise.tasks import output
from unnoise.tasks.output import info_of


@dataclass(frozen=True)
class Edited:
    """Result of one edited image.

    Arguments:
        shown: pictures for the left of the row, uint8, each (C, H, W), by what they are.
        samples: modelled values, shape (K, *event).
    """

    shown: Mapping[str, Tensor]
    samples: Tensor


class Job(ABC):
    """Base class of image edits."""

    @abstractmethod
    def edit(self, model: OdeModel, path: Path, count: int, **how: Any) -> Edited:
        """``count`` results for the picture in a file; ``how`` are arguments of ``sample``."""


@final
@dataclass(frozen=True)
class Restore(Job):
    """Inpainting or colorization: the part of an image that is hidden is sampled anew.

    Arguments:
        operator: what is left.
        by: the imputation.
        std: standard deviation of the measurement's noise, in modelled units.
    """

    operator: Projection
    by: Imputation
    std: float = 0.0

    def edit(self, model: OdeModel, path: Path, count: int, **how: Any) -> Edited:
        x, given = _given(path, model)
        value = self.operator(x)
        seen = info_of(model).to_bytes(self.operator.impose(torch.zeros_like(x), value))[0]
        measured = Measurement(self.operator, value, self.by, self.std)
        return Edited({**given, "seen": seen}, model.sample(count, given=measured, **how).cpu())


@final
@dataclass(frozen=True)
class Undo(Job):
    """Super-resolution or deblurring: images that an operator maps to the given one.

    Arguments:
        operator: what made it.
        by, std: as of ``Restore``.
    """

    operator: Operator
    by: Imputation
    std: float = 0.0

    def edit(self, model: OdeModel, path: Path, count: int, **how: Any) -> Edited:
        info = info_of(model)
        value = read(path, info, self.operator(torch.zeros(1, *info.shape)).shape[1:])
        std = max(self.std, info.level_width / 12**0.5)  # a level is known to its width only
        measured = Measurement(self.operator, value, self.by, std)
        shown = functional.interpolate(info.to_bytes(value), info.shape[1:])[0]
        return Edited({"given": shown}, model.sample(count, given=measured, **how).cpu())


@final
@dataclass(frozen=True)
class Vary(Job):
    """Variations of an image (SDEdit).

    Arguments:
        strength: share of the way to noise.
    """

    strength: float

    def edit(self, model: OdeModel, path: Path, count: int, **how: Any) -> Edited:
        x, given = _given(path, model)
        rows = x.expand(count, *x.shape[1:])
        return Edited(given, model.vary(rows, self.strength, **how).cpu())


@final
@dataclass(frozen=True)
class Between(Job):
    """Pictures on the way to another one through the latent space, both ends included.

    Arguments:
        last: file of the other one.
    """

    last: Path

    def edit(self, model: OdeModel, path: Path, count: int, **how: Any) -> Edited:
        (a, first), (b, last) = _given(path, model), _given(self.last, model)
        way = model.interpolate(a, b, max(count, 2), **how)[:, 0].cpu()
        return Edited({"from": first["given"], "to": last["given"]}, way)


@final
@dataclass(frozen=True)
class Relabel(Job):
    """Class-conditional editing: inverted under its own class, decoded under another.

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
        x, given = _given(path, model)
        walk = {name: how[name] for name in ("solver", "steps") if name in how}
        latent = model.encode(x, label=how.pop("label", None), **walk)
        return Edited(given, model.decode(latent, label=self.label, **how).cpu())


JOBS: dict[str, Callable[..., Job]] = {
    "inpaint": lambda to, model, by, std: Restore(mask(Path(to), model), by, std),
    "colorize": lambda to, model, by, std: Restore(grey(model), by, std),
    "upscale": lambda to, model, by, std: Undo(smaller(to, model), by, std),
    "deblur": lambda to, model, by, std: Undo(kernel(Path(to)), by, std),
    "vary": lambda to, model, by, std: Vary(to),
    "between": lambda to, model: Between(Path(to)),
    "relabel": lambda to, model: Relabel(info_of(model).label(to)),
}
"""The jobs by the names of their options. Each is made of its option's value, the model and, where
it draws, the imputation and the standard deviation of the measurement's noise."""

BY_ODE = ("between", "relabel")
"""Jobs that walk the model's own ODE: no guide leads them, and nothing is drawn."""


def chosen(
    asked: Mapping[str, Any], files: Sequence[str], mask: str | None, guide: str | None
) -> tuple[str, Any]:
    """The one job whose option has a value (not None or False), and what it is made of.

    Raises:
        InputError: there is not one, or what else is given does not go with it.
    """
    names = [name for name, value in asked.items() if value is not None and value is not False]
    given = ", ".join(f"--{name}" for name in names)
    if len(names) != 1:
        every = ", ".join(f"--{name}" for name in asked)
        raise InputError(f"give one of {every}; given: {given or 'none'}.")
    job = names[0]
    if (job == "inpaint") != (mask is not None):
        raise InputError("--inpaint and --mask go together: the mask is white where to fill in.")
    if job == "between" and len(files) != 2:
        raise InputError(f"--between takes two pictures; given {len(files)}.")
    if job in BY_ODE and guide is not None:
        raise InputError(f"{given} walks the model's own ODE; leave --guide out.")
    return job, {"inpaint": mask, "between": files[-1]}.get(job, asked[job])


def edit(
    model: OdeModel,
    files: Sequence[str | Path],
    job: Job,
    count: int = 4,
    label: str | None = None,
    **how: Any,
) -> list[Edited]:
    """Edit files one after another.

    Arguments:
        model: a trained model of pictures.
        files: the pictures.
        job: what to do.
        count: results for each.
        label: class of all, by number or name.
        how: arguments of ``SampleRequest``.
    """
    named = output.whose_labels(model, how.get("guide"))
    how["label"] = None if label is None else info_of(named).label(label)
    found: list[Edited] = []
    with counting("editing", len(files), "pictures") as done:
        for file in files:
            found.append(job.edit(model, Path(file), count, **how))
            done()
    return found


def _given(path: Path, model: OdeModel) -> tuple[Tensor, dict[str, Tensor]]:
    """A whole picture as modelled values, and as it is shown."""
    info = info_of(model)
    x = read(path, info, info.shape)
    return x, {"given": info.to_bytes(x)[0]}


def read(path: Path, info: DataInfo, event: Sequence[int]) -> Tensor:
    """A picture file as modelled values, shape (1, *event).

    Raises:
        InputError: it cannot be read, or has another size.
    """
    _check(info)
    pixels = _pixels(path, info.channels)
    if tuple(pixels.shape[1:]) != tuple(event[1:]):
        raise InputError(
            f"{path} is {pixels.shape[2]} x {pixels.shape[1]}; this model takes {event[2]} x "
            f"{event[1]} here. Scale it first."
        )
    levels = info.levels or 256
    stored = (pixels[None].float() * (levels - 1) / 255).round()
    return info.to_model(stored)


def _check(info: DataInfo) -> DataInfo:
    if info.levels is None or not isinstance(display_of(info.space), Picture):
        raise InputError(
            f"this model makes events of shape {info.shape}, which are no pictures with levels."
        )
    return info


def _pixels(path: Path, channels: int) -> Tensor:
    try:
        return torch.from_numpy(read_picture(path.read_bytes(), Look(channels=channels)))
    except RefusedFile as error:
        raise InputError(f"{path}: {error}.") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}.") from error


def mask(path: Path, model: OdeModel) -> Mask:
    """What is known according to a picture that is white where it is to be filled in.

    Raises:
        InputError: it has another size than the model's pictures, or leaves nothing to do.
    """
    info = _check(info_of(model))
    white = _pixels(path, 1)[0] > 127
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
    info = _check(info_of(model))
    if info.channels != 3:
        raise InputError("this model's pictures are grey; there is nothing to colorize.")
    return Grey()


def smaller(factor: int, model: OdeModel) -> Downscale:
    """The operator of super-resolution."""
    info = _check(info_of(model))
    if factor < 2 or any(n % factor for n in info.shape[1:]):
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
    save_image(sheet(torch.stack(cells), len(labels), column_labels=labels), path, about)


def _spread(info: DataInfo, edited: Edited) -> Tensor:
    """Pixel-wise standard deviation, uint8: white is half of the whole range."""
    most = (info.levels or 2) * info.level_width / 2
    return (edited.samples.std(0) / abs(most) * 255).round().clamp(0, 255).to(torch.uint8)
