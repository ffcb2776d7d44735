"""Command-line application: the commands, their exit codes and error messages."""

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

import typer

from unnoise.cli.average import average
from unnoise.cli.demo import demo
from unnoise.cli.edit import edit
from unnoise.cli.evaluate import evaluate
from unnoise.cli.groups import spelled_out
from unnoise.cli.likelihood import likelihood
from unnoise.cli.prepare import prepare
from unnoise.cli.sample import sample
from unnoise.cli.show import show
from unnoise.cli.train import train
from unnoise.cli.verify import verify
from unnoise.core.errors import (
    InputError,
    UnnoiseError,
    line_within,
    memory_ran_out,
    speaking_of_commands,
)

app = typer.Typer(
    name="unnoise",
    help="Generative modelling by turning data into noise and walking back.",
    epilog="Start with: unnoise demo.   Any command: --traceback shows more of an error.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for verb in (prepare, train, sample, edit, likelihood, evaluate, average, verify, show, demo):
    app.command(
        help=(verb.__doc__ or "").split("Example:")[0].strip(),
        epilog="Example: " + (verb.__doc__ or "").split("Example:")[-1].strip(),
    )(spelled_out(verb))


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version as installed

        typer.echo(f"unnoise {installed('unnoise')}")
        raise typer.Exit


@app.callback()
def every(
    version: bool = typer.Option(
        False, "--version", help="Print the version.", is_eager=True, callback=_version
    ),
) -> None:
    """Options of the program itself."""


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command. Exit codes: 0; 1 our bug; 2 your input; 3 disk or memory; 4 numbers went bad;
    130 / 143 interrupted after saving. Errors are one plain line each on stderr."""
    arguments = sys.argv[1:] if arguments is None else arguments
    more = "--traceback" in arguments
    words = [word for word in arguments if word != "--traceback"]
    if not words:
        words = ["--help"]
    _plain_output()
    if os.environ.get("RANK", "0") != "0":  # of several processes one speaks
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    try:
        with _interruptible(), speaking_of_commands():
            code = app(words, prog_name="unnoise", standalone_mode=False)
        if code == 130:  # Typer keeps the KeyboardInterrupt to itself
            _say("interrupted.", code)
        sys.stdout.flush()
    except BaseException as error:
        code = _ended(error, more)
    code = code if isinstance(code, int) else 0
    # One of several leaves at once: on its way out it would wait for peers that may be gone.
    at_once = _stdout_is_gone() or "RANK" in os.environ
    os._exit(code) if at_once else sys.exit(code)


@contextmanager
def _interruptible() -> Generator[None]:
    """Ctrl-C while modules load leaves at once: thrown into them it would leave halves behind."""
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not usual or threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        while frame is not None:
            if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
                os._exit(_say("interrupted.", 130))
            frame = frame.f_back
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _plain_output() -> None:
    """A terminal that cannot write a letter shows it as a question mark; it is no error. Where
    there is none at all (`>&-`), nothing is shown."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def _stdout_is_gone() -> bool:
    try:
        sys.stdout.flush()
    except (BrokenPipeError, ValueError, OSError):
        return True
    return False


def _ended(error: BaseException, more: bool) -> int:
    """Say what went wrong in a line, and give the exit code."""
    if isinstance(error, typer.Exit):
        return error.exit_code
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if more:
        traceback.print_exception(error)
    if isinstance(error, UnnoiseError):
        # What the user gave is the same for all processes of a machine: one of them says it.
        if isinstance(error, InputError) and os.environ.get("LOCAL_RANK", "0") != "0":
            time.sleep(1)  # torchrun ends the others with the first; the one that speaks goes first
            return error.exit_code
        return _say(str(error), error.exit_code)
    return _failed(error)


def _failed(error: BaseException) -> int:
    """``_ended``, of an error that nobody raised on purpose."""
    if isinstance(error, typer.Abort) or _was_interrupted(error):
        return _say("interrupted.", 130)
    return 141 if isinstance(error, BrokenPipeError) else _say(*_not_ours(error))


def _not_ours(error: BaseException) -> tuple[str, int]:
    """What an error that others raised means, and the exit code."""
    if memory_ran_out(error):
        return "memory has run out. Try a smaller batch or fewer samples at once.", 3
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return line_within(f"{where}{error.strerror or error}."), 3
    # Click's own complaints about words on the command line; its classes are not public here.
    message: Any = getattr(error, "format_message", None)
    if message is not None:
        said = " ".join(str(message()).split()).rstrip(".")
        return line_within(f"{said}. See --help."), 2
    line = f"{type(error).__name__}: {error}".splitlines()[0]
    more_of_it = "(--traceback shows more; please report it)"
    return line_within(f"this is a bug in unnoise: {line} {more_of_it}"), 1


def _was_interrupted(error: BaseException | None) -> bool:
    """Whether an error came of Ctrl-C, by whatever way."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _say(text: str, code: int) -> int:
    try:
        number = os.environ.get("RANK", "0")
        who = "unnoise" if number == "0" else f"unnoise (process {number})"
        for line in text.splitlines():
            sys.stderr.write(f"{who}: {line}\n")
        sys.stderr.flush()
    except OSError:
        pass
    return code
