"""Every toy of the plane, trained, and every view of it: the pictures of docs/playground.md.

python examples/playground.py --out runs/playground     # about ten minutes on one core
python examples/playground.py --only moons --steps 300
"""

import argparse
from pathlib import Path

import unnoise
from unnoise.tasks.own_data import own_data
from unnoise.views import Chain, FewSteps, Naive, Paths, ScoreErrors, ScoreField, Spread

TOYS = ("moons", "swiss-roll", "eight-gaussians", "checkerboard", "valleys")
VIEWS = {"score": ScoreField(), "paths": Paths(), "chain": Chain(), "ddim": FewSteps()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/playground"))
    parser.add_argument("--only", nargs="*", choices=TOYS, default=TOYS)
    parser.add_argument("--steps", type=int, help="training steps; each recipe's own when absent")
    given = parser.parse_args()
    changes = {} if given.steps is None else {"training.steps": given.steps}

    for toy in given.only:
        folder = given.out / toy
        model = unnoise.train(toy, out=folder, changes=changes)
        data = own_data(model, "train")
        for name, view in VIEWS.items():
            print(folder / f"{name}.png", *view.save(model, data, folder / f"{name}.png"))
        if data.law is not None:
            print(*ScoreErrors().save(model, data, folder / "errors.png"), sep="\n")
        if toy == "moons":
            Spread().save(model, data, folder / "spread.gif")
        if toy == "valleys":
            unnoise.train("valleys-naive", out=given.out / "valleys-naive", changes=changes)
            naive = Naive(against=str(given.out / "valleys-naive"))
            print(*naive.save(model, data, folder / "naive.png"), sep="\n")


if __name__ == "__main__":
    main()
