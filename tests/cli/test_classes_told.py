"""Class names and counts where a user looks: at the start of a training, in ``show``, on sheets."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.commands import good, refused
from tests.pictures import pixels, png
from unnoise.plots.text import HEIGHT


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared folder: 12 cats, 7 of a class in Hangul."""
    place = tmp_path_factory.mktemp("photos")
    for name, count, first in (("cat", 12, 0), ("고양이", 7, 50)):
        (place / "raw" / name).mkdir(parents=True)
        for i in range(count):
            (place / "raw" / name / f"{i}.png").write_bytes(png(pixels(first + i)))
    good("prepare", place / "raw", place / "ready", "--held-out", "0")
    return place / "ready"


@pytest.fixture(scope="module")
def run(photos: Path) -> Path:
    recipe = photos.parent / "r.toml"
    recipe.write_text(
        '[data]\nkind = "digits"\n[model]\nkind = "diffusion"\n'
        'network = { kind = "mlp", width = 16, depth = 1 }\n[sampling]\nsteps = 3\n'
        "[training]\nsteps = 4\nbatch = 4\nsample_every = 2\n"
    )
    words = ("train", recipe, "--data", photos, "--out", photos.parent / "run", "--device", "cpu")
    told = good(*words).out.splitlines()[1]
    assert "19 of shape (3, 6, 6); diffusion: network mlp" in told
    return photos.parent / "run"


def test_show_tells_the_classes(run: Path):
    lines = good("show", run).out.splitlines()
    assert "2 classes: cat 12, 고양이 7" in lines


def test_show_a_prepared_folder(photos: Path):
    first, train, licence = good("show", photos).out.splitlines()
    assert first.endswith(f"prepared data; train on it by: unnoise train RECIPE --data {photos}")
    assert train.split(maxsplit=1) == [
        "train",
        "<data ready: 19 of shape (3, 6, 6), 256 levels, 2 classes: cat 12, 고양이 7>",
    ]
    assert licence == "licence of the data: unknown"


def test_show_prepared_with_a_part_held_out_and_damage(photos: Path, tmp_path: Path):
    raw = photos.parent / "raw"
    good("prepare", raw, tmp_path / "two", "--test", raw)
    text = good("show", tmp_path / "two").out
    assert text.count("<data two: 19 of shape (3, 6, 6)") == 2
    (tmp_path / "two" / "manifest.json").write_text("[" * 99_999)
    assert "damaged" in refused("show", tmp_path / "two")


def test_sheets_have_headings_and_films_lie_alike(run: Path, tmp_path: Path):
    for name in ("a.png", "a.gif"):
        good("sample", run, "-n", 40, "-o", tmp_path / name)
    with Image.open(tmp_path / "a.png") as sheet, Image.open(tmp_path / "a.gif") as film:
        assert sheet.size == film.size and 0.5 < sheet.width / sheet.height < 2
        above = np.array(sheet.convert("L"))[: 8 + HEIGHT]
        assert (above[:, : sheet.width // 2] < 100).any()  # cat
        assert (above[:, sheet.width // 2 :] < 100).any()  # 1: the font has no Hangul
    good("sample", run, "-n", 40, "--label", "고양이", "-o", tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as sheet:
        assert (np.array(sheet.convert("L"))[: 8 + HEIGHT] < 100).any()
    assert len(list((run / "samples").iterdir())) == 2
