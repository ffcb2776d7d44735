"""Sample files: PNG sheets, GIF films, .npz arrays, or a folder of files."""

import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from unnoise.catalogue.registry import build, written
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.data import DataInfo
from unnoise.denoisers import Guidance
from unnoise.models import Classifies, Model, OdeModel
from unnoise.models.conditions import Asked, drawn_classes
from unnoise.plots import Drawing, SampleLabels, save_image
from unnoise.processes import GaussianProcess
from unnoise.recipes.load import plain
from unnoise.solvers import Grid, Solver
from unnoise.spaces import Picture, display_of
from unnoise.system.files import sweep, write_atomic

SUFFIXES = (".png", ".gif", ".npz")  # of one file; a name without any is a folder of files


def info_of(model: Model) -> DataInfo:
    """What is known of the model's data.

    Raises:
        InputError: the model was never trained, so nobody knows how to show its samples.
    """
    if model.info is None:
        raise InputError("this model was never trained; there is no way to show its samples.")
    return model.info


def whose_labels(model: Model, guide: Any) -> Any:
    """Whose labels a sample is asked for: a classifier's that guides, else the model's own."""
    return guide if isinstance(guide, Classifies) else model


def drawing_of(info: DataInfo) -> Drawing:
    """What draws events of this data."""
    return build("drawing", display_of(info.space).drawing)


def visible(info: DataInfo, x: Tensor) -> Tensor:
    """What is drawn of modelled values (N, *event); see ``Display.visible``."""
    return display_of(info.space).visible(info.space, x.cpu())


def named(numbers: Tensor | None, whose: Model) -> SampleLabels | None:
    """Labels of samples with the names that the classes of a model have; None for none."""
    if numbers is None:
        return None
    labels = None if whose.info is None else whose.info.labels
    return SampleLabels(numbers.cpu(), None if labels is None else labels.names)


def sheet_size(model: Model) -> int:
    """How many samples show a model well: a few of each class, or a cloud of points."""
    few = 4 * model.classes if model.classes and model.classes <= 16 else 64
    return max(few, drawing_of(info_of(model)).least)


def recipe_of(model: Model, how: Mapping[str, Any]) -> dict[str, Any]:
    """How samples were drawn, the model's own defaults spelled out: what a picture's text says.

    Arguments:
        how: arguments of ``SampleRequest``; a guide is left out.
    """
    given = {k: v for k, v in how.items() if v is not None}
    own = plain(model.sampling).items()
    hidden = {"chunk", "threads", *(("guidance",) if given.pop("guide", None) else ())}
    for name, base in (("solver", Solver), ("grid", Grid), ("guidance", Guidance)):
        if name in given and not isinstance(given[name], list):  # a list of times tells itself
            given[name] = written(base, given[name])
    return {k: v for k, v in own if k not in hidden} | given


def draw(
    model: Model,
    x: Tensor,
    path: Path,
    about: dict[str, Any] | None = None,
    labels: Tensor | None = None,
    whose: Model | None = None,
) -> None:
    """A sheet of samples, such as a contact sheet of images or a scatter plot of points.

    Arguments:
        model: whose samples they are.
        x: modelled values, shape (N, *event).
        path: of the PNG.
        about: goes into the picture's text chunk.
        labels: classes that were asked for, shape (N,): samples of a class stand together under
            its name, or have its colour.
        whose: model that knows the names of the classes, where it is another one.
    """
    info = info_of(model)
    classes = named(labels, whose or model)
    save_image(drawing_of(info).sheet(visible(info, x), None, classes), path, about or {})


def draw_walk(
    model: Model,
    frames: Sequence[Tensor],
    path: Path,
    labels: Tensor | None = None,
    whose: Model | None = None,
) -> None:
    """A film of a walk from noise to data, laid out like the sheet of its end.

    Arguments:
        frames: modelled values, each of shape (N, *event).
        model, path, labels, whose: as of ``draw``.
    """
    info = info_of(model)
    classes = named(labels, whose or model)
    write_atomic(path, drawing_of(info).film([visible(info, x) for x in frames], classes))


def classes_of(
    model: Model, n: int, label: Asked = None, first: int = 0, seed: int = 0
) -> Tensor | None:
    """The classes that samples first ... first + n - 1 are of, shape (n,), or None."""
    if model.labels is None or isinstance(label, Tensor):
        return None if model.labels is None else cast(Tensor, label)
    if isinstance(label, int):
        return torch.full((n,), label)
    return drawn_classes(model.labels, label, range(first, first + n), seed)


def write_arrays(model: Model, x: Tensor, labels: Tensor | None, path: Path, about: Any) -> None:
    """A .npz: ``images`` uint8 (N, H, W, C), or ``values`` float32 (N, *event); ``labels`` (N,)."""
    info = info_of(model)
    arrays: dict[str, Any] = {"unnoise": np.array(json.dumps(about))}
    if info.levels is not None and isinstance(display_of(info.space), Picture):
        arrays["images"] = info.to_bytes(x.cpu()).permute(0, 2, 3, 1).contiguous().numpy()
    else:
        arrays["values"] = info.to_stored(x.cpu()).float().numpy()
    if labels is not None:
        arrays["labels"] = labels.numpy()
    write_npz(path, arrays)


def write_npz(path: Path, arrays: Mapping[str, Any]) -> None:
    """Arrays by name, written whole or not at all."""
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    write_atomic(path, stream.getvalue())


def write_files(model: Model, x: Tensor, labels: Tensor | None, folder: Path, about: Any) -> None:
    """One file a sample: ``00017.png``, or ``00017-3.png`` with its label; actual size.

    Where pixels are not the event itself: ``00017.npy``, float32, shape ``event``, stored values.
    """
    from PIL import Image

    info = info_of(model)
    whole = display_of(info.space).whole
    folder.mkdir(parents=True, exist_ok=True)
    for i, event in enumerate(visible(info, x) if whole else info.to_stored(x.cpu())):
        label = "" if labels is None else f"-{int(labels[i])}"
        name = f"{about.get('first', 0) + i:05d}{label}"
        if whole:
            pixels = event[0] if len(event) == 1 else event.permute(1, 2, 0)
            one = Image.fromarray(pixels.contiguous().numpy())
            save_image(one, folder / f"{name}.png", about)
        else:
            stream = io.BytesIO()
            np.save(stream, event.float().numpy(), allow_pickle=False)
            # Readers stop where the array ends; behind it stands how it was made, as in a PNG.
            told = json.dumps({"unnoise": about}).encode()
            write_atomic(folder / f"{name}.npy", stream.getvalue() + told)


def check_target(path: Path) -> str:
    """What a path asks for, by its suffix; refuses to overwrite what is not ours.

    What a killed process left half-written there is removed.

    Returns:
        ".png", ".gif", ".npz" or "" for a folder.
    """
    suffix = path.suffix.lower()
    if suffix not in (*SUFFIXES, ""):
        raise InputError(f"{path}: give a name that ends in {', '.join(SUFFIXES)}, or a folder.")
    if suffix and path.is_dir():
        raise InputError(f"{path} is a folder; give the name of a file in it.")
    if not path.resolve().parent.is_dir():
        raise InputError(f"{path}: the folder {path.parent} does not exist.")
    if path.is_file() and not _is_ours(path, suffix):
        raise InputError(f"{path} exists and was not made by unnoise. Give another name.")
    if suffix:
        sweep(path.parent, path.name.__eq__)
    elif path.is_dir():
        half_written = sweep(path, re.compile(r"\d{5,}(-\d+)?\.(png|npy)").fullmatch)
        whole = (p for p in path.iterdir() if p not in half_written)
        if any(p.suffix not in (".png", ".npy") or not _is_ours(p, p.suffix) for p in whole):
            raise InputError(f"folder {path} holds other files. Give a new or empty one.")
    return suffix


def _is_ours(path: Path, suffix: str) -> bool:
    """Whether a file carries our mark, and may be made anew."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        content = stream.read(1 << 20)
        stream.seek(max(0, path.stat().st_size - 65_536))
        content += stream.read()  # the end of a .npy file
    return b"unnoise" in content if suffix else False


def size_of(info: DataInfo) -> float:
    """Root mean square of the modelled data: what noise is to be compared with."""
    return float(info.variance + info.mean.double().square().mean()) ** 0.5


def drawable(process: GaussianProcess, size: float, t: Tensor) -> float:
    """What a state at time t is multiplied by so that data and noise are of one size."""
    alpha, sigma = (float(c) for c in process.scales(t))
    return size / math.hypot(alpha * size, sigma)


def shown(model: OdeModel, x: Tensor, t: Tensor) -> tuple[float, Tensor]:
    """A state at time t as a picture can show it: (sigma, x scaled to the data's own size).

    ``x s / sqrt(alpha^2 s^2 + sigma^2)`` with s the data's root mean square, so that noise looks
    like noise and not like black and white; at t = 0 it is x itself.
    """
    sigma = float(model.process.scales(t)[1])
    return sigma, drawable(model.process, size_of(info_of(model)), t) * x


def forward_frames(
    model: OdeModel, x: Tensor, count: int, seed: int = 0
) -> list[tuple[float, Tensor]]:
    """Data ``x`` (N, *event) turned into noise in ``count`` steps, as ``shown``."""
    process = model.process
    # One and the same noise for all times: straight along the circle.
    z = Noise(seed, range(len(x))).child("forward").normal(x)
    angles = torch.linspace(float(process.angle(process.t_min)), float(process.angle(1.0)), count)
    frames: list[tuple[float, Tensor]] = []
    for t in process.time(angles):
        alpha, sigma = process.scales(t, x)
        frames.append(shown(model, alpha * x + sigma * z, t))
    return frames


def check_json(path: Path) -> None:
    """Refuse, before any work is done, a path that figures cannot or should not be written to."""
    if path.suffix != ".json" or path.is_dir():
        raise InputError(f"{path}: figures are written to a .json file; give it that suffix.")
    if not path.resolve().parent.is_dir():
        raise InputError(f"{path}: the folder {path.parent} does not exist.")
    if path.exists() and '"protocol"' not in path.read_text("utf-8", errors="replace"):
        raise InputError(f"{path} exists and was not made by unnoise. Give another name.")


def write_json(path: Path, value: dict[str, Any]) -> None:
    """A JSON file, readable, written whole or not at all."""
    try:
        text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
        # A byte of a path that is no UTF-8 becomes what JSON would write of it.
        write_atomic(path, text.encode("utf-8", "backslashreplace"))
    except ValueError as error:
        raise InputError(f"{path}: {error}.") from error
