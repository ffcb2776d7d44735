"""What the documents say is so: their code runs, the two READMEs agree, links lead somewhere."""

import importlib
import re
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
DOCUMENTS = ["README.md", "README.ko.md", *sorted(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))]
DOCUMENTS.append("CONTRIBUTING.md")


def code(document: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / document).read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("number", [1, 3])
def test_readme_code_runs(number, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = code("README.md")[number].replace("steps=600, batch=128", "steps=2, batch=8")
    names: dict = {}
    exec(compile(text, f"README.md, block {number}", "exec"), names)
    assert torch.isfinite(names["x"]).all()


def test_what_is_ones_own_goes_in(tmp_path, monkeypatch, forgotten):
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "readme"}
    exec(compile(code("README.md")[4], "README.md, block 4", "exec"), names)
    x = names["mine"].info.to_stored(names["mine"].sample(50))
    assert 200 < float(x.mean()) < 600
    assert (tmp_path / "runs/mine/model.safetensors").is_file()


def test_readme_goes_there_and_back(capsys):
    from tests.small import diffusion
    from unnoise.data import digits

    test = digits("test")[:4]
    names: dict = {"model": diffusion(digits()), "test": test}
    exec(code("README.md")[2].replace("8)", "3)"), names)
    away = capsys.readouterr().out.splitlines()[-1]
    assert float(away.removeprefix("tensor(").rstrip(")")) < 1e-2
    assert names["found"].standard_error.isfinite().all()
    assert names["path"].shape == (3, 2, 1, 8, 8) and names["found"].log_prob.shape == (4,)


@pytest.mark.parametrize("document", ["README.md", "README.ko.md"])
def test_readme_names_every_kind(document):
    """The table of kinds is the registry's."""
    from tests.kinds import FAMILIES
    from unnoise.catalogue.registry import names

    above = {"view": "unnoise.views", "optimiser": "unnoise.training"}  # families above the models
    for floor in above.values():
        importlib.import_module(floor)
    rows = re.findall(r"^\| (.*?) \| (`.*`) \|$", (ROOT / document).read_text("utf-8"), re.M)
    told = {}
    for family, kinds in rows:
        inside = re.search(r"\((.*)\)", family)
        told[inside[1] if inside else family] = re.findall("`(.*?)`", kinds)
    told["dataset"] = told.pop("data")
    assert set(told) <= {*FAMILIES, *above} and len(told) > 6
    for family, kinds in told.items():
        assert sorted(kinds) == sorted(names(family)), family


def test_likelihood_in_the_readme_is_exact():
    """The last block claims that the ODE's log-density equals the mixture's own."""
    names: dict = {}
    exec(code("README.md")[3], names)
    x, denoiser = names["x"][:5], names["denoiser"]
    got = names["log_prob"](denoiser, x, divergence="exact").log_prob
    assert float((got - denoiser.log_prob(x)).abs().max()) < 0.02


def test_plugin_in_contributing_works():
    from unnoise.catalogue.registry import build

    names: dict = {"__name__": "plugin_of_contributing"}
    exec(code("CONTRIBUTING.md")[0], names)
    process = build("process", "quadratic")
    process.check()
    assert float(process.angle(0.5)) == pytest.approx(
        float(torch.atan2(torch.tensor(0.5), torch.tensor(0.75)))
    )


def test_metric_of_contributing_works(tmp_path, forgotten):
    from tests.commands import POINTS, good, train

    (tmp_path / "mine.py").write_text(code("CONTRIBUTING.md")[1])
    run = train(tmp_path, POINTS)
    ended = good("evaluate", run, "--plugin", tmp_path / "mine.py", "--metrics", "frechet,spread")
    assert "  spread " in ended.out


def test_readmes_agree():
    english, korean = (ROOT / name for name in ("README.md", "README.ko.md"))
    assert code("README.md") == code("README.ko.md")
    for pattern in (r"^#+ ", r"!\[", r"^    \S", r"^\| "):
        counts = [len(re.findall(pattern, p.read_text("utf-8"), re.M)) for p in (english, korean)]
        assert counts[0] == counts[1], pattern


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    text = (ROOT / document).read_text("utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in target:
            assert (ROOT / document).parent.joinpath(target).exists(), target


def test_inverse_problem_of_the_page(tmp_path, monkeypatch):
    from tests.commands import DIGITS, train
    from unnoise import Measurement

    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    train(tmp_path, DIGITS).rename(tmp_path / "runs" / "digits")
    names: dict = {}
    exec(code("docs/inverse.md")[0], names)
    x, given = names["x"], names["given"]
    assert x.shape == (5, 1, 8, 8) and bool(x.isfinite().all())
    by = {"kind": "repaint", "resample": 2}
    again = names["model"].sample(5, given=Measurement(given.operator, given.value, by))
    assert torch.equal(again[:, :, :4], given.value[:, :, :4])


def test_guidance_of_the_page(tmp_path, monkeypatch):
    from tests.commands import CLASSIFIER, DIGITS, good, train

    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    train(tmp_path, DIGITS, "--set", "data.labels=false").rename(tmp_path / "runs" / "plain")
    (tmp_path / "classifier.toml").write_text(CLASSIFIER)
    good("train", "classifier.toml", "--out", "runs/digits-classifier")
    names: dict = {}
    exec(code("docs/guidance.md")[0], names)
    assert names["x"].shape == (10, 1, 8, 8) and names["y"].shape == (4, 1, 8, 8)
    assert not torch.equal(names["y"], names["x"][:4])


def test_view_of_the_playground_works(tmp_path):
    """Its plug-in draws, from the command line, as the page says."""
    from tests.commands import POINTS, good, train

    (tmp_path / "mine.py").write_text(code("docs/playground.md")[0])
    run = train(tmp_path, POINTS)
    ended = good("show", run, "cloud", "--plugin", tmp_path / "mine.py")
    assert "mean " in ended.out and (run / "cloud.png").is_file()
