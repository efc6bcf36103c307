"""YAML from anywhere: what JSON can hold, within limits, or an error with its line."""

import json
import os
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.common.errors import UsageError
from harness.common.inputs.yaml_text import parse_yaml, read_yaml

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
"""Nine lines that stand for 10^9 values."""


def refusal(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse_yaml(text, "f.yaml")
    return str(caught.value)


def test_values_are_those_of_json() -> None:
    """A date stays text, as JSON has none."""
    text = "a: 1\nb: [true, no, null, 1.5, x]\nc: 2020-01-02\nd: {e: 0x10}\n"
    assert parse_yaml(text, "f.yaml").value == {
        "a": 1,
        "b": [True, False, None, 1.5, "x"],
        "c": "2020-01-02",
        "d": {"e": 16},
    }


def test_an_alias_stands_for_its_value_and_merges() -> None:
    """As in YAML; a mapping's own names win."""
    text = "base: &base {threads: 1, task: cb}\nmine: {<<: *base, threads: 2}\nlist: [*base]\n"
    value = parse_yaml(text, "f.yaml").value
    assert value["mine"] == {"threads": 2, "task": "cb"}
    assert value["list"] == [{"threads": 1, "task": "cb"}]


def test_aliases_that_multiply_are_refused_before_they_are_written_out() -> None:
    """The billion laughs."""
    assert "f.yaml:5: the file holds more than 20,000 values, with its aliases written out" in refusal(LAUGHS)


def test_merged_aliases_that_multiply_are_refused() -> None:
    """PyYAML copies a merged mapping each time."""
    names = "abcdefgh"
    lines = ["a: &a {" + ", ".join(f"k{n}: 1" for n in range(10)) + "}"]
    for before, name in pairwise(names):
        lines.append(f"{name}: &{name} {{<<: [{', '.join([f'*{before}'] * 10)}]}}")
    assert "more than 20,000 values" in refusal("\n".join(lines))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 200_000, "f.yaml:1: not YAML (lists and mappings are nested more than 30 levels deep)"),
        ("\n".join(" " * n + "a:" for n in range(40)), "f.yaml:30: not YAML (lists and mappings are nested"),
        ("a: &a [*a]", "f.yaml:1: an alias stands for a value that it is part of"),
        ("a: 1\nb: 2\na: 3", "f.yaml:3: a is there twice, also at f.yaml:1"),
        ("a: " + "9" * 5000, "f.yaml:1: not YAML (expected a whole number of at most 64 bits, got 9999"),
        ("a: 9223372036854775808", "expected a whole number of at most 64 bits"),
        ("a: .nan", "f.yaml:1: not YAML (expected a finite number, got .nan)"),
        ("a: -.inf", "expected a finite number, got -.inf"),
        ("a: 1.0e+999", "expected a finite number, got 1.0e+999"),
        ("a: !!int x", "expected a whole number of at most 64 bits, got x"),
        ("a: !!int ''", "expected a whole number of at most 64 bits, got "),
        ("a: !!bool maybe", "expected true or false, got maybe"),
        ("a: !!set {b}", "could not determine a constructor"),
        ("a: !!binary aGk=", "could not determine a constructor"),
        ("a: !!python/object/apply:os.system [x]", "could not determine a constructor"),
        ("? [a]\n: b", "found unhashable key"),
        ("a: [", "f.yaml:1: not YAML (while parsing a flow node"),
        ("a: b\0", "f.yaml: not YAML ("),
        ("a: *b", "f.yaml:1: not YAML (found undefined alias"),
        ("--- a\n--- b", "not YAML (expected a single document in the stream"),
    ],
)
def test_what_is_beyond_the_limits_or_not_yaml_is_refused(text: str, message: str) -> None:
    """With its line, and one sentence."""
    assert message in refusal(text)


def test_a_file_is_regular_utf_8_and_small(tmp_path: Path) -> None:
    """A pipe would wait, and a large file would take minutes."""
    path = tmp_path / "f.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_yaml(path).value == {"a": 1}
    assert read_yaml(path).node is not None
    path.write_bytes(b"")
    assert read_yaml(path).value is None
    path.write_bytes(b"a: \xff")
    with pytest.raises(UsageError, match=r"f\.yaml: not UTF-8 text \(byte 3\)"):
        read_yaml(path)
    path.write_bytes(b"#" * (2**18 + 1))
    with pytest.raises(UsageError, match="larger than 256 KiB, the limit for a file of settings"):
        read_yaml(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(UsageError, match="expected a regular file, got a pipe"):
        read_yaml(path)


@given(text=st.text(max_size=60) | st.text("&*a: [],{}!\n-?|>'\"<#%@\t1.e", max_size=40))
def test_any_text_is_a_value_of_json_or_a_usage_error(text: str) -> None:
    """And nothing else is raised."""
    with suppress(UsageError):
        json.dumps(parse_yaml(text, "f.yaml").value, allow_nan=False)
