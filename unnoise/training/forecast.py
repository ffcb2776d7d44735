"""Forecast of a training's time: steps at their pace, and looks at the model at theirs."""

import contextlib
import time
from collections.abc import Sequence
from typing import Protocol, final, runtime_checkable

from unnoise.training.events import Event, Listener, Paused
from unnoise.training.run import Run


@runtime_checkable
class Looks(Protocol):
    """A listener whose looks at the model take so long that they are foretold, such as sheets."""

    def __call__(self, event: Event, run: Run) -> None:
        """Look, where it is time."""
        ...

    def ahead(self, step: int, steps: int) -> int:
        """How many looks are due after step ``step``, up to the last of ``steps``."""
        ...

    def calls(self, run: Run) -> float:
        """Network calls of one look, each example counted."""
        ...


@final
class Forecast:
    """Forecast of the seconds that a training still takes, its looks among them.

    A step goes at the pace of about the last hundred. A look takes as long as the last one did; the
    first is reckoned by its network calls, of which a training step has about three an example, one
    forward and twice that back.

    Arguments:
        steps: of the training.
        batch: examples of a step.
        listeners: those of them that are ``Looks`` are foretold.
    """

    def __init__(self, steps: int, batch: int, listeners: Sequence[Listener]) -> None:
        self.steps, self.batch = steps, batch
        self.looks = [each for each in listeners if isinstance(each, Looks)]
        self.took: dict[int, float] = {}  # seconds of a look, by the listener's place
        self.pace = self.looked = self.trial = 0.0
        self.last = time.perf_counter()

    def begin(self, run: Run, seconds: float) -> None:
        """Know a step's seconds from the trial, and reckon looks by it."""
        each = seconds / (3 * self.batch)
        for place, look in enumerate(self.looks):
            # What cannot be looked at says so when it is tried.
            with contextlib.suppress(Exception):
                self.took[place] = each * look.calls(run)
        self.trial, self.last = seconds, time.perf_counter()

    def timed(self, listener: Listener) -> Listener:
        """A listener whose looks are timed, where it has any."""
        place = next((i for i, each in enumerate(self.looks) if each is listener), None)
        if place is None:
            return listener

        def look(event: Event, run: Run) -> None:
            began = time.perf_counter()
            try:
                listener(event, run)
            finally:
                self._spent(place, event, time.perf_counter() - began)

        look.__name__ = type(listener).__name__  # for the line that says that it failed
        return look

    def _spent(self, place: int, event: Event, seconds: float) -> None:
        self.looked += seconds
        if isinstance(event, Paused) and not event.again:
            ahead, steps = self.looks[place].ahead, event.steps
            if ahead(event.step - 1, steps) > ahead(event.step, steps):
                self.took[place] = seconds

    def stepped(self) -> float:
        """Note that a step is done; examples a second, lately, without the time of the looks."""
        now = time.perf_counter()
        spent, self.last = now - self.last - self.looked, now
        self.looked = 0.0
        self.pace = spent if not self.pace else self.pace + 0.02 * (spent - self.pace)
        return self.batch / max(self.pace, 1e-9)

    def left(self, step: int, seen: int) -> float:
        """Seconds to the end.

        Arguments:
            step: steps that are done.
            seen: the last of them after which nobody will look any more.
        """
        each = self.pace or self.trial
        looks = (
            seconds * self.looks[place].ahead(seen, self.steps)
            for place, seconds in self.took.items()
        )
        return (self.steps - step) * each + sum(looks)
