"""Tables as spreadsheets write them: encodings, empty columns and rows, headings."""

from pathlib import Path

import pytest

from harness.common.errors import DataError
from harness.workload.data.tables import read_table


def rows(tmp_path: Path, content: bytes, name: str = "a.csv") -> list[dict[str, object]]:
    (tmp_path / name).write_bytes(content)
    return [dict(row) for _, row in read_table(tmp_path / name).rows]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_the_byte_order_mark_names_the_encoding(tmp_path: Path, encoding: str) -> None:
    """Excel's `Unicode text` is UTF-16."""
    text = "review\tstars\ngut für mich\t1\n"
    assert rows(tmp_path, text.encode(encoding), "a.tsv") == [{"review": "gut für mich", "stars": "1"}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("review,stars\nx,1\n".encode("utf-16-le"), "a.csv:1: the line holds a NUL character"),
        (b"review,stars\nx,1\ny,\x00\n", "a.csv:3: the line holds a NUL character"),
        ("review,stars\nx,1\n".encode("utf-16")[:-1], "a.csv: not UTF-16 text"),
        (b"caf\xe9,stars\nx,1\n", "a.csv: not UTF-8 text (byte 3)"),
        (b"review,stars,stars\nx,1,2\n", "a.csv:1: the header has 'stars' more than once"),
        (b"review,stars,,\nx,1,2,3\n", "a.csv:1: the header has '' more than once"),
        (b"review,stars\nx\n", "a.csv:2: expected 2 fields, as in the header, got 1"),
        (b"review,stars\nx,1,y\n", "a.csv:2: expected 2 fields, as in the header, got 3"),
        (b"\n\n", "a.csv: the file has no rows"),
    ],
)
def test_a_table_that_may_be_read_wrongly_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    """With its line."""
    with pytest.raises(DataError) as caught:
        rows(tmp_path, content)
    assert message in str(caught.value)


def test_a_column_with_an_empty_row_keeps_it(tmp_path: Path) -> None:
    """Leaving it out would give all rows below the id of another."""
    assert rows(tmp_path, b"text\na\n\nb\n") == [{"text": "a"}, {"text": ""}, {"text": "b"}]
    assert rows(tmp_path, b'text\r\n""\r\nb\r\n""\r\n') == [{"text": ""}, {"text": "b"}, {"text": ""}]
    assert rows(tmp_path, b"text\na\n\n\n") == [{"text": "a"}]


def test_a_blank_line_of_a_table_of_several_columns_is_no_row(tmp_path: Path) -> None:
    """An empty row would have delimiters."""
    assert rows(tmp_path, b"text,label\n\na,1\n\nb,2\n") == [
        {"text": "a", "label": "1"},
        {"text": "b", "label": "2"},
    ]


def test_empty_columns_and_rows_at_the_end_are_left_out(tmp_path: Path) -> None:
    """As a spreadsheet saves cells that were used once; a row between others stays."""
    content = b"review,stars,,\r\nx,1,,\r\n,,,\r\ny,2,,\r\n,,,\r\n,,,\r\n"
    assert rows(tmp_path, content) == [
        {"review": "x", "stars": "1"},
        {"review": "", "stars": ""},
        {"review": "y", "stars": "2"},
    ]
    assert rows(tmp_path, b"review,stars\nx,1,,\n") == [{"review": "x", "stars": "1"}]


def test_a_column_of_row_numbers_without_a_name_is_kept(tmp_path: Path) -> None:
    """As pandas writes its index."""
    assert rows(tmp_path, b",review,stars\n0,x,1\n") == [{"": "0", "review": "x", "stars": "1"}]


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    """It can be read once, and the data are read by several processes."""
    import os

    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(DataError, match="expected a regular file, got a pipe"):
        read_table(tmp_path / "a.csv")
