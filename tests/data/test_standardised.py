"""Continuous data of the user's own is modelled with mean 0 and standard deviation 1 a channel."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unnoise import MLP, VP, Diffusion, InputError, load
from unnoise.core.noise import Noise
from unnoise.data import TensorDataset, checkerboard, moons
from unnoise.data.modelled import Remodelled, as_modelled
from unnoise.training import fit


def rows(*shape: int) -> torch.Tensor:
    return Noise(0, range(shape[0])).normal(torch.empty(*shape, dtype=torch.float64))


@given(
    st.sampled_from([(200, 3), (60, 2, 7), (30, 3, 4, 5)]),
    st.floats(-1e6, 1e6),
    st.floats(1e-3, 1e3),
)
def test_each_channel_has_mean_0_and_deviation_1(shape: Any, shift: float, spread: float):
    x = rows(*shape) * spread + shift * torch.arange(1, shape[1] + 1).reshape(
        -1, *[1] * (len(shape) - 2)
    )
    data = TensorDataset("x", x)
    flat = data[:].x.double().movedim(1, 0).flatten(1)
    assert torch.allclose(flat.mean(1), torch.zeros(shape[1]).double(), atol=1e-5)
    assert torch.allclose(flat.std(1, correction=0), torch.ones(shape[1]).double(), atol=1e-5)
    # The user's own units come back.
    assert torch.allclose(
        data.info.to_stored(data[:].x).double(), x, atol=1e-5 * (abs(shift) + spread) * 9
    )
    assert abs(data.info.variance - float(data[:].x.double().var(0, correction=0).mean())) < 1e-5


def test_the_constant_of_a_density_is_said():
    """log p of stored values is that of modelled ones plus sum log|scale|."""
    data = TensorDataset("x", rows(500, 2) * torch.tensor([10.0, 0.1]) + 5)
    std = torch.tensor(data.info.scale).reciprocal()
    assert data.info.log_scale == pytest.approx(-float(std.log().sum()))
    one = TensorDataset("x", rows(20, 2, 3) * 4)
    assert one.info.log_scale == pytest.approx(3 * sum(map(math.log, one.info.scale)))


def test_what_stays_as_it_is():
    for data in (
        moons(count=40),
        checkerboard(count=40),
        TensorDataset("a", rows(9, 2), standardize=False),
    ):
        assert (data.info.offset, data.info.scale) == (0.0, 1.0)
    levels = TensorDataset("a", torch.arange(12).reshape(3, 4) % 4, levels=4)
    assert (levels.info.offset, levels.info.scale) == (-1.0, 0.5)


def test_a_constant_channel_keeps_its_scale():
    data = TensorDataset("x", torch.cat([rows(50, 1), torch.full((50, 1), 0.1)], 1))
    assert data.info.scale[1] == 1.0 and float(data[:].x[:, 1].abs().max()) < 1e-6


def test_uint8_has_256_levels():
    data = TensorDataset("x", torch.randint(0, 256, (9, 1, 4, 4), dtype=torch.uint8))
    assert data.info.levels == 256 and float(data[:].x.abs().max()) <= 1
    array = TensorDataset("x", data.stored.numpy())
    assert array.info.sha256 == data.info.sha256


@pytest.mark.parametrize(
    ("stored", "labels", "how", "said"),
    [
        (rows(9, 2).abs() / 9, None, {"levels": 256}, "fractions"),
        (rows(9, 2), torch.linspace(0, 1, 9), {}, "whole number"),
        (rows(9, 2), torch.zeros(9, 1), {}, "whole number"),
        (rows(9, 2) * float("inf"), None, {}, "NaN or infinite"),
        (rows(9, 2) * 1j, None, {}, "real numbers"),
        (rows(9, 2).to_sparse(), None, {}, "dense"),
        (np.array([["a", "b"]]), None, {}, "real numbers"),
        (rows(9, 1)[:, 0], None, {}, r"\(N, 1\)"),
    ],
)
def test_what_cannot_be_meant_is_refused(stored: Any, labels: Any, how: Any, said: str):
    with pytest.raises(InputError, match=said):
        TensorDataset("x", stored, labels, **how)


@pytest.mark.parametrize("kind", [">f4", "<f8", "f2", "longdouble", "i8", ">i2", "u2"])
def test_arrays_of_any_type(kind: str):
    values = np.arange(24).reshape(8, 3) % 5
    found = TensorDataset("x", np.asfortranarray(values.astype(kind)))
    wanted = TensorDataset("x", torch.from_numpy(values.astype(kind).astype(np.float64)))
    assert torch.allclose(found[:].x, wanted[:].x, atol=1e-3)


def test_labels_that_are_whole_floats():
    assert TensorDataset("x", rows(4, 2), torch.tensor([0.0, 1, 1, 2])).info.class_counts == (
        1,
        2,
        1,
    )


def test_other_data_in_a_models_values():
    """Equal stored values are equal modelled ones; moments follow; canary: its own map differs."""
    train = TensorDataset("a", rows(300, 2) * 3 + 7)
    other = TensorDataset("b", rows(80, 2)[40:] * 5 - 2)
    seen = as_modelled(other, train.info)
    assert as_modelled(train, train.info) is train
    assert torch.allclose(Remodelled(other, train.info)[:].x, seen[:].x, atol=1e-5)
    wanted = train.info.to_model(other.stored)
    assert torch.allclose(seen[:].x, wanted, atol=1e-6)
    assert not torch.allclose(other[:].x, wanted, atol=0.1)
    flat = seen[:].x.double()
    assert torch.allclose(seen.info.mean.double(), flat.mean(0), atol=1e-6)
    assert torch.allclose(seen.info.covariance.double(), torch.cov(flat.T, correction=0), atol=1e-5)
    assert torch.allclose(seen.info.to_stored(seen[:].x).double(), other.stored, atol=1e-5)


def test_a_file_keeps_the_map(tmp_path: Path):
    data = TensorDataset("x", rows(100, 2) * 50 + 9)
    model = Diffusion(MLP(shape=(2,), width=8), VP())
    fit(model, data, steps=2, batch=8, threads=1)
    model.save(str(tmp_path / "m.safetensors"))
    info = load(tmp_path / "m.safetensors").info
    assert (info.offset, info.scale) == (data.info.offset, data.info.scale)
    x = model.sample(400, steps=4)
    assert torch.equal(info.to_stored(x), data.info.to_stored(x))


def test_classes_go_by_their_names():
    """Other data without some class has other numbers; canary: its own are wrong."""

    def named(names: tuple[str, ...], labels: list[int]) -> TensorDataset:
        return TensorDataset("x", rows(len(labels), 2), torch.tensor(labels), class_names=names)

    train, other = named(("cat", "dog", "owl"), [0, 1, 2]), named(("cat", "owl"), [1, 0, 1])
    seen = as_modelled(other, train.info)
    assert seen[:].label.tolist() == [2, 0, 2] != other[:].label.tolist()
    assert seen.info.labels.counts == (1, 0, 2) and seen.info.class_names == train.info.class_names
    stranger = as_modelled(named(("cat", "eel"), [0, 1]), train.info)
    assert stranger[:].label is None and stranger.info.classes is None
    assert as_modelled(train, train.info) is train
