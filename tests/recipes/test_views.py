"""Views: every registered one draws, and what they draw is so."""

import math
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.small import diffusion, pictures, points, trained
from unnoise.catalogue.registry import build, names
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.data import Dataset, checkerboard, valleys
from unnoise.denoisers import Mixture
from unnoise.models import Diffusion
from unnoise.processes import VE, VP, Cosine, Rectified
from unnoise.tasks.output import drawable, size_of
from unnoise.testing.compare import draw, worst
from unnoise.views import Unconditional, View
from unnoise.views.base import (
    degrees,
    density,
    first_axis,
    forward_walk,
    law_of,
    ratio_times,
    view_of,
)
from unnoise.views.fields import arrows, error_map, shares_of, time_of
from unnoise.views.health import line_density
from unnoise.views.walks import over_time

QUICK = {
    "score": {"levels": 2, "paths": 1, "steps": 3},
    "errors": {"levels": 1, "count": 20},
    "naive": {"steps": 3, "count": 20},
    "paths": {"count": 2, "steps": 4},
    "spread": {"count": 20, "frames": 2},
    "chain": {"count": 2, "columns": 2, "steps": 3},
    "ddim": {"counts": [1, 3], "columns": 3, "count": 1},
    "diagnostics": {"count": 8, "coded": 2},
}


@pytest.fixture(scope="module")
def of_points(tmp_path_factory: pytest.TempPathFactory) -> tuple[Diffusion, Dataset, Path]:
    path = tmp_path_factory.mktemp("other") / "naive.safetensors"
    model = trained(valleys(100))
    model.save(str(path))
    return model, valleys(100), path


def view(name: str, against: Path, **more: object) -> View:
    own = {"against": str(against)} if name == "naive" else {}
    return build("view", {"kind": name, **own, **QUICK[name], **more})


@pytest.mark.parametrize("name", names("view"))
def test_every_view_draws(name: str, of_points, tmp_path: Path):
    """Twice the same bytes; another seed, another picture."""
    model, data, other = of_points
    drawn = []
    for i, more in enumerate(({}, {}, {"seed": 1})):
        one = view(name, other, **more)
        path = tmp_path / f"{i}{one.suffix}"
        before = {k: v.clone() for k, v in model.state_dict().items()}
        lines = one.save(model, data, path)
        assert all(isinstance(line, str) and line for line in lines)
        assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
        assert b"unnoise" in path.read_bytes()  # so that it may be written again
        with Image.open(path) as image:
            image.verify()
        drawn.append(path.read_bytes())
    assert drawn[0] == drawn[1] and drawn[0] != drawn[2]


@pytest.mark.parametrize("name", names("view"))
def test_pictures_are_drawn_or_refused(name: str, of_points, tmp_path: Path):
    data = pictures()
    one, path = view(name, of_points[2]), tmp_path / "x"
    if name in ("chain", "ddim", "diagnostics"):
        assert one.draw(diffusion(data), data).picture.size[0] > 50
    else:
        with pytest.raises(InputError, match=r'"chain", "ddim" and "diagnostics"'):
            one.save(diffusion(data), data, path)
        assert list(tmp_path.iterdir()) == []


def test_unknown_laws_are_said(of_points):
    data = checkerboard(100)
    with pytest.raises(InputError, match="the law of data 'checkerboard' is not known"):
        view("errors", of_points[2]).draw(diffusion(data), data)


def test_naive_needs_a_run(of_points, tmp_path: Path):
    model, data, _ = of_points
    with pytest.raises(InputError, match="no model there"):
        view("naive", tmp_path / "nothing").draw(model, data)


# -- what they stand on ---------------------------------------------------------------------------

PROCESSES = [VP(), VE(), Cosine(), Rectified()]


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
def test_times_are_even_in_the_share_of_noise(process):
    times = ratio_times(process, 0.6, 20)
    assert float(times[0]) == process.t_max and float(times[-1]) == 0
    turned = torch.tensor(degrees(process, 0.6, times[:-1])).double()
    assert torch.allclose(turned.diff(), turned.diff().mean().expand(19), rtol=1e-3, atol=1e-3)
    # 45 degrees is where noise and data of that size are of one size.
    t = time_of(process, 0.6)
    assert degrees(process, 0.6, t[None])[0] == pytest.approx(45)
    alpha, _ = (float(c) for c in process.scales(t))
    assert drawable(process, 0.6, t) == pytest.approx(1 / (alpha * math.sqrt(2)))


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
def test_forward_walk_has_the_forward_law(process):
    """Mean and variance after ten steps within 5 s.e.; one state more or less is not."""
    count = 20_000
    times = ratio_times(process, 1.0, 10).flip(0)
    x = torch.ones(count, 1).double()
    walk = forward_walk(process, x, times, Noise(0, range(count)))
    for i in (3, 9):
        alpha, sigma = (float(c) for c in process.scales(times[i]))
        gap = abs(float(walk[i].mean()) - alpha) / (sigma / count**0.5)
        spread = abs(float(walk[i].var()) / sigma**2 - 1) / (2 / count) ** 0.5
        assert gap < 5 and spread < 5
        wrong = float(process.scales(times[i - 1])[1])
        assert abs(float(walk[i].var()) / wrong**2 - 1) / (2 / count) ** 0.5 > 5


def test_over_time_is_the_marginal():
    """A column is p_t of the first coordinate, scaled; by the two-dimensional law, integrated."""
    data = valleys(100)
    law, size = law_of(data, VP()), size_of(data.info)
    box = (0.0, 80.0, -2.0, 2.0)
    heat = over_time(first_axis(law), size, box, 8, 101)
    angle = torch.tensor(math.radians(35.0)).double()  # the middle of column 3
    t = VP().time(torch.atan(size * angle.tan()))
    scale = drawable(VP(), size, t)
    across = -2 + 4 * (torch.arange(101).double() + 0.5) / 101
    up = torch.linspace(-9, 9, 901).double()
    plane = torch.cartesian_prod(across / scale, up)
    marginal = law.log_prob(plane, t).exp().reshape(101, 901).sum(1)
    assert worst(heat[:, 3], marginal / marginal.max(), scale=1.0) < 1e-6


def test_density_is_of_the_scaled_state():
    data = valleys(100)
    law, box = law_of(data, VP()), view_of(data)
    t = time_of(VP(), 0.3)
    alpha = float(VP().scales(t)[0])
    heat = density(law, t, box, alpha)
    # Its largest value lies in the larger cloud, wherever alpha has moved that.
    row, column = divmod(int(heat.argmax()), 120)
    at = [box[0] + (box[1] - box[0]) * (i + 0.5) / 120 for i in (column, row)]
    assert at == pytest.approx([0.7, 0.7], abs=0.03) and float(heat.max()) == 1


def test_errors_and_arrows_of_the_truth():
    """The truth has no error, and its arrows are its score; another's has."""
    data = valleys(100)
    law, box = law_of(data, VP(), exact=True), (-1.5, 1.5, -1.5, 1.5)
    t = time_of(VP(), 0.2)
    assert float(error_map(law, law, t, box).max()) < -3.5
    other = Mixture(VP(), law.means + 0.1, 0.14**2, law.log_weights.exp())
    assert float(error_map(other, law, t, box).median()) > -1
    at, shown = arrows(law, t, box, 9)
    score = law.score(float(VP().scales(t)[0]) * at, t)
    cosine = torch.cosine_similarity(score, shown)
    assert float(cosine.min()) > 0.999
    lengths = torch.stack([score.norm(dim=1), shown.norm(dim=1)])
    assert torch.equal(*lengths.argsort(1)) or float(torch.corrcoef(lengths)[0, 1]) > 0.8


def test_unconditional_is_the_null_condition():
    model = diffusion(points())
    x, t = draw(4, 2).float(), torch.tensor(0.3)
    label = torch.zeros(4, dtype=torch.int64)
    from unnoise.core.condition import Condition

    hidden = model.denoiser(x, t, Condition(label=label).null()).mean
    assert torch.equal(Unconditional(model)(x, t).mean, hidden)
    assert not torch.equal(hidden, model.denoiser(x, t, Condition(label=label)).mean)


def test_shares():
    law = law_of(valleys(100), VP())
    x = torch.cat([law.means[:1].expand(30, 2), law.means[1:].expand(10, 2)])
    assert shares_of(law, x) == [0.75, 0.25]


def test_a_line_of_the_data():
    """Of known laws the first coordinate; of others their longest axis, smoothed; both sum to 1."""
    for data in (valleys(100), checkerboard(300), pictures(200)):
        log_density, span = line_density(data, VP())
        x = torch.linspace(*span, 4001).double()
        p = log_density(x).exp() * (x[1] - x[0])
        assert float(p.sum()) == pytest.approx(1, abs=1e-3)
        spread = float(p @ (x - p @ x) ** 2)
        wanted = float(data.info.moments().variances.max())
        if data.law is None:
            assert spread == pytest.approx(wanted, rel=0.3)
