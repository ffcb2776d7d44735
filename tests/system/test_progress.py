"""The line of progress: what it says, when it is there, and that it never disturbs the work."""

import io
import select
import threading
from typing import Any

import pytest

import unnoise
from tests.small import diffusion
from tests.terminal import Terminal, Time, becomes_stderr, draw
from unnoise.core.errors import InputError
from unnoise.system import progress
from unnoise.system.progress import Count, Line, aside, counting, duration, told

# -- what it says ----------------------------------------------------------------------------------


def counts(*parts: tuple[str, int | None, int]) -> list[Count]:
    made = [Count(what, total, "steps") for what, total, _ in parts]
    for count, (_, _, done) in zip(made, parts, strict=True):
        count.done = done
    return made


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        ([("drawing", None, 0)], "drawing  40s so far"),
        ([("drawing", None, 1200)], "drawing  1,200 steps  40s so far"),
        ([("drawing", 20, 0)], "drawing  0/20 steps  0%  40s so far"),
        ([("drawing", 20, 5)], "drawing  5/20 steps  25%  2m 00s left"),
        ([("drawing", 20, 20)], "drawing  20/20 steps  100%  0s left"),
        # One unit alone is no count; what is inside a unit is a share of it.
        ([("drawing", 1, 0)], "drawing  40s so far"),
        ([("all", None, 0), ("drawing", 4, 1)], "all: drawing  1/4 steps  25%  2m 00s left"),
        ([("draws", 1, 0), ("steps", 4, 2)], "draws: steps  2/4 steps  50%  40s left"),
        ([("a", 4, 1), ("b", 1, 0), ("c", 4, 2)], "a: b  1/4 steps  38%  1m 07s left"),
        ([("likelihood", 2, 0), ("likelihood", 10, 5)], "likelihood  0/2 steps  25%  2m 00s left"),
        ([("evaluate", None, 0), ("Frechet", None, 0)], "evaluate: Frechet  40s so far"),
    ],
)  # fmt: skip
def test_line(parts: list[tuple[str, int | None, int]], line: str, time: Time):
    """Forty seconds after the work began, and just when a unit was done."""
    made = counts(*parts)
    time.now += 40
    made[-1].changed = time.now
    assert told(made, time.now) == line


def test_time_left_runs_on_between_two_units(time: Time):
    with counting("drawing", 10, "steps") as count:
        time.now += 20
        count(2)
        time.now += 15
        assert told([count], time.now).endswith("1m 05s left")
        time.now += 1000
        assert told([count], time.now).endswith("  0s left")


def test_work_may_know_its_own_time(time: Time):
    """As a training does, whose sheets are no share of a step."""
    outer, inner = counts(("training", 4, 2), ("drawing", 10, 5))
    outer(2, "loss 0.5", left=90.0)
    time.now += 30
    assert (
        told([outer, inner], time.now) == "training: drawing  2/4 steps  loss 0.5  50%  1m 00s left"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0s"), (59.4, "59s"), (59.6, "1m 00s"), (7800, "2h 10m"), (273600, "3d 4h")],
)
def test_duration(seconds: float, text: str):
    assert duration(seconds) == text


# -- when it is there ------------------------------------------------------------------------------


def test_nothing_before_two_seconds_and_nothing_after(time: Time, terminal: Terminal):
    with counting("drawing", 10, "steps") as count:
        time.now += 1.99
        count(1)
        draw()
        assert terminal.read() == ""
        time.now += 0.02
        draw()
        assert terminal.screen == ["drawing  1/10 steps  10%  18s left"]
        count(10)  # a shorter line leaves nothing of the longer
        draw()
        assert terminal.screen == ["drawing  10/10 steps  100%  0s left"]
    assert terminal.screen == [""]


@pytest.mark.parametrize("error", [InputError("no"), KeyboardInterrupt(), SystemExit()], ids=repr)
def test_an_error_takes_it_off(error: BaseException, time: Time, terminal: Terminal):
    def fails() -> None:
        with counting("outer"), counting("inner", 3, "steps"):
            time.now += 3
            draw()
            assert terminal.screen != [""]
            raise error

    with pytest.raises(type(error)):
        fails()
    assert terminal.screen == [""] and progress._own.line is None


def test_canary_a_line_that_stays(time: Time, terminal: Terminal, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Line, "clear", lambda self: None)
    with counting("drawing"):
        time.now += 3
        draw()
    assert terminal.screen == ["drawing  3s so far"]


def test_who_is_called_inside_adds_to_the_line(time: Time, terminal: Terminal):
    with counting("outer"):
        time.now += 3
        with counting("inner", 4, "steps", True) as inner:
            inner()
            draw()
            assert terminal.screen == [
                "outer: inner  1/4 steps  25%  0s so far".replace("0s so far", "0s left")
            ]
        draw()
        assert terminal.screen == ["outer  3s so far"]
    assert terminal.screen == [""]  # one line all the while


def test_inside_a_silent_call_all_are_silent(time: Time, terminal: Terminal):
    with counting("outer", shown=False), counting("inner", shown=True):
        time.now += 100
        draw()
    assert terminal.read() == ""


def test_one_line_a_process(time: Time, terminal: Terminal):
    def other() -> None:
        with counting("other"):
            time.now += 3
            draw()

    with counting("one"):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert terminal.read() == ""
        draw()
        assert terminal.screen == ["one  3s so far"]
    other()  # now it is free
    assert "other  3s so far" in terminal.read() and terminal.screen == [""]


def test_what_is_printed_meanwhile_stays_whole(time: Time, terminal: Terminal):
    with counting("drawing a long line", 10, "steps"):
        time.now += 3
        draw()
        with aside():
            print("a warning", file=terminal.stream, flush=True)
        draw()
        assert terminal.screen[0] == "a warning" and "drawing" in terminal.screen[1]
    assert terminal.screen == ["a warning", ""]


def test_of_several_processes_the_first_speaks(
    time: Time, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RANK", "1")
    with counting("drawing", shown=True):
        time.now += 100
        draw()
    assert terminal.read() == ""


def test_a_file_gets_a_line_now_and_then(time: Time, file: io.StringIO):
    with counting("drawing", shown=True):
        for _ in range(4 * 26):
            time.now += 0.25
            draw()
    assert file.getvalue() == "".join(f"drawing  {s}s so far\n" for s in (5, 15, 25))


def test_a_file_gets_none_unless_asked(time: Time, file: io.StringIO):
    with counting("drawing"):
        time.now += 100
        draw()
    assert file.getvalue() == ""


def test_a_notebook_is_as_a_terminal(time: Time, monkeypatch: pytest.MonkeyPatch):
    kind = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})
    stream: Any = kind()
    becomes_stderr(stream, monkeypatch)
    with counting("drawing"):
        time.now += 3
        draw()
        assert stream.getvalue() == "\rdrawing  3s so far"
    assert stream.getvalue().split("\r")[-2:] == [" " * len("drawing  3s so far"), ""]


def test_the_switch(time: Time, terminal: Terminal, file: io.StringIO):
    def lines(shown: bool | None = None) -> int:
        with counting("drawing", shown=shown):
            time.now += 100
            draw()
        return file.getvalue().count("\n")

    assert lines() == 0
    with unnoise.progress(True):
        assert lines() == 1
        with unnoise.progress(False):
            assert lines() == 1
            assert lines(True) == 2  # who is told by itself
        assert lines(False) == 2
        assert lines() == 3
    assert lines() == 3
    unnoise.progress(True)
    assert lines() == 4
    unnoise.progress(None)
    assert lines() == 4


@pytest.mark.parametrize("word", ["yes", 0, 1.0])
def test_other_words_are_refused(word: Any):
    for call in (unnoise.progress, lambda shown: diffusion().sample(1, progress=shown)):
        with pytest.raises(InputError, match=r"progress = .*: accepted are True, False and None"):
            call(word)


# -- that it never disturbs ------------------------------------------------------------------------


class Broken(io.StringIO):
    """A stream that cannot be written to, though it looks like a terminal."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error, self.tries = error, 0

    def write(self, text: str) -> int:
        self.tries += 1
        raise self.error


BROKEN = [
    BrokenPipeError(),
    ValueError("closed"),
    OSError(5, "no"),
    UnicodeEncodeError("a", "", 0, 1, ""),
]


@pytest.mark.parametrize("error", BROKEN, ids=lambda error: type(error).__name__)
def test_a_broken_stream_ends_nothing(
    error: Exception, time: Time, monkeypatch: pytest.MonkeyPatch
):
    stream = Broken(error)
    becomes_stderr(stream, monkeypatch)
    with counting("drawing", shown=True):
        for _ in range(3):
            time.now += 100
            draw()
    assert stream.tries == 1  # and is left in peace


def test_no_stream_at_all(time: Time, monkeypatch: pytest.MonkeyPatch):
    becomes_stderr(None, monkeypatch)
    with counting("drawing", shown=True):
        time.now += 100
        draw()
    assert not progress._drawing.locked()


def test_no_thread_to_be_had(time: Time, terminal: Terminal, monkeypatch: pytest.MonkeyPatch):
    def none(*given: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(progress, "start_new_thread", none)
    for _ in range(2):
        with counting("drawing", shown=True):
            pass
    assert terminal.read() == "" and not progress._drawing.locked()


def test_a_thread_draws_while_the_work_is_busy(terminal: Terminal, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(progress, "AFTER", 0.0)
    monkeypatch.setattr(progress, "BEAT", 0.001)
    with counting("thinking"):
        while "thinking  0s so far" not in terminal.read():
            pass  # the test's time limit is the canary
    assert terminal.screen == [""]


def test_a_stopped_terminal_holds_up_nothing(terminal: Terminal, monkeypatch: pytest.MonkeyPatch):
    """Nobody reads, as after Ctrl-S: what does not fit into its buffer is never written."""
    monkeypatch.setattr(progress, "AFTER", 0.0)
    monkeypatch.setattr(progress, "BEAT", 0.001)
    monkeypatch.setattr(progress, "told", lambda counts, now, room: "x" * 10**6)
    monkeypatch.setattr(progress, "_width", lambda stream: 10**6)
    with counting("drawing"):
        line = progress._own.line
        while not select.select([terminal.number], [], [], 0)[0]:
            pass
    assert not progress._drawing.locked()
    while not line.gone.is_set():  # let it go
        terminal.read()


def test_what_is_written_fits_a_line_of_ascii(time: Time, terminal: Terminal):
    with counting("그림 " + "x" * 200):
        time.now += 3
        draw()
        assert terminal.screen[0].startswith("?? xxx") and len(terminal.screen[0]) == 79


def test_where_room_is_scarce_the_time_left_stays(time: Time):
    count = Count("training", 4, "steps")
    count(2, "loss 0.5  100 img/s", left=90.0)
    full = "training  2/4 steps  loss 0.5  100 img/s  50%  1m 30s left"
    assert told([count], time.now, len(full)) == told([count], time.now) == full
    for room in (len(full) - 1, 40):
        assert told([count], time.now, room) == "training  2/4 steps  50%  1m 30s left"
