"""What a measurement was made on, and a fresh process to make it in."""

import hashlib
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def version(name: str) -> str | None:
    """Of an installed package; None where it is missing."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def cpu_name() -> str:
    """The processor, as /proc/cpuinfo has it where there is one."""
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def source_hash() -> str:
    """Of the package's files, to see whether two results are of the same code."""
    found = importlib.util.find_spec("unnoise")
    if found is None or found.origin is None:
        raise RuntimeError("unnoise is not installed")
    root = Path(found.origin).parent
    digest = hashlib.sha256()
    for file in sorted(f for kind in ("*.py", "*.toml", "*.npz") for f in root.rglob(kind)):
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]


def finish(result: dict[str, Any]) -> None:
    """Note in a result, and say, whether the code changed while it was being measured."""
    result["source_at_end"] = source_hash()
    if result["source_at_end"] != result["source"]:
        print("CAUTION: the package was edited during this run; the rows are of different code.\n")


def describe(packages: Sequence[str]) -> dict[str, Any]:
    """Date, hardware and versions, for the head of a result file."""
    found = {name: version(name) for name in packages}
    return {
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "hardware": {
            "cpu": cpu_name(),
            "cores": os.cpu_count(),
            "platform": platform.platform(),
            "load": [round(value, 2) for value in os.getloadavg()],
            "threads": 1,
        },
        "source": source_hash(),
        "versions": {
            "python": platform.python_version(),
            **{name: v for name, v in found.items() if v is not None},
        },
    }


def one_thread() -> dict[str, str]:
    """An environment for a child that computes with one thread."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {**os.environ, **dict.fromkeys(names, "1")}


def fresh(script: str, *arguments: str) -> dict[str, Any]:
    """Run a script of this folder in a process of its own and return the JSON that it writes.

    Arguments:
        script: file name; it is given ``--started SECONDS`` (clock) and ``--report FILE``.
        arguments: more for it.

    Raises:
        RuntimeError: it failed; its last lines are the message.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        done = subprocess.run(
            [
                *(sys.executable, str(HERE / script), *arguments),
                *("--report", str(report), "--started", repr(time.time())),
            ],
            env=one_thread(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0 or not report.exists():
            raise RuntimeError("\n".join(done.stderr.strip().splitlines()[-6:]) or "no report")
        return json.loads(report.read_text("utf-8"))


def spread(values: Sequence[float], digits: int = 3) -> str:
    """``median (min..max)`` of several values, the value alone of one."""
    shown = [f"{v:.{digits}f}" for v in (statistics.median(values), min(values), max(values))]
    return shown[0] if len(values) == 1 else f"{shown[0]} ({shown[1]}..{shown[2]})"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table that reads well as it is."""
    widths = [max(len(line[i]) for line in (head, *rows)) for i in range(len(head))]
    lines = [
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in (head, *rows)
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def write(path: Path, value: dict[str, Any]) -> None:
    """A result file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n", "utf-8")
