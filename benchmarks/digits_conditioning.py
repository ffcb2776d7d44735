"""Guidance and inpainting of real digits: an unconditional model, a classifier, and what they give.

An unconditional model (the digits recipe without labels, 3,000 steps) is guided by the
noise-aware classifier (the digits-classifier recipe) at several scales; its samples are judged as
in digits.py. Then the lower half of every held-out digit is filled in by each method, and judged
the same digit or not, beside completion by the nearest training image; and so once more with an
exact belief in place of the network, about a kernel density whose posterior can be drawn from.
Last, the kinds of guidance of the conditional recipe beside each other. One thread.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import machine
import torch
from digits_measure import COUNT, figures, requested
from torch import Tensor

import unnoise
from unnoise import (
    EDM,
    Ancestral,
    Condition,
    Diffusion,
    GuidanceRescale,
    Mask,
    Measurement,
    Noise,
    Normal,
    grid,
    integrate,
)
from unnoise.data import digits
from unnoise.denoisers import GaussianDenoiser, Guidance, GuidanceInterval
from unnoise.evaluation import Judge

PLAIN = {"data.labels": False, "sampling.guidance": 1, "training.steps": 3000}
SCALES = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
MANY = 16  # completions of a digit whose mean is judged
METHODS: dict[str, tuple[dict[str, Any], int]] = {
    "replacement": ({"kind": "replacement"}, 50),
    "repaint, 10": ({"kind": "repaint", "resample": 10}, 18),
    "dps": ({"kind": "dps"}, 50),
    "mmps": ({"kind": "mmps"}, 50),
    "pigdm": ({"kind": "pigdm"}, 50),
    "tds, 4": ({"kind": "tds", "particles": 4}, 50),
    "tds, 16": ({"kind": "tds", "particles": 16}, 50),
    "tds, 64": ({"kind": "tds", "particles": 64}, 50),
}


def train(recipe: str, seed: int, changes: dict[str, Any]) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        every = {**changes, "training.seed": seed}
        return unnoise.train(recipe, Path(folder) / "run", changes=every, threads=1)


def levels(x: Tensor) -> Tensor:
    """Samples rounded to the levels 0 ... 16, shape (N, 64)."""
    return digits("test").info.to_stored(x).flatten(1)


def judged(model: Diffusion, **how: Any) -> dict[str, float]:
    began = time.process_time()
    x = model.sample(COUNT, label=requested(), **how)
    seconds = time.process_time() - began
    return {**figures(levels(x)), "cpu": seconds}


def by_classifier(seed: int, model: Diffusion) -> list[dict[str, Any]]:
    guide = train("digits-classifier", seed, {})
    rows: list[dict[str, Any]] = []
    for solver, steps in (("dpmpp-2m", 13), ("ancestral", 50)):
        for scale in SCALES:
            how: dict[str, Any] = {"solver": solver, "steps": steps, "seed": seed}
            found = judged(model, guide=guide, guidance=scale, **how)
            rows.append({"solver": solver, "scale": scale, **found})
            print(rows[-1], flush=True)
    return rows


def by_kind(seed: int) -> list[dict[str, Any]]:
    """Constant, interval, rescaled and by a weaker model."""
    model = train("digits", seed, {})
    weaker = train("digits", seed, {"training.steps": 300})
    kinds: dict[str, tuple[Guidance | float, Any]] = {
        "none": (1.0, None),
        "constant 1.2": (1.2, None),
        "constant 2": (2.0, None),
        "interval 2 in 0.3 to 3": (GuidanceInterval(2.0, 0.3, 3.0), None),
        "rescaled 2, share 0.7": (GuidanceRescale(2.0, 0.7), None),
        "a weaker model, 2": (2.0, weaker),
    }
    rows: list[dict[str, Any]] = []
    for name, (guidance, guide) in kinds.items():
        found = judged(model, guidance=guidance, guide=guide, seed=seed)
        rows.append({"guidance": name, **found})
        print(rows[-1], flush=True)
    return rows


class Kernel(GaussianDenoiser):
    """The exact belief about a kernel density of the training digits.

    Arguments:
        points: shape (N, *event).
        width: standard deviation of each kernel.
    """

    def __init__(self, process: EDM, points: Tensor, width: float) -> None:
        super().__init__()
        self.process, self.points, self.width = process, points.flatten(1), width

    def forward(self, x: Tensor, t: Tensor, cond: Condition | None = None) -> Normal:
        _, sigma = self.process.scales(t, x)  # alpha is 1
        total = self.width**2 + sigma**2
        flat = x.flatten(1)
        away = (self.points**2).sum(1) - 2 * flat @ self.points.T
        centre = (-away / (2 * total.flatten())).softmax(1) @ self.points
        mean = centre + self.width**2 / total.flatten() * (flat - centre)
        return Normal(mean.reshape(x.shape))


def of_kernels(seed: int, width: float = 0.2) -> list[dict[str, Any]]:
    """The first 200 held-out digits, by walks and by the exact posterior itself."""
    known, unseen = digits("train")[:], digits("test")[:]
    x, label = unseen.x[:200], unseen.label
    assert label is not None
    upper = torch.arange(8)[:, None].expand(8, 8) < 4
    mask, noise = Mask(upper), Noise(seed, range(len(x)))
    process = EDM(sigma_min=0.005, sigma_max=20.0)
    right = judges()
    away = (mask(x).flatten(1)[:, None] - mask(known.x).flatten(1)).square().sum(2)
    share = (-away / (2 * width**2)).softmax(1).cumsum(1)
    u = noise.child("centre").uniform(torch.empty(len(x), 1))
    centre = known.x[torch.searchsorted(share, u)[:, 0].clamp(max=len(known.x) - 1)]
    exact = torch.where(upper, x, centre + width * noise.child("kernel").normal(x))
    rows: list[dict[str, Any]] = [{"method": "exactly", **right(exact, label[:200])}]
    times = grid(process, 50, "karras")
    start = process.prior(x.shape).sample(noise.child("start")).float()
    for name, (by, _) in METHODS.items():
        given = Measurement(mask, mask(x), by)
        found, solver = given.arrange(Kernel(process, known.x, width), Ancestral())
        cond = Condition(measured=mask(x))
        with torch.no_grad():
            made = integrate(solver, found, start, times, cond, noise.child("walk"))
        rows.append({"method": name, **right(made, label[:200])})
        print(rows[-1], flush=True)
    print(rows[0])
    return rows


def judges() -> Callable[[Tensor, Tensor], dict[str, float]]:
    """Shares of pictures, shape (N, 1, 8, 8), that are judged what their labels say."""
    from sklearn.svm import SVC

    known, unseen = digits("train")[:], digits("test")[:]
    assert unseen.label is not None and known.label is not None
    referee = SVC(C=10, gamma=0.001)  # pyright: ignore[reportArgumentType]
    referee.fit(levels(unseen.x).numpy(), unseen.label.numpy())
    judge = Judge.train(levels(known.x).double() / 8 - 1, known.label)

    def right(x: Tensor, label: Tensor) -> dict[str, float]:
        seen = levels(x)
        answers = torch.from_numpy(referee.predict(seen.numpy()))
        ours = judge.predict(seen.double() / 8 - 1)
        pairs = (("svc", answers), ("judge", ours))
        return {name: float((each == label).double().mean()) for name, each in pairs}

    return right


def inpainting(seed: int, model: Diffusion) -> list[dict[str, Any]]:
    """Share judged the digit that it was, of one completion each and of the mean of many."""
    known, unseen = digits("train")[:], digits("test")[:]
    assert unseen.label is not None
    right = partial(judges(), label=unseen.label)
    upper = torch.arange(8)[:, None].expand(8, 8) < 4
    mask = Mask(upper)
    near = torch.cdist(mask(known.x).flatten(1), mask(unseen.x).flatten(1)).argmin(0)
    completed = torch.where(upper, unseen.x, known.x[near])
    rows: list[dict[str, Any]] = [
        {"method": "the digits themselves", **right(unseen.x)},
        {"method": "nearest neighbour", **right(completed)},
    ]
    for name, (by, steps) in METHODS.items():
        began = time.process_time()
        how: dict[str, Any] = {"steps": steps, "grid": "karras", "seed": seed}
        x = model.sample(len(unseen.x), given=Measurement(mask, mask(unseen.x), by), **how)
        assert torch.equal(mask(x), mask(unseen.x))
        rows.append({"method": name, "cpu": time.process_time() - began, **right(x)})
        print(rows[-1], flush=True)
    every = unseen.x.repeat_interleave(MANY, 0)
    for name in ("mmps", "tds, 4"):
        by, _ = METHODS[name]
        given = Measurement(mask, mask(every), by)
        x = model.sample(len(every), given=given, steps=18, grid="karras", seed=seed)
        mean = x.reshape(-1, MANY, *unseen.x.shape[1:]).mean(1)
        rows.append({"method": f"{name}: the mean of {MANY}", **right(mean)})
        print(rows[-1], flush=True)
    print(rows[:2])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kernels", action="store_true", help="the exact belief alone")
    parser.add_argument("--seeds", type=int, default=1)
    default = machine.HERE / "results" / "digits-conditioning.json"
    parser.add_argument("--out", type=Path, default=default)
    given = parser.parse_args()
    torch.set_num_threads(1)
    result = machine.describe(["unnoise", "torch", "scikit-learn"])
    result["seeds"] = []
    for seed in range(given.seeds):
        if given.kernels:
            result["seeds"].append({"seed": seed, "kernels": of_kernels(seed)})
            continue
        model = train("digits", seed, PLAIN)
        parts = {"classifier": by_classifier(seed, model), "inpainting": inpainting(seed, model)}
        result["seeds"].append({"seed": seed, **parts, "kinds": by_kind(seed)})
    machine.finish(result)
    machine.write(given.out, result)
    print(f"wrote {given.out}")


if __name__ == "__main__":
    main()
