"""How long it takes until something happens: imports, --help, and the phases of the demo.

    python benchmarks/startup.py [--rounds 5] [--demos 5] [--out benchmarks/results]

Every figure is of a fresh process with one thread; the commands take turns; medians.
`import unnoise` is to cost at most 0.3 s more than `import torch`.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from machine import HERE, describe, finish, markdown, one_thread, spread, write

CLI = (sys.executable, "-m", "unnoise")
COMMANDS: dict[str, tuple[str, ...]] = {
    "python, nothing": (sys.executable, "-c", "pass"),
    "import torch": (sys.executable, "-c", "import torch"),
    "import unnoise": (sys.executable, "-c", "import unnoise"),
    "import unnoise, every name": (sys.executable, "-c", "from unnoise import *"),
    "unnoise --help": (*CLI, "--help"),
    "unnoise train --help": (*CLI, "train", "--help"),
}
# A phase of the demo ends where a line begins with these words; the last one ends with the process.
PHASES = (
    ("start", "training on"),
    ("prepare", "1200 steps"),
    ("train, save", "trained to"),
    ("finish training", "drawing"),
    ("draw pictures", "measuring"),
    ("measure", "wrote"),
    ("exit", ""),
)

Sample = dict[str, float]


def timed(command: Sequence[str]) -> Sample:
    """Wall-clock and processor seconds of a command."""
    began = time.perf_counter()
    process = psutil.Popen(command, env=one_thread(), stdout=subprocess.DEVNULL)
    cpu = _watch(process)
    return {"wall": time.perf_counter() - began, "cpu": cpu}


def _watch(process: psutil.Popen) -> float:
    """Wait, and return the processor seconds that it used, children included."""
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{process.args} failed with status {status}")
    return usage.ru_utime + usage.ru_stime


def demo() -> dict[str, Sample]:
    """The phases of ``unnoise demo`` in a new folder."""
    with tempfile.TemporaryDirectory() as folder:
        process = psutil.Popen(
            [*CLI, "demo", "--out", str(Path(folder) / "demo")],
            env={**one_thread(), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        began, spent = time.perf_counter(), 0.0
        first = began
        found: dict[str, Sample] = {}
        waiting = list(PHASES)
        for line in process.stdout or ():
            if line.startswith(waiting[0][1] or "\0"):
                name, _ = waiting.pop(0)
                times = process.cpu_times()
                now, cpu = time.perf_counter(), times.user + times.system
                found[name] = {"wall": now - began, "cpu": cpu - spent}
                began, spent = now, cpu
        total = _watch(process)
        if len(waiting) != 1:
            raise SystemExit(f"the demo said nothing of {waiting[0][1]!r}; PHASES wants an update")
        now = time.perf_counter()
        found["exit"] = {"wall": now - began, "cpu": total - spent}
        found["all of it"] = {"wall": now - first, "cpu": total}
    return found


def table(title: str, samples: dict[str, list[Sample]], base: str | None) -> str:
    """Medians with least and greatest; what is more than the base in the last column."""
    lines: list[list[str]] = []
    for name, some in samples.items():
        wall, cpu = ([s[kind] for s in some] for kind in ("wall", "cpu"))
        line = [name, spread(wall, 2), spread(cpu, 2)]
        if base is not None:
            more = statistics.median(wall) - statistics.median(s["wall"] for s in samples[base])
            line.append(f"{more:+.2f}")
        lines.append(line)
    head = [title, "wall s", "CPU s", *([f"wall against {base}"] if base is not None else [])]
    return markdown(head, lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--demos", type=int, default=5)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    given = parser.parse_args()
    result: dict[str, Any] = describe(("unnoise", "torch", "typer", "matplotlib", "accelerate"))
    for command in COMMANDS.values():
        timed(command)  # the first one reads the disk
    starts: dict[str, list[Sample]] = {name: [] for name in COMMANDS}
    phases: dict[str, list[Sample]] = {}
    for turn in range(max(given.rounds, given.demos)):
        if turn < given.rounds:
            for name, command in COMMANDS.items():
                starts[name].append(timed(command))
        if turn < given.demos:
            for name, sample in demo().items():
                phases.setdefault(name, []).append(sample)
    if starts["import torch"]:
        print(table("command", starts, "import torch") + "\n")
    if phases:
        print(table("unnoise demo", phases, None) + "\n")
    finish(result)
    path = given.out / f"startup-{result['date'][:10]}.json"
    write(path, {**result, "commands": starts, "demo": phases})
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
