"""Images a second of a small U-Net, forward and training, beside its peers in the same run (P5).

1x28x28, batches of 32, one thread; every arm in turn, medians. Training is forward, backward,
clipping and AdamW, each arm with what its own tutorial uses. Peers that are missing are left out.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
import torch
from peer_networks import SHAPE, azula_unet, ours, tutorial_unet
from torch import Tensor, nn

from unnoise import Noise, UNet
from unnoise.training.optim import AdamW, Optimising

BATCH = 32


def networks() -> dict[str, tuple[nn.Module, Callable[[nn.Module, Tensor, Tensor], Tensor]]]:
    """Name -> network, and how it is called with a state and a clock."""

    def plain(net: nn.Module, x: Tensor, t: Tensor) -> Tensor:
        return net(x, t)

    def half(net: nn.Module, x: Tensor, t: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return net(x, t)

    found: dict[str, Any] = {
        "unnoise": (ours(), plain),
        "unnoise bfloat16": (ours(), half),
        "unnoise, whole pixels": (UNet(shape=SHAPE, width=36, multipliers=(1, 2, 2)), plain),
    }
    try:
        found["diffusers"] = (tutorial_unet(28), lambda net, x, t: net(x, 999 * t).sample)
    except ImportError:
        print("diffusers is missing: left out")
    try:
        found["azula"] = (azula_unet(), lambda net, x, t: net(x, t[:, None].expand(-1, 128)))
    except ImportError:
        print("azula is missing: left out")
    return found


def stepper(name: str, net: nn.Module) -> Callable[[], None]:
    """Clip and optimise."""
    if name.startswith("unnoise"):
        own = Optimising(AdamW(), dict(net.named_parameters()), weight_decay=0.01)

        def step() -> None:
            own.clip(1.0)
            own.step(1e-4)
            own.zero_grad()

        return step
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-4)

    def theirs() -> None:
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()

    return theirs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    default = machine.HERE / "results" / "train-throughput.json"
    parser.add_argument("--out", type=Path, default=default)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    result = machine.describe(["unnoise", "torch", "diffusers", "azula"])
    x = Noise(0, range(BATCH)).normal(torch.empty(BATCH, *SHAPE))
    t = Noise(1, range(BATCH)).uniform(torch.empty(BATCH))
    arms = networks()
    steps = {name: stepper(name, net) for name, (net, _) in arms.items()}
    seconds: dict[str, dict[str, list[float]]] = {n: {"forward": [], "train": []} for n in arms}
    for _ in range(given.repeats + 1):
        for name, (net, call) in arms.items():
            began = time.perf_counter()
            with torch.no_grad():
                call(net, x, t)
            middle = time.perf_counter()
            call(net, x, t).float().square().mean().backward()
            steps[name]()
            seconds[name]["forward"].append(middle - began)
            seconds[name]["train"].append(time.perf_counter() - middle)
    rows: list[list[str]] = []
    result["arms"] = {}
    for name, (net, _) in arms.items():
        rate = {k: BATCH / statistics.median(v[1:]) for k, v in seconds[name].items()}
        size = sum(p.numel() for p in net.parameters())
        result["arms"][name] = {"parameters": size, **rate}
        base = result["arms"]["unnoise"]
        ratios = [f"{base[k] / rate[k]:.2f}" for k in ("forward", "train")]
        rows.append([name, f"{size / 1e6:.2f} M", *(f"{v:.0f}" for v in rate.values()), *ratios])
    head = ["arm", "weights", "forward img/s", "train img/s", "ours over it: forward", "train"]
    print(machine.markdown(head, rows))
    machine.finish(result)
    machine.write(given.out, result)
    print(f"wrote {given.out}")


if __name__ == "__main__":
    main()
