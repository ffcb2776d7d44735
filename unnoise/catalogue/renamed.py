"""Deprecated names: each gives the new object, with one warning that names it, until 1.0."""

import importlib
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any


def old_names(module: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """Module ``__getattr__`` that maps deprecated names to the new objects.

    Arguments:
        module: its ``__name__``.
        names: old name -> new name in this module, or "package.module:name" of another.

    Raises:
        AttributeError: the name never was there.
    """

    def attribute(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        home, _, new = names[name].rpartition(":")
        home = home or module
        warnings.warn(
            f"{module}.{name} is now {home}.{new}; the old name goes with 1.0.",
            DeprecationWarning,
            stacklevel=2,
        )
        value = getattr(importlib.import_module(home), new)
        # Kept, because an import statement asks twice and should warn once.
        setattr(sys.modules[module], name, value)
        return value

    return attribute
