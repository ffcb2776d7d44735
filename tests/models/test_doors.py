"""What is not modelled data is refused at every door of a model, in one sentence."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.small import diffusion, pictures
from unnoise import InputError
from unnoise.models import Diffusion

DOORS: dict[str, Callable[[Diffusion, Any], Any]] = {
    "log_prob": lambda m, x: m.log_prob(x, steps=2),
    "likelihood": lambda m, x: m.likelihood(x, steps=2),
    "sensitivity": lambda m, x: m.sensitivity(x, steps=2),
    "elbo": lambda m, x: m.elbo(x, steps=2),
    "encode": lambda m, x: m.encode(x),
    "interpolate": lambda m, x: m.interpolate(x, x, 2),
    "vary": lambda m, x: m.vary(x, steps=2),
}
GOOD = pictures()[:2].x
WRONG: dict[str, Any] = {
    "pixels": 255 * (GOOD + 1) / 2,
    "uint8": (GOOD + 1).to(torch.uint8),
    "int64": torch.ones(2, 1, 4, 4).long(),
    "bool": torch.ones(2, 1, 4, 4) > 0,
    "complex": GOOD * (1 + 0j),
    "shape": torch.zeros(2, 1, 4, 5),
    "one event": GOOD[0],
    "empty": GOOD[:0],
    "nan": GOOD * float("nan"),
    "infinite": GOOD / 0,
    "huge": GOOD * 1e30,
    "sparse": GOOD.to_sparse(),
    "meta": GOOD.to("meta"),
    "numpy": GOOD.numpy(),
    "list": GOOD.tolist(),
    "none": None,
    "dataset": pictures(),
}


@pytest.fixture(scope="module")
def model() -> Diffusion:
    return diffusion(pictures())


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_what_is_no_data_is_refused(door: Any, wrong: Any, model: Diffusion):
    with pytest.raises(InputError) as caught:
        door(model, wrong)
    assert len(str(caught.value)) <= 191 and "\n" not in str(caught.value)


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_data_is_taken(door: Any, model: Diffusion):
    """The canary; of float64 too."""
    door(model, GOOD)
    door(model, GOOD.double())


def test_latents_have_no_range(model: Diffusion):
    """Noise may lie anywhere, but it has a shape and holds numbers."""
    assert model.decode(4 * torch.ones(2, 1, 4, 4)).isfinite().all()
    for name in ("uint8", "shape", "nan", "list"):
        with pytest.raises(InputError):
            model.decode(WRONG[name])


@pytest.mark.parametrize(
    "how",
    [
        {"n": np.int64(3)},
        {"steps": np.int32(2)},
        {"seed": np.uint8(4)},
        {"guidance": np.float32(1.5)},
        {"guidance": torch.tensor(1.5)},
        {"guidance": np.array(2)},
        {"label": np.int64(1)},
        {"label": np.array([0, 1, 2])},
        {"first": np.int64(5)},
    ],
    ids=str,
)
def test_numbers_of_numpy_and_torch(how: dict[str, Any], model: Diffusion):
    def plain(value: Any) -> Any:
        return value.tolist()

    own = {"n": 3, "steps": 2}
    wanted: Tensor = model.sample(**{**own, **{k: plain(v) for k, v in how.items()}})
    assert torch.equal(model.sample(**{**own, **how}), wanted)


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (lambda m: m.sample(2, num_inference_steps=20), "'steps'"),
        (lambda m: m.sample(2, labels=[0, 1]), "'label'"),
        (lambda m: m.sample(2, guidance_scale=2.0), "'guidance'"),
        (lambda m: m.sample(2, generator=None), "'seed'"),
        (lambda m: m.log_prob(GOOD, num_steps=2), "'steps'"),
        (lambda m: m.elbo(GOOD, timesteps=2), "'steps'"),
        (lambda m: m.encode(GOOD, labels=0), "'label'"),
        (lambda m: m.interpolate(GOOD, GOOD, stepz=2), "'steps'"),
    ],
)
def test_words_of_other_libraries(work: Any, said: str, model: Diffusion):
    with pytest.raises(InputError, match=f"Did you mean {said}"):
        work(model)
