"""unnoise verify"""

from typing import Annotated

import typer

from unnoise.cli.options import JsonOption, find_run, finish


def verify(
    run: Annotated[str, typer.Argument(help="Folder of a run, or a name in runs/.")],
    steps: Annotated[int, typer.Option(help="How many of its first steps.", min=10)] = 20,
    json: JsonOption = False,
) -> None:
    """Do a run's first steps again and compare the losses, to the bit. Exit code 4 where they
    differ.

    Example: unnoise verify runs/digits --steps 50
    """
    from dataclasses import asdict

    from unnoise.core.errors import NumbersError
    from unnoise.tasks.verify import verify as again

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
