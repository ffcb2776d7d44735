"""What the command line prints of a training's events; how far it is stands on its own line."""

import sys
from dataclasses import dataclass
from typing import Any, final

from unnoise.system.progress import aside


@final
@dataclass(frozen=True)
class Printed:
    """Listener that prints what a training says: its beginning, its end, and warnings.

    Arguments:
        quiet: print nothing but warnings.
    """

    quiet: bool

    def __call__(self, event: Any, run: Any) -> None:
        from unnoise.tasks.listeners import describe, progress_line
        from unnoise.training import Began, Ended, Stepped, Warned

        if isinstance(event, Warned):
            with aside():
                sys.stderr.write(f"unnoise: {event.text}\n")
        elif self.quiet:
            return
        elif isinstance(event, Began | Ended):
            with aside():
                print(describe(event), flush=True)
        elif isinstance(event, Stepped) and event.step == event.steps:
            with aside():
                print(progress_line(event), flush=True)
