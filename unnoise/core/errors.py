"""The errors a user may meet. Each message says what was given, what is accepted, what to do."""


class UnnoiseError(Exception):
    """Base of every error raised on purpose; ``exit_code`` is what the command line ends with."""

    exit_code = 1


class InputError(UnnoiseError, ValueError):
    """What the user gave cannot be used."""

    exit_code = 2


class StorageError(UnnoiseError, OSError):
    """A disk is full, a file cannot be read or written, memory has run out."""

    exit_code = 3


class DamagedFileError(InputError):
    """A file is not what its name, header or checksum says."""


class NumbersError(UnnoiseError, ArithmeticError):
    """A loss, a weight or a state became NaN or infinite."""

    exit_code = 4


class PeerError(UnnoiseError):
    """Of several processes that work together one is gone, or never came."""

    exit_code = 3


class Interrupted(UnnoiseError):
    """The user or the system asked the run to stop; it did, after saving."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def memory_ran_out(error: BaseException) -> bool:
    """Whether an error means that memory ran out (torch has no class of its own for the CPU's)."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and ("can't allocate memory" in said or "out of memory" in said)
    )
