"""Groups of options: a parameter of a command may be a dataclass whose fields are options."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any


def spelled_out(command: Callable[..., None]) -> Callable[..., None]:
    """The command as Typer reads it: in the place of each group stand its options."""
    groups: dict[str, Any] = {}
    options: list[Parameter] = []
    for parameter in signature(command).parameters.values():
        if is_dataclass(parameter.annotation):
            groups[parameter.name] = parameter.annotation
            options += [
                Parameter(
                    option.name, parameter.kind, default=option.default, annotation=option.type
                )
                for option in fields(parameter.annotation)
            ]
        else:
            options.append(parameter)

    @wraps(command)
    def run(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{option.name: given.pop(option.name) for option in fields(group)})
        command(**given)

    read: Any = run
    read.__signature__ = Signature(options)
    run.__annotations__ = {option.name: option.annotation for option in options}
    return run
