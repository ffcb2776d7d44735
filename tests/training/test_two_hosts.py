"""Two hosts that share nothing but a wire: two network namespaces, and torchrun's own rendezvous.

Anyone who may make namespaces can start it: ``sudo pytest tests/training/test_two_hosts.py``.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.commands import good
from tests.training.test_together import RECIPE, state


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def hosts() -> Iterator[list[str]]:
    """Names of two namespaces, 10.77.0.1 and 10.77.0.2, joined by a virtual cable."""
    names = [f"unnoise{os.getpid()}{side}" for side in "ab"]
    try:
        for name in names:
            ip("netns", "add", name)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this user cannot make network namespaces")
    try:
        ends = [f"v{os.getpid() % 100000}{side}" for side in "ab"]
        ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
        for number, (name, end) in enumerate(zip(names, ends, strict=True), 1):
            ip("link", "set", end, "netns", name)
            ip("-n", name, "link", "set", end, "name", "wire")
            ip("-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", "wire")
            ip("-n", name, "link", "set", "wire", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def test_two_hosts(hosts: list[str], tmp_path: Path):
    """The same bits as one process; only the first host, which has the folder, writes (B1, B4)."""
    running: list[subprocess.Popen[str]] = []
    for number, name in enumerate(hosts):
        home = tmp_path / name
        home.mkdir()
        (home / "tiny.toml").write_text(RECIPE)
        launcher = ["ip", "netns", "exec", name, sys.executable, "-m", "torch.distributed.run"]
        launcher += ["--nnodes", "2", "--node-rank", str(number), "--nproc-per-node", "1"]
        launcher += ["--master-addr", "10.77.0.1", "--master-port", "29400"]
        running.append(
            subprocess.Popen(
                [
                    *launcher,
                    "-m",
                    "unnoise",
                    "train",
                    "tiny.toml",
                    "--out",
                    "run",
                    "--device",
                    "cpu",
                ],
                cwd=home,
                env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "wire"},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    for process in running:
        assert process.communicate(timeout=120) and process.returncode == 0
    assert not (tmp_path / hosts[1] / "run").exists()
    recipe = tmp_path / "one.toml"
    shutil.copy(tmp_path / hosts[0] / "tiny.toml", recipe)
    words = ("--threads", 1, "--device", "cpu", "--set", "training.micro_batch=8")
    good("train", recipe, "--out", tmp_path / "one", *words)
    one, two = state(tmp_path / "one"), state(tmp_path / hosts[0] / "run")
    assert all(torch.equal(one[name], two[name]) for name in one)
