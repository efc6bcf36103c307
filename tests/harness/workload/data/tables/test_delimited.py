"""CSV and TSV: where rows begin and end, and whether quotes enclose fields or are part of the text."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.common.errors import DataError
from harness.workload.data.tables import QUOTINGS, Quoting
from harness.workload.data.tables.delimited import read_records

# GLUE's files are not quoted: these five rows have two quotes, rows 2 and 4, which pair up
GLUE = 'sentence\tlabel\nfine\t1\n"bad from the start\t0\nso so\t0\nit ended"\t0\ngood\t1\n'
GLUE_ROWS = [
    ["sentence", "label"],
    ["fine", "1"],
    ['"bad from the start', "0"],
    ["so so", "0"],
    ['it ended"', "0"],
    ["good", "1"],
]


def fields(text: str, name: str = "a.tsv", quoting: Quoting = "auto") -> list[list[str]]:
    return [record for _, record in read_records(text, Path(name), quoting) if record]


def fields_or_refusal(text: str, name: str) -> list[list[str]] | str:
    try:
        return fields(text, name)
    except DataError as error:
        return str(error)


def test_a_tsv_whose_quotes_pair_up_loses_no_rows() -> None:
    """Read as quoted, rows 2 to 4 would be one."""
    assert len(list(csv.reader(io.StringIO(GLUE), delimiter="\t"))) == 4
    assert fields(GLUE, quoting="none") == GLUE_ROWS
    with pytest.raises(DataError) as caught:
        fields(GLUE)
    assert str(caught.value) == (
        "a.tsv:3: a field from this line on holds a line break and a tab: it is one quoted field, or its "
        "quotes are part of the text of several rows.\n"
        "Decide with --quoting quoted, or with --quoting none where quotes are part of the text."
    )


def test_quotes_that_pair_up_are_refused_beside_a_row_of_another_length() -> None:
    """The file is not regular in either reading, and still no rows are swallowed."""
    with pytest.raises(DataError, match=r"a\.tsv:3: a field from this line on"):
        fields(GLUE + "no label\n")


def test_a_csv_whose_quotes_pair_up_is_refused_too() -> None:
    """Each of its lines could be a row, and nothing else in the file is quoted."""
    text = 'sentence,label\nfine,1\n"bad from the start,0\nit ended",0\n'
    with pytest.raises(
        DataError, match=r"a\.csv:3: a field from this line on holds a line break and a comma"
    ):
        fields(text, "a.csv")
    assert len(fields(text, "a.csv", "none")) == 4
    assert len(fields(text, "a.csv", "quoted")) == 3


@pytest.mark.parametrize("evidence", ['"one, two",1\n', '"he said ""no""",1\n'])
def test_a_csv_that_is_quoted_elsewhere_is_quoted_here(evidence: str) -> None:
    """A delimiter in a field of one line, or a doubled quote, is what a program writes."""
    text = f'sentence,label\n{evidence}"bad from the start,\nit ended",0\n'
    assert fields(text, "a.csv")[2] == ["bad from the start,\nit ended", "0"]


def test_a_csv_whose_lines_are_no_rows_is_quoted() -> None:
    """The first has one field, the second three."""
    text = 'sentence,label\n"bad from the start\nit ended, badly",0\n'
    assert fields(text, "a.csv") == [["sentence", "label"], ["bad from the start\nit ended, badly", "0"]]


@pytest.mark.parametrize(
    "row",
    ['"so" he said\t1', '"I like it"\t1', 'he said "so"\t1', '"\t1', '"a ""b"" c\t1', '"fine, he said"\t1'],
)
def test_quotes_of_a_tsv_that_no_program_puts_there_are_text(row: str) -> None:
    """A program quotes all fields of a column, or those that need it, and doubles the quotes inside."""
    text = f'sentence\tlabel\n{row}\nhe said, "good"\t0\n'
    assert fields(text) == [line.split("\t") for line in text.splitlines()]


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
def test_a_tsv_that_a_program_quoted_is_read_as_quoted(quoting: int) -> None:
    """As Python, pandas and R write it."""
    rows = [["sentence", "label"], ['he said "so"', "1"], ["fine, good", "2"], ["tab\there", "3"], ["", "4"]]
    out = io.StringIO()
    csv.writer(out, delimiter="\t", quoting=quoting).writerows(rows)  # type: ignore[arg-type]
    assert fields(out.getvalue()) == rows


def test_a_tsv_that_excel_quoted_is_read_as_quoted() -> None:
    """Excel also quotes a field with a comma."""
    assert fields('sentence\tlabel\n"one, two"\t1\nthree\t0\n')[1] == ["one, two", "1"]


CELL = st.text('ab" ,\n\t', max_size=6)


@given(
    rows=st.lists(st.tuples(CELL, CELL, CELL.filter(str.strip)), min_size=1, max_size=6), tabs=st.booleans()
)
def test_what_a_program_quoted_is_read_as_it_was_or_refused(rows: list[tuple[str, ...]], tabs: bool) -> None:
    """Never with other rows: the same quotes may stand in a file that is not quoted."""
    out = io.StringIO(newline="")
    table = [("a", "b", "c"), *rows]
    csv.writer(out, delimiter="\t" if tabs else ",", lineterminator="\n").writerows(table)
    name = "a.tsv" if tabs else "a.csv"
    assert fields(out.getvalue(), name, "quoted") == list(map(list, table))
    read = fields_or_refusal(out.getvalue(), name)
    assert "--quoting" in read or read == list(map(list, table))


@given(rows=st.lists(st.lists(st.text('ab" ,', max_size=5), min_size=2, max_size=2).filter(any), min_size=1))
def test_a_tsv_that_is_not_quoted_keeps_its_rows_or_is_refused(rows: list[list[str]]) -> None:
    """As many rows as lines, in the same order."""
    text = "".join("\t".join(row) + "\n" for row in [["a", "b"], *rows])
    assert fields(text, quoting="none") == [["a", "b"], *rows]
    read = fields_or_refusal(text, "a.tsv")
    assert "--quoting" in read or len(read) == len(rows) + 1


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a;b\n1,5;x\n", [["a", "b"], ["1,5", "x"]]),
        ("a;b;c\nx;1,5;2,5\n", [["a", "b", "c"], ["x", "1,5", "2,5"]]),
        ("a\tb\nx, y\t1\n", [["a", "b"], ["x, y", "1"]]),
        ("sep=;\r\na;b\r\nx;1\r\n", [["a", "b"], ["x", "1"]]),
        ('"a;b",c\nx,1\n', [["a;b", "c"], ["x", "1"]]),
        ("a\nx; y\n", [["a"], ["x; y"]]),
    ],
)
def test_the_header_shows_the_delimiter_of_a_csv(text: str, rows: list[list[str]]) -> None:
    """Spreadsheets write semicolons where the comma is decimal, and some a line `sep=`."""
    assert fields(text, "a.csv") == rows


def test_lines_keep_their_numbers() -> None:
    """Behind `sep=`, blank lines and fields of several lines."""
    text = 'sep=;\na;b\n\n"x;\ny";"1"""\nz;2\n'
    lines = [line for line, record in read_records(text, Path("a.csv"), "auto") if record]
    assert lines == [2, 4, 6]


@given(text=st.text('ab",;\t\r\n ', max_size=40), suffix=st.sampled_from([".csv", ".tsv"]))
def test_any_text_is_records_or_a_data_error(text: str, suffix: str) -> None:
    """In each way to read it."""
    for quoting in QUOTINGS:
        try:
            records = read_records(text, Path(f"a{suffix}"), quoting)  # type: ignore[arg-type]
        except DataError:
            continue
        assert all(isinstance(field, str) for _, record in records for field in record)
