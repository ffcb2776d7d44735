"""Progress: one line on stderr that says what is being done and how long it will still take.

Whoever works for long counts: ``with counting("drawing samples", 18, "steps") as count``, and then
``count()`` after each piece. The outermost call of a thread owns the line; what is called inside
only adds to it what it is doing. The work stores numbers; a thread of the line's own draws them a
few times a second, so a step that takes a minute is not silent, and a terminal that is slow, closed
or stopped holds up nothing.
"""

import math
import os
import sys
import threading
import time
from _thread import start_new_thread
from collections.abc import Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import Any, final

from unnoise.core.errors import InputError, short

AFTER = 2.0  # seconds of work before there is a line in a terminal
FIRST, EVERY = 5.0, 10.0  # seconds to the first line in a file, and from one to the next
BEAT = 0.25  # seconds between two looks at the numbers
clock = time.monotonic

_NOTEBOOK = 100  # columns
_default: bool | None = None
_own = threading.local()  # .line: of the outermost call of this thread
_drawing = threading.Lock()  # held by the one line that is shown


def progress(shown: bool | None) -> AbstractContextManager[Any]:
    """Switch the line of progress on or off, for every call that is not told by itself.

    Arguments:
        shown: False shows none; True shows it also where stderr is a file, a line now and then;
            None, as at first, shows it in a terminal or notebook.

    Returns:
        What may be left alone, or used by ``with`` to have the old choice back afterwards.

    Raises:
        InputError: it is none of the three.
    """
    global _default
    before, _default = _default, _checked(shown)
    back = ExitStack()
    back.callback(_put_back, before)
    return back


def _put_back(before: bool | None) -> None:
    global _default
    _default = before


def _checked(shown: Any) -> bool | None:
    if shown is not None and not isinstance(shown, bool):
        raise InputError(f"progress = {short(shown)}: accepted are True, False and None.")
    return shown


@final
class Count:
    """Counter of one piece of work.

    Arguments:
        what: is being done, such as "drawing samples".
        total: units in all; None where nobody knows.
        unit: their name, such as "steps".
    """

    def __init__(self, what: str, total: int | None = None, unit: str = "") -> None:
        self.what, self.total, self.unit = what, total, unit
        self.done, self.note = 0, ""
        self.left: float | None = None
        self.began = self.changed = clock()

    @property
    def several(self) -> bool:
        """Whether there is more than one unit, so that their number says something."""
        return self.total is not None and self.total > 1

    def __call__(self, done: int | None = None, note: str = "", left: float | None = None) -> None:
        """Say how far the work is.

        Arguments:
            done: units so far; None is one more.
            note: what else is worth seeing, such as the loss.
            left: seconds left, where the work knows better than its pace so far.
        """
        self.done = self.done + 1 if done is None else done
        self.note, self.left, self.changed = note, left, clock()

    def of(self, done: int, total: int) -> None:
        """The same where the total is known on the way only."""
        self.total = total
        self(done)


@contextmanager
def counting(
    what: str, total: int | None = None, unit: str = "", shown: bool | None = None
) -> Generator[Count]:
    """Context: work whose progress is shown; what it counts inside another such is added there.

    Arguments:
        what, total, unit: as of ``Count``.
        shown: as of ``progress``, for this call; None leaves it to that.
    """
    count = Count(what, total, unit)
    outer: Line | None = getattr(_own, "line", None)
    line = _opened(_checked(shown)) if outer is None else outer
    line.counts.append(count)
    try:
        yield count
    finally:
        line.counts = [each for each in line.counts if each is not count]
        if outer is None:
            _own.line = None
            line.close()


@contextmanager
def aside() -> Generator[None]:
    """Context: the line steps aside while something else is printed."""
    line: Line | None = getattr(_own, "line", None)
    if line is None:
        yield
        return
    with line.lock:
        line.clear()
        yield


def _opened(shown: bool | None) -> "Line":
    """The line of an outermost call; a silent one where none is to be shown."""
    shown = _default if shown is None else shown
    stream = width = None
    # Of several processes one speaks.
    if shown is not False and os.environ.get("RANK", "0") == "0":
        width = _width(sys.stderr)
        wanted = sys.stderr is not None if shown else width is not None
        if wanted and _drawing.acquire(blocking=False):
            stream = sys.stderr
    line = _own.line = Line(stream, width)
    line.start()
    return line


def _width(stream: Any) -> int | None:
    """Columns of a terminal or notebook, where a line can be written over; None of a file."""
    try:
        if type(stream).__module__.startswith("ipykernel"):
            return _NOTEBOOK
        if not stream.isatty():
            return None
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (AttributeError, OSError, ValueError):  # no stream at all, or closed
        return None


@final
class Line:
    """Line of progress of an outermost call.

    Arguments:
        stream: where it is written; None writes nothing.
        width: columns there; None writes a line under the other, as into a file.
    """

    def __init__(self, stream: Any, width: int | None) -> None:
        self.stream, self.width = stream, width
        self.counts: list[Count] = []
        self.began, self.due = clock(), AFTER if width else FIRST
        self.drawn = 0  # letters that are in the terminal
        self.lock = threading.Lock()  # of what is in the terminal
        self.over, self.gone = threading.Event(), threading.Event()

    def start(self) -> None:
        """Let a thread of its own draw it from now on."""
        if self.stream is not None:
            # Without the ceremony of threading, which waits for it: most calls are over soon.
            with suppress(RuntimeError):  # no more threads to be had
                start_new_thread(self._beat, ())

    def _beat(self) -> None:
        while not self.over.wait(BEAT):
            with self.lock, suppress(Exception):  # the work goes on, whatever it counts
                self.draw()
        with self.lock:
            self.clear()
        self.gone.set()

    def draw(self) -> None:
        """Write the line, if it is time."""
        now = clock()
        if now - self.began < self.due:
            return
        counts = list(self.counts)  # the work goes on
        if self.width is None:
            self.due = now - self.began + EVERY
            self._write(f"{told(counts, now)}\n")
        elif counts:
            text = told(counts, now, self.width - 1)
            before, self.drawn = self.drawn, len(text)
            self._write("\r" + text.ljust(before))

    def clear(self) -> None:
        """Take the line off the terminal."""
        if self.drawn:
            self._write(f"\r{' ' * self.drawn}\r")
        self.drawn = 0

    def close(self) -> None:
        """No line any more; a terminal that is stopped is not waited for."""
        self.over.set()
        try:
            if self.drawn:
                self.gone.wait(2 * BEAT)
        finally:
            if self.stream is not None:
                _drawing.release()

    def _write(self, text: str) -> None:
        try:
            self.stream.write(text)
            self.stream.flush()
        except Exception:  # whatever it is, nobody sees it any more, and the work goes on
            self.drawn, self.due = 0, math.inf


def told(counts: list[Count], now: float, room: int | None = None) -> str:
    """``training: drawing samples  500/3,000 steps  loss 0.21  17%  1m 04s left``.

    The outermost count gives the name, the first with several units the numbers, and what is
    counted inside a unit is a share of it. Where there is no room for all, the note is left out
    before anything is cut off.
    """
    if not counts:
        return ""
    at = next((i for i, count in enumerate(counts) if count.several), len(counts) - 1)
    shown = counts[at]
    names = dict.fromkeys(count.what for count in (counts[0], *counts[at : at + 2]))
    share, left = _share(counts[at:], now)
    amount, percent = f"{shown.done:,} {shown.unit}" if shown.done else "", ""
    if shown.several:
        amount, percent = f"{shown.done:,}/{shown.total:,} {shown.unit}", f"{share:.0%}"
    so_far = f"{duration(now - counts[0].began)} so far"
    when = so_far if left is None else f"{duration(left)} left"
    parts = [": ".join(names), amount, shown.note, percent, when]
    line = "  ".join(filter(None, parts))
    if room is not None and len(line) > room:
        parts[2] = ""
        line = "  ".join(filter(None, parts))[:room]
    return line.encode("ascii", "replace").decode()


def _share(counts: list[Count], now: float) -> tuple[float, float | None]:
    """How much of the first is done, with what is done inside its unit; and the seconds left."""
    first, share, changed = counts[0], 0.0, 0.0
    for count in reversed(counts if first.left is None else counts[:1]):
        share = min(1.0, (count.done + share) / count.total) if count.total else 0.0
        changed = max(changed, count.changed)
    left = first.left
    if left is None and first.several and share:
        left = (changed - first.began) * (1 - share) / share
    return share, None if left is None else max(0.0, left - (now - changed))


def duration(seconds: float) -> str:
    """``45s``, ``3m 05s``, ``2h 10m``, ``3d 4h``."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    if days:
        return f"{days}d {h}h"
    if hours:
        return f"{hours}h {m:02d}m"
    return f"{minutes}m {s:02d}s" if minutes else f"{s}s"
