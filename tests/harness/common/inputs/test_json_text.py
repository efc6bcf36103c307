"""JSON from anywhere: a value, or an error that a caller can show."""

import json
import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.common.inputs.files import InvalidText
from harness.common.inputs.json_text import check_depth, parse_json, parse_json_object
from harness.common.json_types import MAX_INTEGER

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.floats(allow_nan=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(value=JSON.filter(lambda value: "Infinity" not in json.dumps(value)))
def test_what_python_writes_is_read_back(value: object) -> None:
    """As the library reads it."""
    assert parse_json(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON (Expecting value at column 1)"),
        ('{"a": 1,\n "b"', "not JSON (Expecting ':' delimiter at line 2, column 5)"),
        ("NaN", "NaN is not a number in JSON"),
        ("[-Infinity]", "-Infinity is not a number in JSON"),
        ("1e400", "a number is too large (1e400)"),
        ("9223372036854775808", "a whole number is beyond 64 bits (9223372036854775808...)"),
        ("1" * 100_000, "a whole number is beyond 64 bits (11111111111111111111...)"),
        ('{"a": 1, "b": 2, "a": 3}', "the field 'a' is there twice"),
        ("[" * 101 + "]" * 101, "lists and objects are nested more than 100 levels deep"),
        ("[" * 200_000, "lists and objects are nested more than 100 levels deep"),
        ('{"a":' * 200_000, "lists and objects are nested more than 100 levels deep"),
        (b"\xff", "not UTF-8 text (byte 0)"),
    ],
)
def test_what_cannot_be_read_has_a_reason(text: str, message: str) -> None:
    """One clause, of bounded length."""
    with pytest.raises(InvalidText) as caught:
        parse_json(text)
    assert str(caught.value) == message


def test_numbers_of_checkpoints_are_read_where_they_are_expected() -> None:
    """The length of a tokenizer without a limit is int(1e30) there, and some limits are infinite."""
    text = '{"model_max_length": 1000000000000000019884624838656, "limit": [0.0, Infinity], "a": 1, "a": 2}'
    assert parse_json_object(text, lenient=True) == {
        "model_max_length": int(1e30),
        "limit": [0.0, math.inf],
        "a": 2,
    }
    for wrong in ("1" * 5000, "[" * 101, "{"):
        with pytest.raises(InvalidText):
            parse_json(wrong, lenient=True)


def test_brackets_in_strings_are_no_levels() -> None:
    """Also behind escaped quotes."""
    text = json.dumps(["[" * 300, 'a"[[\\' * 100, {"{" * 200: []}])
    check_depth(text)
    assert parse_json("[" * 100 + "]" * 100)


@given(content=st.binary(max_size=40) | st.text('[]{}"\\,:0123456789.eE+-nulltrfas \n', max_size=60))
def test_any_text_is_a_value_or_invalid(content: bytes | str) -> None:
    """And nothing else is raised."""
    with suppress(InvalidText):
        parse_json(content)


def test_an_object_is_expected_where_one_is() -> None:
    """A list has no fields."""
    assert parse_json_object('{"a": []}') == {"a": []}
    with pytest.raises(InvalidText, match="expected a JSON object, got list"):
        parse_json_object("[]")
