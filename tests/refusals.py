"""What is said where something is refused."""

from collections.abc import Callable

from unnoise.core.errors import InputError


def one_line(work: Callable[[], object]) -> str:
    """What is said where something is refused; "" where it is taken. Anything else is a fault."""
    try:
        work()
    except InputError as error:
        said = str(error)
    else:
        return ""
    assert 0 < len(said) <= 200 and "\n" not in said
    return said
