"""Clipping, AdamW and the averaged weights of 35.7 million parameters, in milliseconds (P6).

Ours against the ways of others: torch's AdamW (fused and not), clip_grad_norm_, and an average that
walks over the parameters one by one as diffusers' EMAModel does. Every arm in turn, medians.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import machine
import torch
from torch import nn

from unnoise import Noise, UNet
from unnoise.training.averages import Average, exponential
from unnoise.training.optim import AdamW, Optimising

# Of the size of ddpm-cifar10-32 (35.7 M).
NETWORK = {"shape": (3, 32, 32), "width": 128, "multipliers": (1, 2, 2, 2), "blocks": 2}


def network() -> nn.Module:
    net = UNet(**NETWORK)
    for i, parameter in enumerate(net.parameters()):
        parameter.grad = (
            Noise(i, [0]).normal(torch.empty(1, parameter.numel())).reshape(parameter.shape)
        )
    return net


def ours() -> Callable[[], None]:
    net = network()
    named = dict(net.named_parameters())
    optimiser = Optimising(AdamW(), named, weight_decay=0.01)
    average = Average(named, exponential(8000.0))
    step = 0

    def run() -> None:
        nonlocal step
        optimiser.clip(1.0)
        optimiser.step(1e-4)
        average.update(step, 128)
        step += 1

    return run


def theirs(fused: bool, foreach: bool) -> Callable[[], None]:
    net = network()
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-4, fused=fused)
    kept = [p.detach().clone() for p in net.parameters()]

    def run() -> None:
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        with torch.no_grad():
            if foreach:
                torch._foreach_lerp_(kept, list(net.parameters()), 0.001)
            else:
                for mine, parameter in zip(kept, net.parameters(), strict=True):
                    mine.sub_(0.001 * (mine - parameter))

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--out", type=Path, default=machine.HERE / "results" / "optimizer-ema.json")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    result = machine.describe(["unnoise", "torch"])
    arms = {
        "unnoise": ours(),
        "torch, fused, foreach average": theirs(True, True),
        "torch default, average one by one (diffusers' way)": theirs(False, False),
    }
    spent: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(given.repeats + 1):
        for name, run in arms.items():
            began = time.perf_counter()
            run()
            spent[name].append(1000 * (time.perf_counter() - began))
    cost = {name: statistics.median(values[1:]) for name, values in spent.items()}
    result["threads"] = given.threads
    result["parameters"] = sum(p.numel() for p in UNet(**NETWORK).parameters())
    result["milliseconds"] = cost
    rows = [[name, f"{ms:.1f}", f"{ms / cost['unnoise']:.2f}"] for name, ms in cost.items()]
    print(f"{result['parameters']:,} parameters")
    print(machine.markdown(["arm", "ms a step", "over ours"], rows))
    machine.finish(result)
    machine.write(given.out, result)
    print(f"wrote {given.out}")


if __name__ == "__main__":
    main()
