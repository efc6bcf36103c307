"""Labels that a program wrote with decimals."""

import json
from pathlib import Path

import pytest

from harness.common.errors import DataError
from harness.workload.data.tables import TabularFile, with_plain_labels


def table(*labels: object) -> TabularFile:
    rows = tuple((number, {"text": "a", "label": label}) for number, label in enumerate(labels, 2))
    return TabularFile(Path("a.csv"), rows, "")


def plain(*labels: object, names: tuple[str, ...] = ()) -> list[object]:
    return [row["label"] for _, row in with_plain_labels(table(*labels), "label", names).rows]


def test_whole_numbers_with_decimals_are_whole_numbers() -> None:
    """As pandas writes a column of labels that has a gap, in text and in JSON."""
    assert plain("1.0", "0.0", "") == ["1", "0", ""]
    assert plain("1,00", "-1,00") == ["1", "-1"]
    assert plain(*json.loads("[1.0, null, 0.0]")) == [1, None, 0]


@pytest.mark.parametrize(
    "labels", [("1", "0"), ("1.5", "1.0"), ("a", "1.0"), (1, 0), (True, False), (["a"], ["b"]), (None, "")]
)
def test_other_labels_stay_as_they_are(labels: tuple[object, ...]) -> None:
    """Nothing is rounded."""
    assert plain(*labels) == list(labels)


def test_labels_that_are_named_stay_as_they_are() -> None:
    """The user's names count, and blanks are part of a name."""
    assert plain("1.0", "0.0", names=("0.0", "1.0")) == ["1.0", "0.0"]
    assert plain("1.0", "0.0", names=("0", "1")) == ["1", "0"]
    assert plain("good", " good", names=("good", " good")) == ["good", " good"]


@pytest.mark.parametrize(("first", "second"), [("1", "1.0"), ("good", "good "), (1, 1.0), ("1,0", "1.0")])
def test_two_ways_to_write_one_label_are_refused(first: object, second: object) -> None:
    """They would be two labels, and every score wrong."""
    with pytest.raises(DataError, match=r"a\.csv:4: the labels .* may be the same"):
        plain(first, "another", second)
