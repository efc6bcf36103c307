"""What a table is, as data: columns, cells, numbered notes; not a word about terminals or markup."""

from dataclasses import dataclass, field
from typing import Literal

Align = Literal["left", "right"]
Part = Literal["name", "speed", "energy", "cost"]
"""What a column is about: a table that is too wide is cut between parts, each beside the names again."""


@dataclass(frozen=True, slots=True)
class Column:
    """A heading with its unit, the side its cells are aligned to, and what it is about.

    `folds` is for words that may take several lines: no number is ever broken.
    """

    heading: str
    align: Align
    part: Part
    folds: bool = False


@dataclass(frozen=True, slots=True)
class TableCell:
    """What a cell shows: its text, its interval if it has one, and the number of a note.

    `value` is what its column is sorted by, unrounded: it is not shown, and so makes no cell another.
    """

    text: str
    interval: str = ""
    note: int | None = None
    value: float | None = field(default=None, compare=False)

    @property
    def lines(self) -> tuple[str, ...]:
        """The cell on two lines: the text with the note's number, `5.41x (1)`, and the interval below."""
        mark = "" if self.note is None else f" ({self.note})"
        return (f"{self.text}{mark}", self.interval) if self.interval else (f"{self.text}{mark}",)


@dataclass(frozen=True, slots=True)
class FactLine:
    """One line of what was measured."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class WarningLine:
    """One kind of warning, over all records it is about: each sentence and each next step once."""

    code: str
    sentences: tuple[str, ...]
    next_steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """One group of records: rows in the order of the records; `notes` are numbered from 1 by their place.

    `remarks` hold for the whole table; `records` names the record that each row is of, as
    `facts.name_of` does, where rows are of one each.
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
    """Collects what notes say, each once, in order of first appearance."""

    texts: list[str] = field(default_factory=list)

    def number(self, text: str) -> int:
        """Return the note's number, from 1."""
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text) + 1
