"""From records to the rows of the index: a row of `cells` for each record, and its figures.

record --row_of--> values of `cell_rows`        figures of a run --add_run--> `figure_rows`, `texts`
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from harness.records.record import Record
from harness.records.store.folders import RunFolder, UnreadableFile
from harness.records.store.index.schema import COLUMNS, COMPUTED, FIGURES


class FigureRow(NamedTuple):
    """A figure of a record, as a row of the tidy CSV has it (`reports.exports.tidy.tidy_csv`)."""

    quantity: str
    unit: str
    value: float | None
    low: float | None
    high: float | None
    over: str
    grade: str
    source: str
    footnote: str
    p: float | None = None
    """Of a ratio that is corrected for the family of its report: its p-value before that."""


class CellFigures(NamedTuple):
    """The figures of a cell; `cost_basis` holds the estimates that costs are computed from, as JSON."""

    cell: str
    rows: Sequence[FigureRow]
    cost_basis: str = ""


FiguresOf = Callable[[RunFolder, Sequence[Record]], Iterable[CellFigures]]
"""Returns the figures of the records of one run; a cell may come several times."""


@dataclass(frozen=True, slots=True)
class IndexedRecord:
    """What a report in CSV prints of a record: the columns that identify it, and its figures in order."""

    columns: tuple[Any, ...]
    cell: str
    group: str
    cost_basis: str
    figures: list[FigureRow]


@dataclass(frozen=True, slots=True)
class RunContent:
    """What the index holds of a run: its records with their figures, and the files that cannot be read."""

    folder: RunFolder
    modified_ns: int
    unfinished: bool
    records: Sequence[Record]
    unreadable: Sequence[UnreadableFile]
    figures: Mapping[str, CellFigures] = field(default_factory=dict)
    """Figures by cell."""
    files: str = ""
    """The state of the files that were read (`file_state.file_state`)."""

    @property
    def report_files(self) -> str:
        """The state of the files if a report can take its figures from the index; else it is empty."""
        is_whole = self.records and not (self.unfinished or self.unreadable)
        own = all(
            record.run == self.folder.name and not record.configuration.get("ladder")
            for record in self.records
        )
        return self.files if is_whole and own and all(map(_is_kept, self.figures.values())) else ""


_CELL_COLUMNS = [*(column.name for column in COLUMNS), *(name for name, _ in COMPUTED), "cost_basis"]
_INSERT_CELL = "insert into cell_rows ({}) values ({})".format(  # noqa: S608 -- the names are this module's
    ", ".join(_CELL_COLUMNS), ", ".join("?" * len(_CELL_COLUMNS))
)
_INSERT_FIGURE = "insert or replace into figure_rows values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def add_run(connection: sqlite3.Connection, content: RunContent, texts: "TextIds") -> None:
    """Replace all rows of a run, which have the name of its folder; the caller has begun a transaction."""
    name = content.folder.name
    remove_run(connection, name)
    state = (name, content.modified_ns, content.unfinished, content.report_files)
    connection.execute("insert into run_folders values (?, ?, ?, ?)", state)
    for record in content.records:
        figures = content.figures.get(record.cell.id) or CellFigures(record.cell.id, ())
        values = [name, *row_of(record, figures.rows)[1:], figures.cost_basis]
        added = connection.execute(_INSERT_CELL, values)
        rows = [
            _figure_row(figure, added.lastrowid or 0, place, texts)
            for place, figure in enumerate(figures.rows)
        ]
        connection.executemany(_INSERT_FIGURE, rows)
    connection.executemany("insert or replace into hosts values (?, ?, ?)", _hosts(content.records))
    connection.executemany("insert or ignore into software_rows values (?, ?, ?)", _software(content))
    files = [(name, file.path.name, file.reason) for file in content.unreadable]
    connection.executemany("insert into unreadable values (?, ?, ?)", files)


def remove_run(connection: sqlite3.Connection, name: str) -> None:
    """Remove all rows of a run; the caller has begun a transaction."""
    connection.execute(
        "delete from figure_rows where record in (select id from cell_rows where run = ?)", (name,)
    )
    for table in ("cell_rows", "software_rows", "unreadable", "run_folders"):
        connection.execute(f"delete from {table} where run = ?", (name,))  # noqa: S608 -- a name from above


def row_of(record: Record, figures: Sequence[FigureRow]) -> list[object]:
    """Return the values of a record in the order of `COLUMNS` and `COMPUTED`; None where it has none."""
    by_name = {figure.quantity: figure for figure in figures if not figure.over}
    energy = by_name.get("energy_per_request")
    return [
        *(_value(record, column.path) for column in COLUMNS),
        len(record.rounds),
        *_quality(record),
        *(number for name in FIGURES for number in _interval(by_name.get(name))),
        energy.grade if energy else None,
    ]


class TextIds:
    """The numbers of texts that many rows share, such as units and sources; new texts are inserted."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._ids: dict[str, int] = {}

    def __getitem__(self, text: str) -> int:
        """Return the number of a text."""
        if text not in self._ids:
            self._connection.execute("insert or ignore into texts (text) values (?)", (text,))
            (number,) = self._connection.execute("select id from texts where text = ?", (text,)).fetchone()
            self._ids[text] = number
        return self._ids[text]


def _value(record: Record, path: str) -> object:
    """Return the value at a path of attributes and keys, such as `latency.p99.9.value_ns`."""
    if path.startswith("latency."):
        name, _, attribute = path.removeprefix("latency.").rpartition(".")
        return getattr(record.latency.get(name), attribute, None)
    value: object = record
    for part in path.split("."):
        value = getattr(value, part, None)
    return value


def _quality(record: Record) -> tuple[float | None, float | None, float | None]:
    score = record.quality and record.quality.metrics.get(record.quality.primary)
    return (score.value, score.low, score.high) if score else (None, None, None)


def _interval(figure: FigureRow | None) -> tuple[float | None, float | None, float | None]:
    return (figure.value, figure.low, figure.high) if figure else (None, None, None)


def _figure_row(figure: FigureRow, record: int, place: int, texts: TextIds) -> tuple[object, ...]:
    numbers = (figure.value, figure.low, figure.high, figure.p)
    words = (figure.unit, figure.grade, figure.source, figure.footnote)
    names = (texts[figure.quantity], record, texts[figure.over], place)
    return (*names, *numbers, *(texts[word] for word in words))


def _is_kept(figures: CellFigures) -> bool:
    """Return whether the index keeps the figures of a cell as they are: SQLite has no NaN."""
    names = {(figure.quantity, figure.over) for figure in figures.rows}
    numbers = (
        number for figure in figures.rows for number in (figure.value, figure.low, figure.high, figure.p)
    )
    return len(names) == len(figures.rows) and all(number == number for number in numbers)  # noqa: PLR0124 -- NaN


def _hosts(records: Sequence[Record]) -> Iterator[tuple[str, str, str]]:
    hosts = {record.host.fingerprint: record.host for record in records}
    for host in hosts.values():
        yield host.fingerprint, host.name_sha256, json.dumps(host.facts, sort_keys=True)


def _software(content: RunContent) -> list[tuple[str, str, str]]:
    pairs = {pair for record in content.records for pair in record.software.items()}
    return [(content.folder.name, *pair) for pair in sorted(pairs)]
