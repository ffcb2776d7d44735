"""Batches made ahead: the same whatever the workers, every example once an epoch (C4)."""

import threading
import time
from pathlib import Path

import pytest
import torch

from tests import pictures
from tests.small import SETTINGS, diffusion, same, trained, weights
from tests.small import pictures as rows
from unnoise.core.errors import DamagedFileError
from unnoise.core.noise import Noise
from unnoise.data import Batch, Flipped, images, webdataset
from unnoise.training import fit
from unnoise.training.feed import Feed
from unnoise.training.run import Run
from unnoise.training.settings import Training


def sources():
    return {
        "memory": rows(),
        "mirrored": Flipped(images(str(pictures.a_folder()))),
        "shards": webdataset(str(pictures.some_shards()), 6, flip=True, together=1),
    }


@pytest.mark.parametrize("name", sources())
def test_workers_change_no_bit(name: str):
    """Three epochs with 0, 1, 2 and 5 workers: equal batches, and no example twice an epoch."""
    data = sources()[name]
    model = diffusion(data)
    found = []
    for workers in (0, 1, 2, 5):
        steps = 3 * len(data) // 4
        run = Run(model, data, Training(batch=4, steps=steps, workers=workers), None)
        found.append([run.feed(step)[0].x for step in range(steps)])
        run.feed.close()
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_training_is_the_same():
    one = trained(rows(), workers=0)
    two = trained(rows(), workers=2)
    assert same(weights(one), weights(two))


def made(step: int) -> tuple[Batch, Noise]:
    return Batch(torch.full((1, 1), float(step)), None), Noise(0, [step])


def test_work_goes_on_ahead():
    """While one batch is used the next is made; none after the last."""
    asked: list[int] = []

    def make(step: int) -> tuple[Batch, Noise]:
        asked.append(step)
        return made(step)

    feed = Feed(make, 2, 6)
    assert float(feed(3)[0].x) == 3
    for _ in range(200):
        if len(asked) == 3:
            break
        time.sleep(0.01)
    assert sorted(asked) == [3, 4, 5]
    assert float(feed(4)[0].x) == 4 and float(feed(4)[0].x) == 4 and float(feed(1)[0].x) == 1
    assert float(feed(9)[0].x) == 9
    feed.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("unnoise-feed")]


def test_a_failure_comes_at_its_step():
    def make(step: int) -> tuple[Batch, Noise]:
        if step == 2:
            raise DamagedFileError("step 2")
        return made(step)

    feed = Feed(make, 2, 9)
    feed(0)
    feed(1)
    with pytest.raises(DamagedFileError, match="step 2"):
        feed(2)
    feed.close()


def test_threads_end_with_the_training(tmp_path: Path):
    data = rows()
    fit(diffusion(data), data, **{**SETTINGS, "workers": 3}, out=tmp_path)
    assert not [t for t in threading.enumerate() if t.name.startswith("unnoise-feed")]


def test_canary_a_generator_of_the_threads_own():
    """Draws from one generator hang on who comes first: with workers the batches differ."""
    generator = torch.Generator().manual_seed(0)

    def make(step: int) -> tuple[Batch, Noise]:
        time.sleep(0.002 * (5 - step % 5))
        return Batch(torch.rand(1, 1, generator=generator), None), Noise(0, [step])

    def drawn(workers: int) -> list[float]:
        generator.manual_seed(0)
        feed = Feed(make, workers, 20)
        found = [float(feed(step)[0].x) for step in range(20)]
        feed.close()
        return found

    assert drawn(0) != drawn(4)
