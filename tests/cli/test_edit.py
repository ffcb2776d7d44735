"""unnoise edit, on grey pictures and on coloured ones: what it keeps, shows and refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.commands import CLASSIFIER, DIGITS, good, refused, train
from tests.pictures import fill, pixels, png
from unnoise.data import digits
from unnoise.models import Diffusion, load
from unnoise.tasks import edit as editing


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on digits, one on colours, and pictures to edit."""
    folder = tmp_path_factory.mktemp("edit")
    train(folder, DIGITS).rename(folder / "grey")
    plain = train(folder, DIGITS, "--set", "data.labels=false")
    plain.rename(folder / "plain")
    recipe = folder / "classifier.toml"
    recipe.write_text(CLASSIFIER)
    good("train", recipe, "--out", folder / "classifier")
    good("prepare", fill(folder / "pictures"), folder / "data", "--size", "6")
    train(folder, DIGITS, "--data", folder / "data").rename(folder / "colour")
    data = digits("test")
    for i, image in enumerate(data.info.to_bytes(data[:2].x)):
        (folder / f"{i}.png").write_bytes(png(image[0].numpy()))
    (folder / "mask.png").write_bytes(png((np.arange(64).reshape(8, 8) > 31) * np.uint8(255)))
    (folder / "small.png").write_bytes(png(np.zeros((4, 4), np.uint8)))
    (folder / "colour.png").write_bytes(png(pixels(0)))
    np.save(folder / "kernel.npy", np.full((3, 3), 1 / 9))
    return folder


@pytest.fixture(autouse=True)
def inside(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


@pytest.mark.parametrize(
    ("words", "rows", "columns"),
    [
        ("grey --inpaint 0.png 1.png --mask mask.png", 2, 2 + 3 + 2),
        ("grey --inpaint 0.png --mask mask.png --method repaint --label 3", 1, 2 + 3 + 2),
        ("grey --upscale 2 small.png", 1, 1 + 3 + 2),
        ("grey 0.png --deblur kernel.npy --std 0.1", 1, 1 + 3 + 2),
        ("grey 0.png 1.png --vary 0.4", 2, 1 + 3 + 2),
        ("grey --between 0.png 1.png", 1, 2 + 3),
        ("grey --relabel 3 0.png 1.png --label 7 --guidance 2", 2, 1 + 1),
        ("grey --relabel 3 0.png", 1, 1 + 1),
        ("colour colour.png --colorize", 1, 2 + 3 + 2),
    ],
)
def test_every_edit(words: str, rows: int, columns: int, tmp_path: Path):
    out = tmp_path / "edit.png"
    ended = good("edit", *words.split(), "-n", 3, "--steps", 3, "-o", out)
    assert ended.last == f"wrote {out}"
    picture = Image.open(out)
    size = 6 if "colour" in words else 8
    step = size * round(56 / size) + 3  # as sheets are laid out
    assert picture.width == columns * step - 3 + 16
    assert abs(picture.height - rows * step) < 50
    again = tmp_path / "again.png"
    good("edit", *words.split(), "-n", 3, "--steps", 3, "-o", again, "-q")
    assert np.array_equal(np.asarray(Image.open(again)), np.asarray(picture))


def edited(place: Path, run: str, job: editing.Job, name: str) -> editing.Edited:
    model = load(place / run)
    assert isinstance(model, Diffusion)
    return job.edit(model, place / name, 3, steps=4)


def test_known_pixels_are_kept_to_the_bit(place: Path):
    from unnoise.models.measurement import repaint

    model = load(place / "grey")
    assert isinstance(model, Diffusion) and model.info is not None
    job = editing.Restore(editing.mask(place / "mask.png", model), repaint(2))
    found = edited(place, "grey", job, "0.png")
    x = editing.read(place / "0.png", model.info, model.info.shape)
    assert torch.equal(found.samples[:, :, :4], x.expand(3, -1, -1, -1)[:, :, :4])
    assert not torch.equal(found.samples[0, :, 4:], found.samples[1, :, 4:])
    assert torch.equal(x, digits("test")[:1].x)  # what was written is what is read


def test_grey_is_kept_by_colorization(place: Path):
    from unnoise.models.measurement import replacement

    model = load(place / "colour")
    assert isinstance(model, Diffusion) and model.info is not None
    found = edited(
        place, "colour", editing.Restore(editing.grey(model), replacement()), "colour.png"
    )
    x = editing.read(place / "colour.png", model.info, model.info.shape)
    assert float((found.samples.mean(1) - x.mean(1)).abs().max()) < 1e-6
    assert float((found.samples - x).abs().max()) > 1e-2  # the canary: colours are others


def test_relabelled_pictures_are_others_of_the_same_latent(place: Path):
    """Decoded under its own label a picture comes back; under another it does not."""
    model = load(place / "grey")
    assert isinstance(model, Diffusion) and model.info is not None
    x = editing.read(place / "0.png", model.info, model.info.shape)
    same = editing.Relabel(7).edit(model, place / "0.png", 1, label=7).samples
    other = editing.Relabel(3).edit(model, place / "0.png", 1, label=7).samples
    assert float((same - x).abs().max()) < 0.05 < float((other - x).abs().max())


def test_a_classifier_guides_edits_and_samples(place: Path, tmp_path: Path):
    """--guide reaches the walk: strong guidance makes other pictures, scale 0 the same ones."""
    drawn: dict[str, bytes] = {}
    for scale in ("0", "5"):
        out = tmp_path / f"{scale}.png"
        words = f"plain 0.png --vary 0.9 --guide classifier --guidance {scale} --label 3 --steps 4"
        good("edit", *words.split(), "-n", 2, "-o", out)
        drawn[scale] = np.asarray(Image.open(out)).tobytes()
    good(
        "edit",
        *["plain", "0.png", "--vary", "0.9", "--steps", "4", "-n", "2", "-o"],
        tmp_path / "free.png",
    )
    free = np.asarray(Image.open(tmp_path / "free.png")).tobytes()
    assert drawn["0"] == free != drawn["5"]
    arrays = tmp_path / "s.npz"
    words = "plain -n 4 --guide classifier --steps 2 --label uniform"
    good("sample", *words.split(), "-o", arrays)
    with np.load(arrays) as found:
        assert found["labels"].tolist() == [0, 1, 2, 3]  # the classifier's labels, in turn
    figures = tmp_path / "guided.json"
    words = "plain -n 20 --nll 0 --against digits:test --steps 2 --guide classifier"
    good("evaluate", *words.split(), "-o", figures)
    measured = json.loads(figures.read_text())
    assert measured["sampling"]["guide"] == "Classifier" and 0 <= measured["accuracy"] <= 1
    assert "draws nothing" in refused("sample", "classifier", "-o", tmp_path / "x.png")


def test_a_classifier_is_measured_level_by_level(place: Path, tmp_path: Path):
    out = tmp_path / "m.json"
    said = good("evaluate", "classifier", "-o", out)
    found = json.loads(out.read_text())
    assert said.out.count("accuracy") == 9 == len(found["levels"])
    assert found["levels"] == sorted(found["levels"]) and found["accuracy"] > 0.5
    assert found["accuracies"][-1] < 0.3 < found["accuracies"][0]  # noise hides classes
    assert found["nats"][0] < found["nats"][-1]
    assert "leave ['steps'] out" in refused("evaluate", "classifier", "--steps", 3, "-o", out)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("grey 0.png", "give one of --inpaint"),
        ("grey 0.png --colorize --vary 0.5", "given: --colorize, --vary"),
        ("grey 0.png --inpaint", "--inpaint and --mask go together"),
        ("grey 0.png --inpaint --mask small.png", "mask small.png is 4 x 4"),
        ("grey 0.png --vary 0.5 --mask mask.png", "go together"),
        ("grey 0.png --colorize", "nothing to colorize"),
        ("grey 0.png --upscale 3", "upscale by 3"),
        ("grey 0.png --upscale 2", "0.png is 8 x 8; this model takes 4 x 4 here"),
        ("grey small.png --vary 0.5", "small.png is 4 x 4"),
        ("grey 0.png --vary 2", "strength = 2.0"),
        ("grey 0.png --between", "two pictures; given 1"),
        ("grey none.png --vary 0.5", "cannot read none.png"),
        ("grey kernel.npy --vary 0.5", "kernel.npy: no picture"),
        ("grey 0.png --deblur 0.png", "cannot read the kernel"),
        ("grey 0.png --inpaint --mask mask.png --method repeint", "Did you mean 'repaint'"),
        ("grey 0.png --vary 0.5 --label 12", "12"),
        ("grey 0.png --deblur kernel.npy --method repaint", "cannot heed"),
        ("grey 0.png --vary 0.5 -o edit.npz", "one .png"),
        ("grey 0.png --relabel ten", "give a number, 0 to 9"),
        ("grey 0.png --relabel 12", "label 12"),
        ("grey 0.png --relabel 3 --guide grey", "leave --guide out"),
        ("plain 0.png --relabel 3", "no labels"),
        ("plain 0.png --vary 0.5 --guide classifier --label 12", "label 12"),
    ],
)
def test_refusals(words: str, said: str, place: Path):
    before = sorted(place.iterdir())
    assert said in refused("edit", *words.split(), *([] if "-o" in words else ["-o", "edit.png"]))
    assert sorted(place.iterdir()) == before
