"""Strict parsing and schema validation of the JSON documents in our files."""

import functools
import json
from typing import Annotated, Any, TypeVar, cast

import annotated_types as at

from unnoise.core.errors import DamagedFileError, short, within

_T = TypeVar("_T")

_LONGEST_WHAT = 70
_LONGEST_FIELD = 40
_LONGEST_VALUE = 40
_LONGEST_REASON = 60

Whole = Annotated[int, at.Ge(0), at.Lt(2**63)]
"""A whole number that fits where tensors hold it."""


def parsed(content: bytes | str, what: str) -> Any:
    """Parse a JSON text.

    Arguments:
        content: the text; bytes of it are UTF-8.
        what: it is called in the refusal, such as the file's path.

    Raises:
        DamagedFileError: it is no JSON, is nested too deeply, or a number has too many digits.
    """
    try:
        return json.loads(content if isinstance(content, str) else content.decode())
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(
            f"{_line(what, _LONGEST_WHAT)} is damaged: {reason_of(error)}."
        ) from error


def reason_of(error: Exception) -> str:
    """Short reason for which ``json`` could not parse a text."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if "digits" in str(error):
        return "a number in it has too many digits"
    return _line(str(error), _LONGEST_REASON)


def checked(kind: type[_T], value: object, what: str, *, more: bool = False) -> _T:
    """Validate a value of a JSON document against a type (its schema), and return it.

    Nothing is turned into something else (a text is no number), but a whole number may stand for
    any number. NaN and infinity are no numbers here.

    Arguments:
        kind: a ``typing_extensions.TypedDict``, or any type that JSON has.
        value: as ``json`` read it; lists, not tuples.
        what: it is called in the refusal, such as the file's path.
        more: whether keys that ``kind`` does not name may be there; they are left out then.

    Raises:
        DamagedFileError: it is of another kind; one line names the first field that is wrong.
    """
    import pydantic  # costs 0.1 s, and `unnoise --help` must not wait for it

    try:
        return cast(list[_T], _validator(kind, more).validate_python([value]))[0]
    except pydantic.ValidationError as error:
        wrong = dict(error.errors(include_url=False)[0])
    raise DamagedFileError(f"{_line(what, _LONGEST_WHAT)} is damaged: {_told(wrong)}")


@functools.cache
def _validator(kind: Any, more: bool) -> Any:
    import pydantic

    extra = "ignore" if more else "forbid"
    config = pydantic.ConfigDict(extra=extra, strict=True, allow_inf_nan=False)
    # A TypedDict without a config of its own takes it from what is around it: a list of one.
    around: Any = list
    return pydantic.TypeAdapter(around[kind], config=config)


def _told(wrong: dict[str, Any]) -> str:
    """What is wrong with a field, out of pydantic's description of it."""
    field = _line(".".join(str(part) for part in wrong["loc"][1:]), _LONGEST_FIELD) or "it"
    if wrong["type"] == "extra_forbidden":
        return f"{field} is not known."
    if wrong["type"] == "missing":
        return f"{field} is missing."
    # "Input should be a valid integer", "Value should have at most ..."
    _, _, wanted = wrong["msg"].partition(" should ")
    told = f"must {wanted.replace('dictionary', 'table')}" if wanted else wrong["msg"]
    return f"{field} {_line(told, _LONGEST_REASON)}, not {short(wrong['input'], _LONGEST_VALUE)}."


def _line(text: str, most: int) -> str:
    return within(" ".join(text.split()), most)
