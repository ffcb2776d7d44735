"""Progress bars: a live line in a terminal, a line now and then in a file."""

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any


class Progress:
    """Progress bar of a training: a listener that prints.

    Arguments:
        quiet: print nothing but warnings.
    """

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.live: Any = None
        self.task: Any = None
        self.printed = 0.0

    def __call__(self, event: Any, run: Any) -> None:
        from unnoise.tasks.listeners import describe, progress_line
        from unnoise.training import Began, Ended, Stepped, Warned

        if isinstance(event, Warned):
            sys.stderr.write(f"unnoise: {event.text}\n")
        elif self.quiet:
            return
        elif isinstance(event, Began):
            print(describe(event), flush=True)
            if sys.stdout.isatty():
                self._open(event)
        elif isinstance(event, Stepped):
            self._step(event, progress_line(event))
        elif isinstance(event, Ended):
            self.close()
            print(describe(event), flush=True)

    def _open(self, event: Any) -> None:
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        self.live = Bar(BarColumn(bar_width=24), TextColumn("{task.description}"), transient=True)
        self.live.start()
        self.task = self.live.add_task("", total=event.steps, completed=event.step)

    def _step(self, event: Any, line: str) -> None:
        now = time.monotonic()
        if self.live is not None:
            if now - self.printed > 0.1:
                self.printed = now
                self.live.update(self.task, completed=event.step, description=line)
        elif now - self.printed > 5 or event.step == event.steps:
            # A log file: a line every few seconds, none of them overwritten.
            self.printed = now
            print(line, flush=True)

    def close(self) -> None:
        """Take the live line off the terminal."""
        if self.live is not None:
            self.live.stop()
            self.live = None


@contextmanager
def walking(quiet: bool) -> Generator[Callable[[float, int], None]]:
    """Shows how far a walk from noise to data is: the noise that is left after a step, and the
    steps so far; in a terminal only.

    Arguments:
        quiet: show nothing.
    """
    if quiet or not sys.stdout.isatty():
        yield lambda sigma, steps: None
        return
    from rich.console import Console

    with Console().status("") as live:
        yield lambda sigma, steps: live.update(f"step {steps}  sigma {sigma:.3g}")


@contextmanager
def counted(what: str, quiet: bool) -> Generator[Callable[[int, int], None]]:
    """A bar for work that comes in pieces; a line now and then where there is no terminal.

    Arguments:
        what: the pieces, such as "pictures".
        quiet: show nothing.
    """
    if quiet or not sys.stdout.isatty():
        printed = time.monotonic()

        def say(done: int, total: int) -> None:
            nonlocal printed
            now = time.monotonic()
            if not quiet and (now - printed > 5 or done == total):
                printed = now
                print(f"{done:,} of {total:,} {what}", flush=True)

        yield say
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn()
    with Bar(*columns, transient=True) as bar:
        task = bar.add_task("")
        yield lambda done, total: bar.update(task, completed=done, total=total)
