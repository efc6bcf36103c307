"""The data of a table: columns, cells, numbered notes, without terminal codes or markup."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

Align = Literal["left", "right"]
Part = Literal["name", "speed", "energy", "cost"]
"""The subject of a column. A table that is too wide is split between parts; each piece repeats the names."""


@dataclass(frozen=True, slots=True)
class Column:
    """A heading with its unit, the alignment of the cells, and the part that the column belongs to.

    `folds` allows a text cell to take several lines. A number is never broken.
    `unitless` is the heading where no cell has a value; empty if the heading has no unit.
    """

    heading: str
    align: Align
    part: Part
    folds: bool = False
    unitless: str = ""


@dataclass(frozen=True, slots=True)
class TableCell:
    """A cell: its text, its interval if it has one, and the number of its note.

    `value` is the unrounded sort key. It is not shown, so it takes no part in comparisons of cells.
    """

    text: str
    interval: str = ""
    note: int | None = None
    value: float | None = field(default=None, compare=False)

    @property
    def lines(self) -> tuple[str, ...]:
        """The cell on one or two lines: the text with the note's number, `5.41x (1)`, then the interval."""
        mark = "" if self.note is None else f" ({self.note})"
        return (f"{self.text}{mark}", self.interval) if self.interval else (f"{self.text}{mark}",)


@dataclass(frozen=True, slots=True)
class FactLine:
    """One labelled line of "What was measured"."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class WarningLine:
    """All warnings of one code in a table: every distinct sentence and next step."""

    code: str
    sentences: tuple[str, ...]
    next_steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table with the text below it; `notes` are numbered from 1 by position.

    `remarks` apply to the whole table. Where each row shows one record, `records` names it, as
    `values.figures.name_of` does.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[TableCell, ...], ...]
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    warnings: tuple[WarningLine, ...] = ()
    facts: tuple[FactLine, ...] = ()
    records: tuple[str, ...] = ()


@dataclass(slots=True)
class Notes:
    """The distinct notes of a table, in order of first use."""

    texts: list[str] = field(default_factory=list)

    def number(self, text: str) -> int:
        """Return the note's number, from 1; add the note if it is new."""
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text) + 1


Item = TypeVar("Item")
ColumnMaker = tuple[Column, Callable[[Item, Notes], TableCell]]
"""A column, and the function that makes its cell for one row's item."""


def build_table(
    title: str,
    items: Sequence[Item],
    makers: Sequence[ColumnMaker[Item]],
    *,
    remarks: Sequence[str] = (),
    records: Sequence[str] = (),
) -> Table:
    """Return a table with one row per item; notes are numbered row by row, from left to right."""
    notes = Notes()
    rows = tuple(tuple(make_cell(item, notes) for _, make_cell in makers) for item in items)
    return Table(
        title=title,
        columns=headed_columns([column for column, _ in makers], rows),
        rows=rows,
        notes=tuple(notes.texts),
        remarks=tuple(remarks),
        records=tuple(records),
    )


def headed_columns(columns: Sequence[Column], rows: Sequence[Sequence[TableCell]]) -> tuple[Column, ...]:
    """Return the columns with their final headings: one without any value has no unit."""
    return tuple(
        _headed(column, any(row[place].value is not None for row in rows))
        for place, column in enumerate(columns)
    )


def _headed(column: Column, has_value: bool) -> Column:
    heading = column.heading if has_value or not column.unitless else column.unitless
    return replace(column, heading=heading, unitless="")
