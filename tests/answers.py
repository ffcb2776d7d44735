"""How a mistake is to be answered: by sentences, each short enough to read, and soon."""

import time
from collections.abc import Callable

from unnoise.core.errors import UnnoiseError

SECONDS = 2.0  # of this process alone; against what would take for ever
HUGE = 10**5000  # Python itself refuses to write it out


def answer(make: Callable[[], object]) -> str:
    """What a refusal says, "" where nothing is refused; anything else fails."""
    began = time.process_time()
    said = ""
    try:
        make()
    except UnnoiseError as error:
        said = str(error)
        assert said
    assert time.process_time() - began < SECONDS
    assert max(map(len, said.splitlines()), default=0) <= 200, said
    assert len(said.splitlines()) <= 20
    return said
