"""Whether this tree still computes the same bits as another commit.

    python benchmarks/same_bits.py HEAD~1 [--only train|sample|likelihood]

Both trees compute here and now, one after the other, each in a fresh process with one thread: bits
are promised for one version of torch and one kind of processor alone, so none are kept in a file.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from machine import HERE, one_thread

ROOT = HERE.parent
PARTS = ("train", "sample", "likelihood")
STEPS = 30
LABELS = [*range(10), *range(10)]
WALKS: dict[str, dict[str, Any]] = {
    "the recipe's solver": {},
    "auto": {"solver": "auto", "grid": "auto"},
    "heun": {"solver": "heun"},
    "ddim": {"solver": "ddim"},
    "ancestral": {"solver": "ancestral"},
    "guidance 2": {"guidance": 2.0},
}
INFORMATION = "document"  # items that end so may differ: they describe, nobody computes with them

Item = dict[str, str]  # what was computed, by name: its bits

# -- in a process of one tree ---------------------------------------------------------------------


def bits(tensors: Mapping[str, Any]) -> Item:
    """The sha256 of each tensor's type, shape and content."""
    import torch

    found: Item = {}
    for name, tensor in tensors.items():
        content = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        head = f"{tensor.dtype} {tuple(tensor.shape)}\n".encode()
        found[name] = hashlib.sha256(head + content.tobytes()).hexdigest()
    return found


def flat(value: Any, where: str = "") -> Item:
    """Every entry of a nested table by its dotted name."""
    if not isinstance(value, dict) or not value:
        return {where: json.dumps(value)}
    under = [flat(inner, f"{where}.{key}" if where else key) for key, inner in value.items()]
    return {name: text for each in under for name, text in each.items()}


def trained(recipe: str, folder: Path) -> dict[str, Item]:
    """A short training and what it leaves in its folder.

    The tensors are read by name and not by our own reader: a header that says more is no other
    bit, and a tree whose reader is broken cannot hide it.
    """
    from safetensors import safe_open
    from safetensors.torch import load_file

    import unnoise

    unnoise.train(recipe, folder, changes={"training.steps": STEPS}, device="cpu", threads=1)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    state = max(folder.glob("checkpoints/*/state.safetensors"))
    with safe_open(folder / "model.safetensors", "pt") as file:
        document = json.loads(file.metadata()["unnoise"])
    del document["sha256"]
    return {
        f"train {recipe}, losses": {
            f"step {line['step']}": repr(line["loss"]) for line in lines if line["event"] == "step"
        },
        f"train {recipe}, model file": bits(load_file(folder / "model.safetensors")),
        f"train {recipe}, state": bits(load_file(state)),
        f"train {recipe}, {INFORMATION}": flat(document),
    }


def asked(model: Any, only: str | None) -> dict[str, Callable[[], Mapping[str, Any]]]:
    """What is asked of a model: samples of given labels, and eight held-out digits' likelihood."""
    import torch

    import unnoise

    held = unnoise.data.digits("test").batch(torch.arange(8), unnoise.Noise(0, range(8)))
    label = held.cond.label
    found: dict[str, Callable[[], Mapping[str, Any]]] = {
        f"sample {name}": lambda how=how: {"x": model.sample(len(LABELS), label=LABELS, **how)}
        for name, how in WALKS.items()
    }

    def bound() -> dict[str, Any]:
        terms = model.elbo(held.x, label=label, steps=20)
        return {"prior": terms.prior, "steps": terms.steps, "decoder": terms.decoder}

    found["likelihood log_prob"] = lambda: {"x": model.log_prob(held.x, label=label, steps=16)}
    found["likelihood elbo"] = bound
    return {name: work for name, work in found.items() if name.startswith(only or PARTS)}


def measure(tree: Path, only: str | None) -> dict[str, Item]:
    """Everything that a tree computes, for the parts that are asked for."""
    import torch

    import unnoise

    assert unnoise.__file__ is not None
    assert Path(unnoise.__file__).is_relative_to(tree), f"{unnoise.__file__} is not of {tree}"
    torch.set_num_threads(1)
    found: dict[str, Item] = {}

    def note(name: str, work: Callable[[], dict[str, Item]]) -> None:
        """Compute something; what this tree does not know yet is left out, and said."""
        try:
            found.update(work())
        except (unnoise.InputError, AttributeError) as error:
            print(f"{tree.name} tree without {name!r}: {error}", file=sys.stderr)

    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "digits"
        items = trained("digits", run)  # without it there is nothing to compare
        if only in (None, "train"):
            found |= items
            unet = Path(folder) / "digits-unet"
            note("train digits-unet", lambda: trained("digits-unet", unet))
        for name, work in asked(unnoise.load(run), only).items():
            note(name, lambda name=name, work=work: {name: bits(work())})
    return found


# -- here -----------------------------------------------------------------------------------------


@contextmanager
def trees(base: str) -> Generator[tuple[Path, Path]]:
    """BASE and this tree, side by side in a temporary folder.

    The package of this tree is copied as it lies, changes that are not committed included, so that
    whoever edits it meanwhile changes nothing here.

    Raises:
        ValueError: there is no such commit.
    """
    git = ("git", "-C", str(ROOT), "worktree")
    with tempfile.TemporaryDirectory(prefix="same-bits-") as folder:
        ours, theirs = Path(folder).resolve() / "this", Path(folder).resolve() / "base"
        shutil.copytree(ROOT / "unnoise", ours / "unnoise")
        try:
            added = subprocess.run(
                [*git, "add", "--quiet", "--detach", str(theirs), base],
                capture_output=True,
                text=True,
                check=False,
            )
            if added.returncode != 0:
                raise ValueError(added.stderr.strip())
            yield theirs, ours
        finally:
            if theirs.exists():
                subprocess.run([*git, "remove", "--force", str(theirs)], check=True)


def fresh(tree: Path, base: str, only: Sequence[str]) -> dict[str, Item]:
    """What a tree computes, in a process of its own that starts outside of it."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        words = [base, "--tree", str(tree), "--report", str(report), *only]
        subprocess.run(
            [sys.executable, str(Path(__file__).resolve()), *words],
            env={**one_thread(), "PYTHONPATH": str(tree)},
            cwd=folder,
            check=True,
        )
        return json.loads(report.read_text("utf-8"))


def some(names: list[str]) -> str:
    """The first few of many names."""
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def verdict(base: Mapping[str, str], this: Mapping[str, str]) -> tuple[str, bool]:
    """A comparison in words, and whether all that the base has is here, to the bit."""
    if not base:
        return "only in this tree", True
    if not this:
        return "only in BASE", False
    other = [name for name in base if name in this and base[name] != this[name]]
    gone = [name for name in base if name not in this]
    new = [name for name in this if name not in base]
    told = [f"only in BASE: {some(gone)}"] if gone else []
    told += [f"only in this tree: {some(new)}"] if new else []
    if other:
        return "; ".join([f"DIFFERS in {len(other)} of {len(base)}: {some(other)}", *told]), False
    return "; ".join([f"same ({len(base) - len(gone)})", *told]), not gone


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("base", metavar="BASE", help="any revision that git knows")
    parser.add_argument("--only", choices=PARTS)
    # How the script starts itself in a process of one tree.
    parser.add_argument("--tree", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--report", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.tree is not None:
        given.report.write_text(json.dumps(measure(given.tree, given.only)), "utf-8")
        return
    only = ["--only", given.only] if given.only else []
    try:
        with trees(given.base) as both:
            base, this = (fresh(tree, given.base, only) for tree in both)
    except ValueError as error:
        parser.error(str(error))
    except subprocess.CalledProcessError as error:
        parser.error(f"a tree cannot be measured: status {error.returncode}, see above")
    if not base.keys() & this.keys():
        parser.error("the two trees have nothing in common that could be compared")
    names = [*base, *(name for name in this if name not in base)]
    width = max(len(name) for name in names)
    wrong = 0
    for name in names:
        text, sound = verdict(base.get(name, {}), this.get(name, {}))
        if name.endswith(INFORMATION):
            text, sound = text.replace("DIFFERS", "differs"), True
        print(f"{name:{width}}  {text}")
        wrong += not sound
    print(f"NOT the same: {wrong} of {len(names)} items" if wrong else "the same bits")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
