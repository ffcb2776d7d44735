"""unnoise verify"""

import typer
from typer import Argument, Option

from unnoise.cli.options import JSON, find_run, finish
from unnoise.core.errors import NumbersError


def verify(
    run: str = Argument(help="Folder of a run, or a name in runs/."),
    steps: int = Option(20, help="How many of its first steps.", min=10),
    json: bool = JSON,
) -> None:
    """Do a run's first steps again and compare the losses, to the bit. Exit code 4 where they
    differ.

    Example: unnoise verify runs/digits --steps 50
    """
    from dataclasses import asdict

    from unnoise.system.progress import counting
    from unnoise.tasks.verify import verify as again

    with counting("verify", shown=not json):
        found = again(find_run(run), steps)
    why = "; ".join(found.conditions) or "no condition known here is another"
    if found.differs is not None and not json:
        raise NumbersError(
            f"{run} differs at step {found.differs}: the loss was {found.then!r}, is "
            f"{found.now!r} ({why})."
        )
    told = f" ({why})" if found.conditions else ""
    finish(
        f"identical: {found.steps} steps of {run}, every loss to the bit{told}", asdict(found), json
    )
    if found.differs is not None:
        raise typer.Exit(4)
