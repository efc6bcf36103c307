"""The comparison of two runs: a table per cell, with what else differs below it.

RunComparison --tables--> Table --text | markdown--> people
              --as_json--> programs
"""

from collections.abc import Sequence
from dataclasses import asdict, replace

from harness.analysis.comparison import (
    CellComparison,
    CellKey,
    Difference,
    MissingChange,
    QuantityChange,
    RunComparison,
    change_verdict,
    unlike_machines,
)
from harness.analysis.statistics.pairing import NotComparable
from harness.common.errors import unknown_name
from harness.common.json_types import JsonObject
from harness.records.estimate import Estimate
from harness.records.record import Record
from reports.documents.comparison_verdict import comparison_verdict
from reports.layout.cell_factory import NOT_MEASURED
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
from reports.layout.verdict_sentences import VerdictText
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
"""The units in which each base unit of a quantity is shown."""

_DIFFERENCES = {
    "environment": "environment changed",
    "software": "software changed",
    "revision": "code changed",
    "model": "model changed",
    "data": "data changed",
    "settings": "setting changed",
}

MOST_CELLS = 6
"""Cells of one run alone that are named where the runs have none in common."""

_WHAT_COUNTS = (
    "A change counts if its interval excludes zero, if it exceeds the tolerance, and if the test rules out "
    "chance."
)

_COLUMNS = (
    Column("quantity", "left", "name"),
    Column("before", "right", "speed"),
    Column("after", "right", "speed"),
    Column("change", "right", "speed"),
    Column("verdict", "left", "speed"),
)


def render(comparison: RunComparison, form: str, *, width: int = WIDTH, color: bool = False) -> str:
    """Return a comparison in a format; raises UsageError for an unknown format."""
    if form not in FORMATS:
        raise unknown_name("format", form, FORMATS)
    if form == "json":
        return as_json(comparison)
    cell_tables = tables(comparison)
    verdict = [VerdictText("", comparison_verdict(comparison))] if comparison.cells else []
    if form == "markdown":
        parts = [markdown.render_verdicts(verdict), *map(markdown.render_table, cell_tables)]
    else:
        parts = [terminal.render_table(table, width=width, color=color) for table in cell_tables]
        parts.append(terminal.render_verdicts(verdict, width=width, color=color))
    return "\n".join(filter(None, parts))


def tables(comparison: RunComparison) -> list[Table]:
    """Return one table per cell; differences that all cells share are below the last one."""
    if not comparison.cells:
        return [_nothing_in_common(comparison)]
    cell_tables = [_table(cell, comparison.shared) for cell in comparison.cells]
    shared = [
        *map(_difference, comparison.shared),
        *(f"Only before: {key}." for key in comparison.only_before),
        *(f"Only after: {key}." for key in comparison.only_after),
    ]
    if shared:
        cell_tables[-1] = replace(cell_tables[-1], remarks=(*cell_tables[-1].remarks, *shared))
    return cell_tables


def _nothing_in_common(comparison: RunComparison) -> Table:
    """Return a table without rows: how two runs differ, and the cells that each has."""
    unlike = "; ".join(map(str, comparison.unlike_settings))
    reason = f"They differ in {unlike}." if unlike else "Each setting occurs in both runs, but not together."
    sides = (("before", comparison.only_before), ("after", comparison.only_after))
    cells = [line for side, keys in sides for line in _unmatched(side, keys)]
    return Table("The two runs have no cell in common", _COLUMNS[:1], (), remarks=(reason, *cells))


def _unmatched(side: str, keys: Sequence[CellKey]) -> list[str]:
    lines = [f"Only {side}: {key}." for key in keys[:MOST_CELLS]]
    return [*lines, f"And {len(keys) - MOST_CELLS} more only {side}."] if keys[MOST_CELLS:] else lines


def as_json(comparison: RunComparison) -> str:
    """Return a comparison as JSON: unrounded, in base units; changes are in percent or points."""
    return encoded(
        {
            "schema_version": SCHEMA_VERSION,
            "verdict": comparison_verdict(comparison),
            "cells": [_cell_fields(cell) for cell in comparison.cells],
            "only_before": [key._asdict() for key in comparison.only_before],
            "only_after": [key._asdict() for key in comparison.only_after],
            "unlike_settings": [asdict(difference) for difference in comparison.unlike_settings],
        }
    )


def change_fields(change: QuantityChange) -> JsonObject:
    """Return the change of a quantity as a JSON object."""
    return {
        "quantity": change.quantity.name,
        "unit": change.quantity.unit,
        "before": _estimate_fields(change.before),
        "after": _estimate_fields(change.after),
        "change": _estimate_fields(change.change),
        "change_unit": change.quantity.change_unit,
        "paired": change.paired,
        "grade": change.grade or None,
        "p": change.p,
        "note": change.note,
        "unlike_machines": change.unlike or None,
    }


def _cell_fields(cell: CellComparison) -> JsonObject:
    refused = isinstance(cell.changes, NotComparable)
    changes = () if isinstance(cell.changes, NotComparable) else cell.changes
    return {
        "cell": cell.cell._asdict(),
        "before": _record_fields(cell.before),
        "after": _record_fields(cell.after),
        "refused": str(cell.changes) if refused else None,
        "changes": [_judged_change_fields(change) for change in changes],
        "differences": [asdict(difference) for difference in cell.differences],
    }


def _judged_change_fields(change: QuantityChange | MissingChange) -> JsonObject:
    if isinstance(change, MissingChange):
        return {"quantity": change.quantity.name, "missing": change.reason}
    return {**change_fields(change), "verdict": change_verdict(change), "tolerance": change.tolerance}


def _estimate_fields(estimate: Estimate) -> JsonObject | None:
    """Return an estimate as a JSON object; None for NaN, which JSON cannot hold."""
    return asdict(estimate) if estimate.value == estimate.value else None


def _record_fields(record: Record) -> JsonObject:
    revision = str(record.revision) if record.revision else None
    return {"run": record.run, "cell": record.cell.id, "created": record.created, "revision": revision}


def _table(cell: CellComparison, shared: Sequence[Difference]) -> Table:
    notes = Notes()
    if isinstance(cell.changes, NotComparable):
        rows, remarks = [], [f"{str(cell.changes).capitalize()}."]
    else:
        rows, remarks = [_row(change, notes) for change in cell.changes], _remarks(cell.changes)
    remarks += [_difference(difference) for difference in cell.differences if difference not in shared]
    title = f"{cell.cell}: {_record_title(cell.before)} -> {_record_title(cell.after)}"
    unlike = unlike_machines(cell.before, cell.after)
    return Table(
        title=f"{title}; unlike machines, so speeds are not judged ({unlike})" if unlike else title,
        columns=_COLUMNS if rows else _COLUMNS[:1],
        rows=tuple(rows),
        notes=tuple(notes.texts),
        remarks=tuple(remarks),
    )


def _record_title(record: Record) -> str:
    variant = record.cell.variant.partition("@")[2]
    revision = str(record.revision) if record.revision else ""
    return " ".join(part for part in (record.run, variant, revision) if part)


def _row(change: QuantityChange | MissingChange, notes: Notes) -> tuple[TableCell, ...]:
    heading = change.quantity.heading
    if isinstance(change, MissingChange):
        absent = TableCell("n/a")
        reason = TableCell("n/a", note=notes.number(f"because {change.reason}."))
        return (TableCell(heading), absent, absent, reason, TableCell(""))
    grade = f" ({change.grade})" if change.grade == "modelled" else ""
    unit = unit_for([change.before.value, change.after.value], UNITS[change.quantity.unit])
    note = notes.number(change.note) if change.note else None
    return (
        TableCell(f"{heading}{grade}"),
        TableCell(_value(change.before, unit)),
        TableCell(_value(change.after, unit)),
        change_cell(change, note),
        TableCell(change_verdict(change)),
    )


def change_cell(quantity_change: QuantityChange, note: int | None = None) -> TableCell:
    """Return a change with its sign, its unit, and its interval where it has one."""
    unit, change = quantity_change.quantity.change_unit, quantity_change.change
    if change.value != change.value:
        return TableCell("n/a", note=note)
    if change.low == change.high:
        value = f"{change.value:+.1f}" if change.value else "0"
        return TableCell(f"{value} {unit}", note=note)
    places = 2 if abs(change.high - change.low) < 1 else 1
    interval = f"[{change.low:+.{places}f}, {change.high:+.{places}f}]"
    return TableCell(f"{change.value:+.{places}f} {unit}", interval, note)


def value_cell(value: float, low: float, high: float, unit: Unit) -> TableCell:
    """Return a value in this unit, with its interval where it has one."""
    value, low, high = (number / unit.size for number in (value, low, high))
    if low < high:
        text, interval = with_interval(value, low, high)
        return TableCell(f"{text} {unit.name}", interval)
    whole = unit.size == 1.0 or value >= 1000  # noqa: PLR2004 -- bytes, or more than three digits
    return TableCell(f"{fixed(value, 0) if whole else shown(value)} {unit.name}")


def _value(estimate: Estimate, unit: Unit) -> str:
    return value_cell(estimate.value, estimate.low, estimate.high, unit).text


def _remarks(changes: Sequence[QuantityChange | MissingChange]) -> list[str]:
    lines = [_WHAT_COUNTS]
    if any(isinstance(change, QuantityChange) and change.grade == "modelled" for change in changes):
        lines.append(NOT_MEASURED)
    return lines


def _difference(difference: Difference) -> str:
    return f"{_DIFFERENCES[difference.kind].capitalize()}: {difference}."
