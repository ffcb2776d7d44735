"""Documents are read strictly, and whatever is wrong with one is said in a line."""

from typing import Annotated, Any, NotRequired

import pytest
from annotated_types import Interval, MinLen
from typing_extensions import TypedDict

from unnoise.core.errors import DamagedFileError
from unnoise.system.documents import Whole, checked, parsed


class Inner(TypedDict):
    count: Whole
    share: Annotated[float, Interval(ge=0, le=1)]


class Outer(TypedDict):
    name: str
    inner: Inner
    sizes: Annotated[list[int], MinLen(1)]
    words: NotRequired[list[str] | None]


GOOD: dict[str, Any] = {"name": "é\udcff", "inner": {"count": 3, "share": 1}, "sizes": [1, 2]}

WRONG: dict[str, tuple[Any, str]] = {
    "no table": ([1], "it must be a valid table"),
    "none at all": (None, "it must be a valid table"),
    "a text for a table": ({**GOOD, "inner": "x"}, "inner must be a valid table, not 'x'"),
    "a text for a number": ({**GOOD, "inner": {"count": "3", "share": 1}}, "inner.count must be"),
    "a number for a text": ({**GOOD, "name": 3}, "name must be a valid string, not 3"),
    "a truth for a number": ({**GOOD, "sizes": [True]}, r"sizes\.0 must be a valid integer"),
    "half for whole": ({**GOOD, "sizes": [1, 1.0]}, r"sizes\.1 must be a valid integer, not 1\.0"),
    "negative": ({**GOOD, "inner": {"count": -1, "share": 1}}, "greater than or equal to 0"),
    "beyond 64 bits": (
        {**GOOD, "inner": {"count": 10**30, "share": 1}},
        "inner.count must be less",
    ),
    "5,000 digits": ({**GOOD, "inner": {"count": 10**5000, "share": 1}}, "about 5,00. digits"),
    "5,000 digits for a float": ({**GOOD, "inner": {"count": 1, "share": 10**5000}}, "inner.share"),
    "NaN": ({**GOOD, "inner": {"count": 1, "share": float("nan")}}, "inner.share must be"),
    "infinite": ({**GOOD, "inner": {"count": 1, "share": float("inf")}}, "inner.share must be"),
    "missing": ({k: v for k, v in GOOD.items() if k != "sizes"}, "sizes is missing"),
    "missing inside": ({**GOOD, "inner": {"share": 1}}, "inner.count is missing"),
    "too short": ({**GOOD, "sizes": []}, "sizes must have at least 1 item"),
    "unknown": ({**GOOD, "colour": 3}, "colour is not known"),
    "unknown and odd": ({**GOOD, "a\nb" * 9999: 3}, "a b"),
    "long": ({**GOOD, "sizes": ["x" * 10**6]}, r"xxx\.\.\.xxx"),
    "deep": ({**GOOD, "name": [[[[[[[[]]]]]]]]}, "name must be"),
    "a surrogate": ({**GOOD, "words": [3, "\ud800"]}, r"words\.0 must be a valid string"),
}


def test_what_is_right_passes():
    found = checked(Outer, GOOD, "it")
    assert found == GOOD and isinstance(found["inner"]["share"], float)
    assert checked(Outer, {**GOOD, "words": None}, "it")["words"] is None
    assert checked(dict[str, Whole], {"a": 0}, "it") == {"a": 0}
    more = {**GOOD, "colour": 3, "inner": {**GOOD["inner"], "z": 1}}
    assert checked(Outer, more, "it", more=True) == GOOD


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_in_a_line(name: str):
    value, said = WRONG[name]
    with pytest.raises(DamagedFileError, match=said) as caught:
        checked(Outer, value, "/a/path/of\nsome/manifest.json")
    line = str(caught.value)
    assert line.startswith("/a/path/of some/manifest.json is damaged: ")
    assert len(line) <= 200 and "\n" not in line


def test_more_is_no_looser():
    """What is there is checked as strictly where other keys may be there too."""
    for value, _ in (WRONG["a text for a number"], WRONG["NaN"], WRONG["missing inside"]):
        with pytest.raises(DamagedFileError):
            checked(Outer, value, "it", more=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"[" * 100_000, "nested too deeply"),
        ("9" * 5000, "too many digits"),
        (b'{"a": \xff}', "'utf-8' codec"),
        ("", "Expecting value"),
        ('{"a": 1', "Expecting"),
    ],
)
def test_texts_that_are_no_json(text: str | bytes, said: str):
    with pytest.raises(DamagedFileError, match=said) as caught:
        parsed(text, "x" * 1000)
    assert len(str(caught.value)) <= 200 and str(caught.value).count("\n") == 0


def test_json_is_read():
    assert parsed('{"a": "\\udcff"}', "it") == parsed(b'{"a": "\\udcff"}', "it") == {"a": "\udcff"}


def test_canary_a_lax_reader():
    """pydantic's own way takes texts for numbers, and drops what it does not know."""
    import pydantic

    lax = pydantic.TypeAdapter(Outer)
    for name in ("a text for a number", "half for whole", "unknown"):
        assert lax.validate_python(WRONG[name][0])
