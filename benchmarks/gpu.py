"""One GPU, nine minutes at most: how fast, how full, how well (CIFAR-10's DDPM++ class, bf16).

    python benchmarks/gpu.py                         # pictures made up
    python benchmarks/gpu.py --data cifar10.zip      # real ones

Needs this repository and what a CUDA image of PyTorch usually has. Prints training images/s and the
share of the GPU's peak (eager and compiled), sampling images/s, memory, and the loss after so many
images. Says so in a line, and ends well, where there is no GPU.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch.utils.flop_counter import FlopCounterMode

from unnoise import EDM, Diffusion, Noise, UNet
from unnoise.data import TensorDataset, images
from unnoise.training import Stepped, Training, fit
from unnoise.training.run import Run

# bf16 without sparsity, in 1e12 operations a second.
PEAK = {"H200": 989, "H100": 989, "A100": 312, "L4": 121, "4090": 165, "L40": 181}
BATCH = 256


def made_up() -> TensorDataset:
    """Smooth random pictures: what they show does not matter for speed."""
    coarse = Noise(0, range(2048)).normal(torch.empty(2048, 3, 4, 4))
    fine = torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bilinear")
    return TensorDataset("made up", (fine * 50 + 128).clamp(0, 255).to(torch.uint8), levels=256)


def model(device: str) -> Diffusion:
    """35 M weights, as DDPM's network for CIFAR-10."""
    net = UNet(shape=(3, 32, 32), width=128, multipliers=(1, 2, 2, 2), blocks=2)
    return Diffusion(net, EDM(), head="edm").to(device)


def flops(made: Diffusion) -> float:
    """Of one image's forward."""
    x = torch.zeros(1, 3, 32, 32, device=made.device)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        made.network(x, torch.zeros(1, device=made.device), None)
    return counter.get_total_flops()


def training(run: Run, seconds: float) -> float:
    """Images a second, after five steps that do not count."""
    for _ in range(5):
        run.advance()
    torch.cuda.synchronize()
    began, steps = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        run.advance()
        steps += 1
    torch.cuda.synchronize()
    return steps * BATCH / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="a folder or zip of pictures")
    parser.add_argument("--seconds", type=float, default=30, help="for each figure")
    parser.add_argument(
        "--steps", type=int, default=1500, help="of the training whose loss is told"
    )
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if not torch.cuda.is_available():
        print("no GPU here: nothing was measured")
        return
    name = torch.cuda.get_device_name()
    peak = next((v for k, v in PEAK.items() if k in name), None)
    found: dict[str, Any] = {"device": name, "torch": torch.__version__, "batch": BATCH}
    data = made_up() if given.data is None else images(given.data, size=32, labels=False)
    found["data"] = f"{data.info.name}, {len(data)} pictures"
    settings = Training(batch=BATCH, steps=100_000, precision="bfloat16", workers=4)
    made = model("cuda")
    found["weights"] = sum(p.numel() for p in made.parameters())
    each = 3 * flops(made)  # a backward costs two forwards
    for kind in ("eager", "compiled"):
        made = model("cuda")
        if kind == "compiled":
            made.network.compile()
        run = Run(made, data, settings, None)
        torch.cuda.reset_peak_memory_stats()
        began = time.perf_counter()
        run.advance()
        found[f"{kind}: seconds to the first step"] = time.perf_counter() - began
        rate = training(run, given.seconds)
        run.feed.close()
        found[f"{kind}: training images/s"] = rate
        if peak is not None:
            found[f"{kind}: share of peak"] = rate * each / (peak * 1e12)
        found[f"{kind}: memory GiB"] = torch.cuda.max_memory_allocated() / 2**30
        del run
    made = model("cuda")
    losses: list[float] = []

    def listen(event: Any, run: Run) -> None:
        if isinstance(event, Stepped):
            losses.append(event.loss)

    with tempfile.TemporaryDirectory() as place:
        began = time.perf_counter()
        fit(
            made,
            data,
            Training(batch=BATCH, steps=given.steps, lr=4e-4, precision="bfloat16", workers=4),
            out=place,
            listeners=[listen],
        )
        found["training: seconds"] = time.perf_counter() - began
    found[f"loss after {given.steps * BATCH:,} images"] = sum(losses[-50:]) / 50
    made.eval()
    for n, exact in ((BATCH, False), (64, True)):
        made.sample(n, steps=2, exact=exact)
        torch.cuda.synchronize()
        began = time.perf_counter()
        x = made.sample(n, steps=18, exact=exact)
        torch.cuda.synchronize()
        kind = "in exact chunks of 64" if exact else f"in one batch of {n}"
        found[f"sampling images/s, 18 steps, {kind}"] = n / (time.perf_counter() - began)
        found["samples finite"] = bool(x.isfinite().all())
    for key, value in found.items():
        print(f"{key:<48} {value:,.4g}" if isinstance(value, float) else f"{key:<48} {value}")
    if given.out is not None:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
