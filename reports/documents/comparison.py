"""What changed between two runs, as tables: one a cell, with what else is not the same below it.

Comparison --tables--> Table --text | markdown--> what people read
           --as_json--> what machines read
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from harness.analysis.comparison import (
    CellComparison,
    Difference,
    MissingChange,
    QuantityChange,
    RunComparison,
    change_verdict,
)
from harness.analysis.statistics.pairing import NotComparable
from harness.common.errors import unknown_name
from harness.records.estimate import Estimate
from harness.records.record import Record
from reports.layout.number_format import (
    ENERGIES,
    MEMORIES,
    TIMES,
    Unit,
    fixed,
    shown,
    unit_for,
    with_interval,
)
from reports.layout.style import WIDTH
from reports.layout.table_model import Column, Notes, Table, TableCell
from reports.render import markdown, terminal
from reports.render.json_values import encoded

SCHEMA_VERSION = 1
FORMATS = ("text", "markdown", "json")

UNITS: dict[str, tuple[Unit, ...]] = {
    "ns": TIMES,
    "uJ": ENERGIES,
    "B": MEMORIES,
    "1/s": (Unit("/s", 1.0),),
    "share": (Unit("%", 0.01),),
    "x": (Unit("x", 1.0),),
}
"""How each unit of a quantity is shown."""
_KINDS = {
    "environment": "environment changed",
    "software": "software changed",
    "revision": "code changed",
    "model": "model changed",
    "data": "data changed",
    "settings": "setting changed",
}


def render(found: RunComparison, form: str, *, width: int = WIDTH, color: bool = False) -> str:
    """Return a comparison in this format; UsageError for one that is not known."""
    if form not in FORMATS:
        raise unknown_name("format", form, FORMATS)
    if form == "json":
        return as_json(found)
    made = tables(found)
    if not made:
        return "The two have no cell in common.\n"
    if form == "markdown":
        return "\n".join(map(markdown.render_table, made))
    return "\n".join(terminal.render_table(table, width=width, color=color) for table in made)


def tables(found: RunComparison) -> list[Table]:
    """Return one table a cell; what differs for every cell alike stands below the last one."""
    made = [_table(cell, found.shared) for cell in found.cells]
    last = [_told(each) for each in found.shared]
    last += [f"Only before: {key}." for key in found.only_before]
    last += [f"Only after: {key}." for key in found.only_after]
    if made and last:
        made[-1] = replace(made[-1], remarks=(*made[-1].remarks, *last))
    return made


def as_json(found: RunComparison) -> str:
    """Return a comparison for machines: unrounded, in base units; a change in percent or in points."""
    return encoded(
        {
            "schema_version": SCHEMA_VERSION,
            "cells": [_cell_words(cell) for cell in found.cells],
            "only_before": [key._asdict() for key in found.only_before],
            "only_after": [key._asdict() for key in found.only_after],
        }
    )


def change_words(found: QuantityChange) -> dict[str, Any]:
    """Return one change for machines."""
    return {
        "quantity": found.quantity.name,
        "unit": found.quantity.unit,
        "before": _number_words(found.before),
        "after": _number_words(found.after),
        "change": _number_words(found.change),
        "change_unit": found.quantity.change_unit,
        "paired": found.paired,
        "grade": found.grade or None,
        "p": found.p,
        "note": found.note,
    }


def _cell_words(cell: CellComparison) -> dict[str, Any]:
    refused = isinstance(cell.changes, NotComparable)
    changes = () if isinstance(cell.changes, NotComparable) else cell.changes
    return {
        "cell": cell.cell._asdict(),
        "before": _record_words(cell.before),
        "after": _record_words(cell.after),
        "refused": str(cell.changes) if refused else None,
        "changes": [_one(each) for each in changes],
        "differences": [asdict(each) for each in cell.differences],
    }


def _one(found: QuantityChange | MissingChange) -> dict[str, Any]:
    if isinstance(found, MissingChange):
        return {"quantity": found.quantity.name, "missing": found.reason}
    return {**change_words(found), "verdict": change_verdict(found), "tolerance": found.tolerance}


def _number_words(found: Estimate) -> dict[str, Any] | None:
    """Return an estimate; None for what is not a number, which JSON has no word for."""
    return asdict(found) if found.value == found.value else None


def _record_words(record: Record) -> dict[str, Any]:
    revision = str(record.revision) if record.revision else None
    return {"run": record.run, "cell": record.cell.id, "created": record.created, "revision": revision}


_COLUMNS = (
    Column("quantity", "left", "name"),
    Column("before", "right", "speed"),
    Column("after", "right", "speed"),
    Column("change", "right", "speed"),
    Column("verdict", "left", "speed"),
)


def _table(cell: CellComparison, shared: Sequence[Difference]) -> Table:
    notes = Notes()
    changes = () if isinstance(cell.changes, NotComparable) else cell.changes
    rows = [_row(each, notes) for each in changes]
    remarks = (
        [str(cell.changes).capitalize() + "."]
        if isinstance(cell.changes, NotComparable)
        else _remarks(changes)
    )
    remarks += [_told(each) for each in cell.differences if each not in shared]
    return Table(
        title=f"{cell.cell}: {_name(cell.before)} -> {_name(cell.after)}",
        columns=_COLUMNS if rows else _COLUMNS[:1],
        rows=tuple(rows),
        notes=tuple(notes.texts),
        remarks=tuple(remarks),
    )


def _name(record: Record) -> str:
    variant = record.cell.variant.partition("@")[2]
    parts = [
        record.run,
        *([variant] if variant else []),
        *([str(record.revision)] if record.revision else []),
    ]
    return " ".join(parts)


def _row(found: QuantityChange | MissingChange, notes: Notes) -> tuple[TableCell, ...]:
    heading = TableCell(found.quantity.heading)
    if isinstance(found, MissingChange):
        nothing = TableCell("n/a")
        return (
            heading,
            nothing,
            nothing,
            TableCell("n/a", note=notes.number(f"n/a, because {found.reason}.")),
            TableCell(""),
        )
    grade = f" ({found.grade})" if found.grade == "modelled" else ""
    unit = unit_for([found.before.value, found.after.value], UNITS[found.quantity.unit])
    said = notes.number(found.note) if found.note else None
    return (
        TableCell(f"{heading.text}{grade}"),
        TableCell(_value(found.before, unit)),
        TableCell(_value(found.after, unit)),
        change_cell(found, said),
        TableCell(change_verdict(found)),
    )


def change_cell(found: QuantityChange, note: int | None = None) -> TableCell:
    """Return a change with its sign, its interval where it has one, and its unit."""
    unit = found.quantity.change_unit
    change = found.change
    if change.value != change.value:
        return TableCell("n/a", note=note)
    if change.low == change.high:
        return TableCell(f"{_signed(change.value)} {unit}", note=note)
    places = max(1, _places(change))
    within = f"[{change.low:+.{places}f}, {change.high:+.{places}f}]"
    return TableCell(f"{change.value:+.{places}f} {unit}", within, note)


def _places(change: Estimate) -> int:
    return 2 if abs(change.high - change.low) < 1 else 1


def _signed(value: float) -> str:
    return f"{value:+.1f}" if value else "0"


def value_with(value: float, low: float, high: float, unit: Unit) -> TableCell:
    """Return a value in this unit, and its interval where it has one."""
    scaled = [number / unit.size for number in (value, low, high)]
    if scaled[1] < scaled[2]:
        middle, within = with_interval(*scaled)
        return TableCell(f"{middle} {unit.name}", within)
    whole = unit.size == 1.0 or scaled[0] >= 1000  # noqa: PLR2004 -- bytes, or more than three digits
    return TableCell(f"{fixed(scaled[0], 0) if whole else shown(scaled[0])} {unit.name}")


def _value(found: Estimate, unit: Unit) -> str:
    return value_with(found.value, found.low, found.high, unit).text


def _remarks(changes: Sequence[QuantityChange | MissingChange]) -> list[str]:
    lines = [
        "A change counts if its interval excludes none, it is beyond the tolerance, and chance is ruled out."
    ]
    if any(isinstance(each, QuantityChange) and each.grade == "modelled" for each in changes):
        lines.append("Joules are modelled: CPU time in other units.")
    return lines


def _told(found: Difference) -> str:
    return f"{_KINDS[found.kind].capitalize()}: {found}."
