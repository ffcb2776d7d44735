"""Options of the whole suite."""

import math

import pytest
import torch

from tests.terminal import eager, file, terminal, time  # noqa: F401  (fixtures)
from unnoise.system import progress

# The contracts are tests that live in the package; their asserts deserve messages too.
pytest.register_assert_rewrite("unnoise.testing")

# However slow the machine, what a command says in a test is no more than it says on a quick one.
progress.FIRST = math.inf

# Two workers on two cores: one thread each, or both crawl.
torch.set_num_threads(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-slow", action="store_true", help="run the tests marked slow as well")


# Files go to the workers one by one; the longest come first, so that both end together.
LONGEST = ("solvers/test_laws.py", "solvers/test_solvers.py", "training/", "cli/", "models/")


def _place(item: pytest.Item) -> int:
    found = [i for i, name in enumerate(LONGEST) if name in str(item.path)]
    return min(found, default=len(LONGEST))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=_place)
    if config.getoption("--run-slow"):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    items[:] = [item for item in items if not item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test plugs in is forgotten afterwards: no other test finds it in the catalogue."""
    import unnoise.views  # noqa: F401  (what is ours stays)
    from unnoise.catalogue import registry

    tables = {family: dict(table) for family, table in registry._CATALOGUE.items()}
    monkeypatch.setattr(registry, "_CATALOGUE", tables)
