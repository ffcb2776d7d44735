"""How events are shown: every display of every shape it takes, and a stranger's."""

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.commands import good, refused
from tests.small import diffusion
from unnoise.catalogue import registry
from unnoise.catalogue.registry import build, names, spec
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.data import TensorDataset, digits, info_fields, info_from
from unnoise.models import files, load
from unnoise.plots import image_metadata
from unnoise.spaces import Display, Moments, Space, display_of
from unnoise.spaces.display import Planes, Signal, Table, stretched, to_pixels
from unnoise.tasks import output as pictures

SHAPES = [(1, 8, 8), (3, 4, 6), (2,), (1, 64), (2, 300), (5, 1), (4, 8, 8), (12, 4, 4)]
SHAPES += [(11, 3, 3), (3,), (1,), (700,), (7, 2, 2, 2)]


def events(shape: tuple[int, ...], levels: int | None = None, count: int = 6) -> Tensor:
    """Stored values of data of some shape."""
    z = Noise(0, range(count)).child("events").normal(torch.empty(count, *shape))
    return z if levels is None else (4 * z + levels / 2).long().clamp(0, levels - 1)


def law(display: Display, folder: Path) -> None:
    """Its table, its place in a model's file, and pictures that show the samples, alike twice."""
    shapes = [shape for shape in SHAPES if display.takes(shape)]
    assert shapes and build("display", json.loads(json.dumps(spec(display)))) == display
    for shape in shapes:
        for levels in (None, 17):
            data = TensorDataset("mine", events(shape, levels), levels=levels, display=display)
            model, path = diffusion(data), folder / "model.safetensors"
            files.save(model, path)
            again = load(path)
            assert again.info.display == display == display_of(again.space)
            assert [drawn(again, data[:4].x, folder), drawn(model, data[:4].x, folder)] == [
                drawn(model, data[:4].x, folder)
            ] * 2
            other = drawn(model, data[2:6].x, folder)
            assert all(a != b for a, b in zip(drawn(model, data[:4].x, folder), other, strict=True))


def drawn(model: Any, x: Tensor, folder: Path) -> list[bytes]:
    """A sheet, a film of three states, arrays, and the file of a sample, all of which open."""
    sheet, film, arrays, many = (folder / name for name in ("a.png", "a.gif", "a.npz", "many"))
    pictures.draw(model, x, sheet, {"n": 4})
    pictures.draw_walk(model, [0 * x, 0.5 * x, x], film)
    pictures.write_arrays(model, x, None, arrays, {})
    pictures.check_target(many)
    pictures.write_files(model, x, None, many, {"n": 4})
    with Image.open(sheet) as image:
        assert min(image.size) > 16 and max(image.size) < 1100 and image.format == "PNG"
        assert len(image.getcolors(1 << 20) or ()) > 2
    assert image_metadata(sheet) == {"n": 4}
    with Image.open(film) as image:
        assert image.format == "GIF" and getattr(image, "n_frames", 1) == 3
    with np.load(arrays, allow_pickle=False) as opened:
        (name,) = set(opened.files) - {"unnoise"}
        assert len(opened[name]) == 4
    assert len(list(many.iterdir())) == 4
    (one,) = many.glob("00000.*")
    if one.suffix == ".png":
        with Image.open(one) as image:
            image.verify()
    else:
        found = np.load(io.BytesIO(one.read_bytes()), allow_pickle=False)
        assert (found == model.info.to_stored(x)[0].float().numpy()).all()
    content = [path.read_bytes() for path in (sheet, film, arrays, one)]
    one.unlink()
    return content


@pytest.mark.parametrize("kind", names("display"))
def test_every_display(kind: str, tmp_path: Path):
    law(build("display", kind), tmp_path)


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = {family: dict(table) for family, table in registry._CATALOGUE.items()}
    monkeypatch.setattr(registry, "_CATALOGUE", tables)


@pytest.mark.usefixtures("catalogue")
@pytest.mark.parametrize("fault", ["blind", "fickle", None])
def test_canary_display(fault: str | None, tmp_path: Path):
    """One that shows the same of all samples, or another picture each time, breaks the law."""
    calls: list[int] = []

    def takes(self: Display, shape: tuple[int, ...]) -> bool:
        return shape == (3,)

    def visible(self: Display, space: Space, x: Tensor) -> Tensor:
        calls.append(1)
        shown = Table().visible(space, x).clone()
        if fault == "fickle":
            shown[:, :, 0, 0] = len(calls) % 251
        if fault == "blind":
            shown = shown[:1] * 0 + torch.arange(4, dtype=torch.uint8)[:, None, None, None] * 60
        return shown

    broken = type("Broken", (Display,), {"takes": takes, "visible": visible})
    broken.__eq__ = lambda self, other: type(self) is type(other)
    display = registry.register("display", "broken")(broken)()
    if fault is None:
        law(display, tmp_path)
        return
    with pytest.raises(AssertionError):
        law(display, tmp_path)


# -- which one, and what it shows -----------------------------------------------------------------


def test_which_one():
    kinds = [spec(display_of(Space(shape)))["kind"] for shape in SHAPES]
    assert kinds == [*["picture"] * 2, "plane", *["signal"] * 3, *["planes"] * 3, *["table"] * 4]
    assert display_of(Space((1, 8, 8), display=Table())) == Table()
    with pytest.raises(InputError, match=r"shape \(3,\) cannot be shown as display = 'plane'"):
        TensorDataset("mine", events((3,)), display=build("display", "plane"))


def test_files_say_only_what_is_known():
    assert "display" not in info_fields(digits().info)[0] and digits().info.display is None
    data = TensorDataset("mine", events((2, 9)), display=Signal(width=60))
    values, tensors = info_fields(data.info)
    assert values["display"] == {"kind": "signal", "height": 48, "width": 60}
    assert info_from(json.loads(json.dumps(values)), tensors).display == Signal(width=60)
    for wrong, said in (
        ({"kind": "sgnal"}, "Did you mean 'signal'"),
        ({"kind": "signal", "width": 1e9}, "width"),
        ({"kind": "plane"}, "cannot be shown"),
        ("signal", "display"),
    ):
        with pytest.raises(InputError, match=said) as error:
            info_from({**values, "display": wrong}, tensors)
        assert all(len(line) <= 200 for line in str(error.value).splitlines())


def test_levels_are_shown_to_the_bit():
    info = digits().info
    x = digits()[:7].x
    assert torch.equal(display_of(info.space).visible(info.space, x), info.to_bytes(x))


def test_continuous_values_are_stretched():
    """Mean +- 3 standard deviations of all numbers: here of 4 and 8, each with variance 5."""
    space = Space((2,), moments=Moments(torch.tensor([4.0, 8.0]), 5.0))
    x = torch.tensor([[6.0, 6 + 9], [6 - 9, 6 + 4.5], [math.nan, 1e9]])
    wanted = torch.tensor([[0.5, 1.0], [0.0, 0.75], [0.0, 1.0]])
    assert torch.allclose(stretched(space, x), wanted)
    assert to_pixels(space, x).tolist() == [[128, 255], [0, 191], [0, 255]]


def test_a_signal_is_where_its_values_are():
    """A rising ramp: ink on the diagonal, a step is joined, the second channel has its colour."""
    ramp = torch.linspace(-3, 3, 200)[None, None].expand(1, 2, 200).clone()
    ramp[:, 1] = torch.where(torch.arange(200) < 100, -3.0, 3.0)
    shown = Signal().visible(Space((2, 200)), ramp)[0].float()
    white = torch.tensor([255.0, 255.0, 255.0])[:, None, None]
    blue, red = (
        ((shown - torch.tensor(ink)[:, None, None]).abs().sum(0) < 90)
        for ink in ((31.0, 95, 168), (200.0, 85, 61))
    )
    assert (shown[:, 2:46].amin(1) < 220).any(0).all()  # no gap
    for column in (10, 40, 100):
        rows = blue[:, column].nonzero().flatten().float()
        assert float(rows.mean()) == pytest.approx(2 + 43 * (1 - column / 120), abs=1.5)
    assert int(red.sum(0).topk(2).values.sum()) > 40  # the step
    assert bool(((shown - white).abs().sum(0) < 1).any())


def test_planes_stand_side_by_side():
    x = torch.arange(12.0)[None, :, None, None].expand(2, 12, 3, 4) / 4 - 1.5
    shown = Planes().visible(Space((12, 3, 4)), x)
    assert shown.shape == (2, 1, 2 * 4 + 1, 6 * 5 + 1)
    values = to_pixels(Space((12, 3, 4)), x)[0, :, 0, 0]
    assert shown[0, 0, 1, 1::5].tolist() + shown[0, 0, 5, 1::5].tolist() == values.tolist()
    assert (shown[:, :, ::4] == 208).all() and (shown[..., ::5] == 208).all()


# -- a stranger's, from the command line ----------------------------------------------------------

REUSED = """
from dataclasses import dataclass
import unnoise
from unnoise.spaces.display import to_pixels

@unnoise.register("display", "wheel")
@dataclass(frozen=True)
class Wheel(unnoise.Display):
    '''Numbers in a square.'''
    side: int = 3
    def takes(self, shape):
        return tuple(shape) == (self.side**2,)
    def visible(self, space, x):
        return to_pixels(space, x).reshape(len(x), 1, self.side, self.side)
"""
OWN = """
from PIL import Image
import unnoise
from unnoise.plots import Drawing, animate

@unnoise.register("display", "wheel")
class Wheel(unnoise.Display):
    drawing, whole = "bars", False
    def takes(self, shape): return True
    def visible(self, space, x): return space.to_stored(x).flatten(1)

@unnoise.register("drawing", "bars")
class Bars(Drawing):
    '''A colour a sample.'''
    def sheet(self, shown, columns, labels):
        grey = (shown.sum(1) * 40 + 99).clamp(0, 255)
        colour = bytes(int(v) for v in grey)
        return Image.frombytes("L", (1, len(shown)), colour).resize((40, 8 * len(shown)))
    def film(self, frames, labels):
        return animate([self.sheet(f, 1, None) for f in frames], None, 80, 900)
    def strip(self, frames, captions, names, labels): return self.sheet(frames[-1], 1, None)
"""


@pytest.mark.usefixtures("catalogue")
@pytest.mark.parametrize("text", [REUSED, OWN], ids=["reused", "own"])
def test_a_strangers_display(text: str, tmp_path: Path, request: pytest.FixtureRequest):
    """A plug-in of at most 20 lines: trained, saved, drawn, and refused by name without it."""
    assert len(text.strip().splitlines()) <= 20
    np.save(tmp_path / "data.npy", events((9,), count=40).numpy())
    plugin = tmp_path / f"wheel_{request.node.callspec.id}.py"
    plugin.write_text(text)
    (tmp_path / "r.toml").write_text(
        f'[data]\nkind = "npy"\npath = "{tmp_path}/data.npy"\ndisplay = "wheel"\n[model]\n'
        'kind = "diffusion"\nnetwork = { kind = "mlp", width = 16, depth = 1 }\n[training]\n'
        "steps = 4\nbatch = 4\nsample_every = 2\n"
    )
    run = tmp_path / "run"
    good("train", tmp_path / "r.toml", "--out", run, "--device", "cpu", "--plugin", plugin)
    assert len(list((run / "samples").iterdir())) == 2
    for target in ("x.png", "x.gif", "x.npz", "many"):
        words = ("sample", run, "-n", 5, "--steps", 3, "-o", tmp_path / target)
        good(*words, "--plugin", plugin)
    good("show", run, "chain", "--plugin", plugin)
    assert {path.suffix for path in (tmp_path / "many").iterdir()} == {
        ".png" if text is REUSED else ".npy"
    }
    with Image.open(tmp_path / "x.png") as image:
        assert image.size == ((193, 133) if text is REUSED else (40, 40))
    del registry._CATALOGUE["display"]["wheel"]
    said = refused(*words)
    assert "display.kind = 'wheel'" in said and "--plugin" in said
