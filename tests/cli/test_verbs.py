"""The verbs, end to end: what they write, what they say last, and that it can be repeated."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.commands import DIGITS, POINTS, files, good, refused, train, unnoise
from unnoise.catalogue import registry
from unnoise.models import load
from unnoise.models.conditions import drawn_classes
from unnoise.plots import image_metadata
from unnoise.recipes import shipped


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("digits"), DIGITS)


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("points"), POINTS)


# -- train ----------------------------------------------------------------------------------------


def test_train_says_what_it_does(tmp_path: Path):
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(POINTS)
    words = ("train", recipe, "--out", tmp_path / "run", "--threads", 1, "--device", "cpu")
    ended = good(*words)
    assert ended.last == f"wrote {tmp_path}/run/model.safetensors"
    assert "data moons: 100 of shape (2,)" in ended.out and "20 steps" in ended.out
    assert "step 20/20  loss " in ended.out and "trained to step 20" in ended.out
    resumed = good(*words, "--resume")
    assert "resumed at step 20 of 20" in resumed.out and resumed.last == ended.last
    forked = good(*words[:3], tmp_path / "fork", *words[4:], "--fork", tmp_path / "run")
    assert "20 steps" in forked.out


def test_train_quietly_and_for_machines(tmp_path: Path):
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(POINTS)
    words = ("train", recipe, "--threads", 1, "--device", "cpu", "--out")
    ended = good(*words, tmp_path / "a", "--quiet")
    assert ended.out == f"wrote {tmp_path}/a/model.safetensors\n"
    found = json.loads(good(*words, tmp_path / "b", "--json").out)
    assert found["model"] == f"{tmp_path}/b/model.safetensors" and found["steps"] == 20


def test_settings_by_short_and_long_name(tmp_path: Path):
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(POINTS)
    long = ["--set", "training.steps=4", "--set", "training.seed=3"]
    first = good("train", recipe, "--dry-run", *long).out
    assert first == good("train", recipe, "--dry-run", "--steps", 4, "--seed", 3).out
    assert "steps = 4\n" in first and "seed = 3\n" in first
    assert "steps = 2\n" in good("train", recipe, "--dry-run", "--quick").out
    assert (
        'precision = "bfloat16"'
        in good("train", recipe, "--dry-run", "--precision", "bfloat16").out
    )
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.toml"]


@pytest.mark.parametrize("name", shipped())
def test_what_dry_run_prints_is_a_recipe(name: str, tmp_path: Path):
    printed = good("train", name, "--dry-run").out
    recipe = tmp_path / "printed.toml"
    recipe.write_text(printed)
    assert good("train", recipe, "--dry-run").out == printed


def test_a_forked_run_starts_from_the_weights(points: Path, tmp_path: Path):
    recipe = points.parent / "tiny.toml"
    words = ("--fork", points, "--set", "training.lr=1e-12", "--set", "training.warmup=0")
    good("train", recipe, "--out", tmp_path / "fork", "--threads", 1, "--device", "cpu", *words)
    before, after = load(points).state_dict(), load(tmp_path / "fork").state_dict()
    assert all(torch.allclose(before[k], after[k], atol=1e-6) for k in before)
    (tmp_path / "wide.toml").write_text(POINTS.replace("width = 16", "width = 8"))
    assert "fork with the same [model]" in refused(
        *("train", tmp_path / "wide.toml", "--out", tmp_path / "b", "--fork", points)
    )
    assert not (tmp_path / "b").exists()


# -- sample ---------------------------------------------------------------------------------------


def arrays(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as found:
        return dict(found)


def test_arrays(digits: Path, tmp_path: Path):
    out = tmp_path / "a.npz"
    ended = good("sample", digits, "-n", 23, "--seed", 4, "-o", out)
    assert ended.last == f"wrote {out}"
    found = arrays(out)
    assert found["images"].dtype == np.uint8 and found["images"].shape == (23, 8, 8, 1)
    classes = drawn_classes(load(digits).labels, None, range(23), 4)
    assert found["labels"].tolist() == classes.tolist()
    # The command line and Python make the same images.
    model = load(digits)
    expected = model.info.to_bytes(model.sample(23, seed=4)).permute(0, 2, 3, 1).numpy()
    assert (found["images"] == expected).all()
    assert not (arrays_of(digits, tmp_path, "--seed", 5)["images"] == expected).all()


def arrays_of(run: Path, tmp_path: Path, *more: object) -> dict[str, Any]:
    good("sample", run, "-n", 23, "-o", tmp_path / "b.npz", *more)
    return arrays(tmp_path / "b.npz")


def test_arrays_of_points(points: Path, tmp_path: Path):
    found = arrays_of(points, tmp_path, "--label", 1, "--first", 7, "--guidance", 2)
    assert found["values"].shape == (23, 2) and set(found["labels"]) == {1}
    expected = load(points).sample(23, label=1, first=7, guidance=2.0)
    assert torch.equal(torch.from_numpy(found["values"]), expected)


def test_options_reach_the_sampler(points: Path, tmp_path: Path):
    model = load(points)
    how: dict[str, Any] = {"solver": "heun", "steps": 5, "grid": "uniform", "guidance": 0.0}
    words = [w for k, v in how.items() for w in (f"--{k}", v)]
    found = arrays_of(points, tmp_path, *words)["values"]
    assert torch.equal(torch.from_numpy(found), model.sample(23, **how))
    eta = arrays_of(points, tmp_path, "--solver", "ddim", "--eta", 0.5)["values"]
    own = model.sample(23, solver=registry.build("solver", {"kind": "ddim", "eta": 0.5}))
    assert torch.equal(torch.from_numpy(eta), own)
    churned = arrays_of(points, tmp_path, "--solver", '{kind = "churned", churn = 3}')["values"]
    own = model.sample(23, solver=registry.build("solver", {"kind": "churned", "churn": 3.0}))
    assert torch.equal(torch.from_numpy(churned), own)
    fast = arrays_of(points, tmp_path, "--fast")["values"]
    assert np.allclose(fast, model.sample(23).numpy(), atol=1e-5)


@pytest.mark.parametrize("suffix", [".png", ".gif", ".npz"])
@pytest.mark.parametrize("which", ["digits", "points"])
def test_same_command_same_bytes(
    suffix: str, which: str, tmp_path: Path, request: pytest.FixtureRequest
):
    run = request.getfixturevalue(which)
    contents: list[bytes] = []
    for _ in range(2):  # the second one takes the place of the first
        good("sample", run, "-n", 12, "-o", tmp_path / f"a{suffix}")
        contents.append((tmp_path / f"a{suffix}").read_bytes())
    assert contents[0] == contents[1]
    good("sample", run, "-n", 12, "--seed", 1, "-o", tmp_path / f"a{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() != contents[0]


def test_a_sheet_shows_the_samples(digits: Path, tmp_path: Path):
    out = tmp_path / "a.png"
    good("sample", digits, "-n", 20, "--label", 3, "-o", out)
    with Image.open(out) as image:
        assert image.format == "PNG" and min(image.size) >= 100
    about = image_metadata(out)
    assert about is not None and about["label"] == 3 and about["n"] == 20
    assert "label" in good("show", out).out


def test_a_film_walks(digits: Path, tmp_path: Path):
    good("sample", digits, "-n", 10, "--steps", 5, "-o", tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as film:
        assert film.format == "GIF" and getattr(film, "n_frames", 1) >= 5


def test_a_folder_of_files(digits: Path, tmp_path: Path):
    out = tmp_path / "many"
    good("sample", digits, "-n", 5, "--first", 8, "--label", "uniform", "-o", out)
    names = ["00008-8.png", "00009-9.png", "00010-0.png", "00011-1.png", "00012-2.png"]
    assert sorted(path.name for path in out.iterdir()) == names
    model = load(digits)
    expected = model.info.to_bytes(model.sample(5, first=8, label="uniform"))[2, 0]
    with Image.open(io.BytesIO((out / names[2]).read_bytes())) as image:
        assert (np.asarray(image.convert("L")) == expected.numpy()).all()
    before = files(out)
    good("sample", digits, "-n", 5, "--first", 8, "--label", "uniform", "-o", out)
    assert files(out) == before


def test_without_a_name_it_lands_in_the_run(points: Path):
    ended = good("sample", points, "-n", 4)
    path = Path(ended.last.removeprefix("wrote "))
    assert path.parent == points / "samples" and path.name.endswith("-s0.png") and path.is_file()


# -- likelihood, evaluate -------------------------------------------------------------------------


def test_likelihood(digits: Path, tmp_path: Path):
    words = ("likelihood", digits, "-n", 3, "--steps", 2, "-o", tmp_path)
    ended = good(*words)
    assert ended.last == f"wrote {tmp_path}/likelihood.json and {tmp_path}/likelihood.npz"
    found = json.loads((tmp_path / "likelihood.json").read_text())
    each = arrays(tmp_path / "likelihood.npz")
    assert f"{found['bits_per_dim']:.3f} ± " in ended.out and "bits/dim (n=3, 3 calls" in ended.out
    assert f"half the steps {found['sensitivity_steps']:+.2g}, " in ended.out
    assert each["bits_per_dim"].mean() == pytest.approx(found["bits_per_dim"])
    before = files(tmp_path)
    assert json.loads(good(*words, "--json").out)["bits_per_dim"] == found["bits_per_dim"]
    assert files(tmp_path) == before
    good(*words, "--seed", 1)
    assert files(tmp_path) != before
    good(*words, "--data", "digits:train", "--exact", "--sigma", 0.1)
    assert json.loads((tmp_path / "likelihood.json").read_text())["likelihood_sigma"] == 0.1


def test_likelihood_with_its_bound(digits: Path, tmp_path: Path):
    words = ("likelihood", digits, "-n", 4, "--steps", 2, "-o", tmp_path)
    ended = good(*words, "--draws", 2, "--probes", 3, "--gaussian", "--bound", 5)
    found = json.loads((tmp_path / "likelihood.json").read_text())
    assert (
        f"{found['elbo_bits_per_dim']:.3f} ± " in ended.out
        and "5 steps, of the levels" in ended.out
    )
    assert found["sensitivity_count"] == found["likelihood_count"] == 4
    assert found["likelihood_draws"] == 2 and found["bits_per_dim_from_probes"] > 0
    good(*words, "--draws", 2, "--probes", 3)
    signs = json.loads((tmp_path / "likelihood.json").read_text())
    assert signs["bits_per_dim"] != found["bits_per_dim"] and "elbo_length" not in signs


def test_likelihood_of_one(points: Path, tmp_path: Path):
    """There is no error bar of one, and no NaN in a JSON file."""
    good("likelihood", points, "-n", 1, "--steps", 1, "-o", tmp_path)
    text = (tmp_path / "likelihood.json").read_text()
    found = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert found["likelihood_count"] == 1


def test_evaluate(points: Path, tmp_path: Path):
    out = tmp_path / "figures.json"
    ended = good("evaluate", points, "-o", out)
    assert ended.last == f"wrote {out}"
    found = json.loads(out.read_text())
    assert f"{found['frechet']:.3f}" in ended.out and found["protocol"] in ended.out
    assert found["count"] == 20 and found["likelihood_count"] == 3
    again = good("evaluate", points, "-n", 9, "--nll", 0, "--guidance", 0, "--json")
    figures = json.loads(again.out)
    assert figures["count"] == 9 and "nats" not in figures
    assert figures["sampling"]["guidance"] == 0
    assert (points / "metrics.json").is_file() and (points / "judge.safetensors").is_file()
    other = json.loads(good("evaluate", points, "--against", "moons:train", "--json").out)
    assert other["frechet"] != found["frechet"]


# -- show -----------------------------------------------------------------------------------------


def test_show_lists_everything():
    text = good("show").out
    for family in registry.families():
        if family not in ("sampling", "training", "evaluation"):
            assert family in text
    assert all(name in text for name in shipped())


@pytest.mark.parametrize("family", registry.families())
def test_show_every_kind(family: str):
    kinds = registry.names(family)
    listed = good("show", family).out
    assert all(kind in listed for kind in kinds) or len(kinds) == 1
    for kind in kinds:
        text = good("show", family, kind).out
        settings = registry.schema(family, kind)["properties"]
        described = text.partition("Settings:")[2]
        assert described and all(f"  {name}" in described for name in settings)
        assert ("none" in described) == (not settings) or settings


def test_show_a_process_draws_it():
    text = good("show", "process", "vp").out
    assert "alpha" in text and "log SNR" in text and "█" in text and "beta_max" in text


@pytest.mark.parametrize("name", shipped())
def test_show_recipes(name: str, tmp_path: Path):
    text = good("show", "recipe", name).out
    (tmp_path / "a.toml").write_text(text)
    assert good("train", tmp_path / "a.toml", "--dry-run").code == 0
    assert name in good("show", "recipe").out


def test_show_a_run(digits: Path):
    for target in (digits, digits / "model.safetensors"):
        text = good("show", target).out
        assert "a Diffusion of" in text and "labels 0 to 9" in text and "17 levels" in text
        assert 'kind = "mlp"' in text


def test_show_what_is_not_there(digits: Path, tmp_path: Path):
    assert "Did you mean 'process'" in refused("show", "proces")
    assert "Did you mean 'vp'" in refused("show", "process", "vpp")
    assert "no such recipe" in refused("show", "recipe", "digit")
    picture = tmp_path / "a.png"
    Image.new("L", (4, 4)).save(picture)
    assert "not one that unnoise made" in refused("show", picture)
    (tmp_path / "b.png").write_text("no picture")
    refused("show", tmp_path / "b.png")
    assert unnoise("show", digits).code == 0


def test_views_of_a_run(points: Path, digits: Path, tmp_path: Path):
    """In the run's folder or where --out says; a picture of ours may be drawn again."""
    for _ in range(2):
        ended = good("show", points, '{kind = "paths", count = 2, steps = 3}')
        assert ended.last == f"wrote {points}/paths.png"
    about = image_metadata(points / "paths.png")
    assert about is not None and about["view"] == {
        "kind": "paths",
        "count": 2,
        "steps": 3,
        "seed": 0,
    }
    assert "paths" in good("show", points / "paths.png").out
    ended = good("show", digits, "diagnostics", "-o", tmp_path / "d.png")
    assert "KL(p_1 || prior)" in ended.out and ended.last == f"wrote {tmp_path}/d.png"
    good("show", points, '{kind = "spread", count = 5, frames = 2}', "-o", tmp_path / "s.gif")
    assert "Settings:" in good("show", "view", "spread").out
    (tmp_path / "mine.png").write_bytes(b"mine")
    before = files(tmp_path)
    said = refused("show", points, "path")
    assert "view.kind = 'path': no such view. Did you mean 'paths'?" in said
    assert "writes a .gif file" in refused("show", points, "spread", "-o", tmp_path / "x.png")
    assert "was not made by unnoise" in refused(
        "show", points, "paths", "-o", tmp_path / "mine.png"
    )
    assert "draws points in the plane" in refused("show", digits, "score", "-o", tmp_path / "x.png")
    assert "folder" in refused("show", points, "paths", "-o", tmp_path / "no" / "x.png")
    assert "counts" in refused("show", digits, '{kind = "ddim", counts = []}')
    assert "--out is for views" in refused("show", "process", "vp", "-o", tmp_path / "x.png")
    assert "Write a name, or a table" in refused("show", points, "{kind = paths")
    assert files(tmp_path) == before


def test_grids_by_name_table_and_list(points: Path, tmp_path: Path):
    """Three ways to say one grid, and the bits of each; the picture remembers which."""
    out = tmp_path / "x.npz"
    words = ("sample", points, "-n", 3, "--solver", "ddim", "--steps", 2, "-o", out, "--grid")
    drawn = []
    for grid in ("uniform", '{kind = "uniform"}', "[1, 0.5, 0]", "[1, 0.4, 0]"):
        good(*words, grid)
        drawn.append(arrays(out)["values"])
    assert (drawn[0] == drawn[1]).all() and not (drawn[2] == drawn[3]).all()
    good(*words[:-3], "-o", tmp_path / "x.png", "--grid", "[1, 0.4, 0]")
    about = image_metadata(tmp_path / "x.png")
    assert about is not None and about["grid"] == [1.0, 0.4, 0.0]
    assert "holds numbers" in refused(*words, '[1, "a", 0]')
    assert "Unclosed array" in refused(*words, "[1, 0.5")
    assert "starts as noise at 1" in refused(*words, "[0.5, 0]")


def test_likelihood_follows_the_recipe(tmp_path: Path):
    """Probes that nobody names are the recipe's: an exact trace here, whose error is 0."""
    run = train(tmp_path, POINTS + 'divergence = "exact"\n')

    def asked(*words: object) -> float:
        good("likelihood", run, "-n", 3, "--steps", 2, "-o", tmp_path, *words)
        return json.loads((tmp_path / "likelihood.json").read_text())["nats_from_probes"]

    assert asked() == 0 and asked("--probes", 4) > 0 and asked("--gaussian", "--probes", 2) > 0
